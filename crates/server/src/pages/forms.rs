//! The buttons: abort and run again.

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use spanwise_core::ActionName;

use super::run::Place;
use super::{PageError, Pages, address, guard};
use crate::wire;

/// The longest reason that is kept.
const LONGEST_REASON: usize = 1000;

/// What the forms send.
#[derive(Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    token: String,
    #[serde(default)]
    reason: String,
    /// The action to abort; the whole run if it is left out.
    #[serde(default)]
    action: String,
}

type Sent = Result<Form<Fields>, FormRejection>;

fn allowed(uri: &Uri, headers: &HeaderMap, sent: Sent) -> Result<Fields, PageError> {
    let refused = |text: String| PageError::new(StatusCode::FORBIDDEN, text);
    let Form(fields) = sent.map_err(|error| refused(error.body_text()))?;
    guard::check(uri, headers, &fields.token).map_err(|error| refused(error.to_string()))?;
    Ok(fields)
}

/// Aborts a run, or one of its actions with everything under it.
pub(super) async fn abort(
    State(pages): State<Pages>,
    Path(place): Path<Place>,
    uri: Uri,
    headers: HeaderMap,
    sent: Sent,
) -> Response {
    let aborted = async {
        let fields = allowed(&uri, &headers, sent)?;
        let run = place.run(&pages, &uri)?;
        let action = match fields.action.as_str() {
            "" => ActionName::ROOT,
            name => {
                wire::action_name(name).map_err(|error| PageError::new(StatusCode::BAD_REQUEST, error.to_string()))?
            }
        };
        let reason = fields.reason.trim();
        let reason = if reason.is_empty() { "from the console" } else { reason };
        let end = reason.floor_char_boundary(LONGEST_REASON);
        run.abort(action, "user", &reason[..end]).await?;
        Ok::<_, PageError>(address::run(run.id(), Some(&action)))
    };
    aborted.await.map_or_else(IntoResponse::into_response, |address| Redirect::to(&address).into_response())
}

/// Starts a run of the same task with the same inputs.
pub(super) async fn rerun(
    State(pages): State<Pages>,
    Path(place): Path<Place>,
    uri: Uri,
    headers: HeaderMap,
    sent: Sent,
) -> Response {
    let started = async {
        allowed(&uri, &headers, sent)?;
        let run = pages.control.rerun(&place.run(&pages, &uri)?).await?;
        Ok::<_, PageError>(address::run(run.id(), None))
    };
    Box::pin(started).await.map_or_else(IntoResponse::into_response, |address| Redirect::to(&address).into_response())
}
