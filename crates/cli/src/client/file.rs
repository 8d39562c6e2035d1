//! What the pages of a run offer for programs.

use std::time::Duration;

use anyhow::{Context as _, bail};
use ureq::Agent;

use super::{Target, Unreachable};

/// A trace is made of the journal: a large one takes a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// The largest file that is taken.
const MOST: u64 = 1 << 30;

/// Reads a file that belongs to a run.
pub(super) async fn read(target: &Target, run: &str, file: &str) -> anyhow::Result<Vec<u8>> {
    read_noting(target, run, file).await.map(|(body, _)| body)
}

/// The same with what the server says is not in it.
pub(super) async fn read_noting(target: &Target, run: &str, file: &str) -> anyhow::Result<(Vec<u8>, Option<String>)> {
    // Refuses what cannot be spoken to, with its reason.
    target.server()?;
    let part = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let route = format!("/v2/domain/{}/project/{}/runs/{}", part(&target.domain), part(&target.project), part(run));
    let (server, address) = (target.url(), format!("{}{route}/{file}", target.url()));
    tokio::task::spawn_blocking(move || get(&server, &address)).await.context("wait for the answer")?
}

fn get(server: &str, address: &str) -> anyhow::Result<(Vec<u8>, Option<String>)> {
    let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
    let agent: Agent = config.build().into();
    let mut answer = match agent.get(address).call() {
        Ok(answer) => answer,
        Err(error @ (ureq::Error::Io(_) | ureq::Error::ConnectionFailed | ureq::Error::HostNotFound)) => {
            return Err(Unreachable { url: server.to_owned(), source: error.into() }.into());
        }
        Err(error) => return Err(error).with_context(|| format!("read {address}")),
    };
    let status = answer.status();
    let left_out = answer.headers().get("spanwise-left-out").and_then(|said| said.to_str().ok()).map(str::to_owned);
    let body = answer.body_mut().with_config().limit(MOST).read_to_vec().with_context(|| format!("read {address}"))?;
    if !status.is_success() {
        let text = String::from_utf8_lossy(&body);
        let word = if status == 404 { "not_found".to_owned() } else { status.to_string() };
        bail!("{} ({word})", text.trim_end().lines().next().unwrap_or_default());
    }
    Ok((body, left_out))
}
