//! What has become of the notifications of a run.

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Target, file};

/// A notification, as a server tells it.
#[derive(Deserialize)]
struct Notification {
    receiver: String,
    state: String,
    said: String,
    tries: u64,
    error: Option<String>,
}

/// The notifications of a run as the server tells them.
pub(super) async fn of_run(target: &Target, run: &str) -> anyhow::Result<Json> {
    let body = file::read(target, run, "notifications.json").await?;
    serde_json::from_slice(&body).context("read the notifications")
}

/// A line each.
pub(super) fn lines(notifications: &Json) -> anyhow::Result<Vec<String>> {
    let read = Vec::<Notification>::deserialize(notifications).context("read the notifications")?;
    let line = |Notification { receiver, state, said, tries, error }: Notification| match error {
        Some(error) if ["waiting", "given_up"].contains(&state.as_str()) => {
            format!("notification  {receiver}: {said} (tries: {tries}): {error}")
        }
        _ => format!("notification  {receiver}: {said}"),
    };
    Ok(read.into_iter().map(line).collect())
}
