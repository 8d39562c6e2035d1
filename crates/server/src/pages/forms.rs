//! The buttons: abort, run again, and the answers to what waits for somebody.

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use spanwise_core::{ActionName, Phase};
use spanwise_engine::RunHandle;
use spanwise_wire::condition::Given;

use super::format::badge;
use super::view::RunRoute;
use super::{PageError, Pages, address, guard};
use crate::control::{Answer, Caller};

/// The longest reason that is kept.
const LONGEST_REASON: usize = 1000;

/// What the forms send.
#[derive(Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    token: String,
    #[serde(default)]
    reason: String,
    /// The action that is meant; the root if it is left out.
    #[serde(default)]
    action: String,
    /// The answer to a condition.
    #[serde(default)]
    value: String,
}

impl Fields {
    fn action(&self) -> Result<ActionName, PageError> {
        match self.action.as_str() {
            "" => Ok(ActionName::ROOT),
            name => spanwise_wire::action_name(name).map_err(not_understood),
        }
    }
}

fn not_understood(error: impl ToString) -> PageError {
    PageError::new(StatusCode::BAD_REQUEST, error.to_string())
}

type Sent = Result<Form<Fields>, FormRejection>;

fn allowed(uri: &Uri, headers: &HeaderMap, sent: Sent) -> Result<Fields, PageError> {
    let refused = |text: String| PageError::new(StatusCode::FORBIDDEN, text);
    let Form(fields) = sent.map_err(|error| refused(error.body_text()))?;
    guard::check(uri, headers, &fields.token).map_err(|error| refused(error.to_string()))?;
    Ok(fields)
}

/// Leads the browser to the page that shows what the form has done, or tells what was wrong with it.
fn then_show(done: Result<String, PageError>) -> Response {
    done.map_or_else(IntoResponse::into_response, |address| Redirect::to(&address).into_response())
}

/// Aborts a run, or one of its actions with everything under it.
pub(super) async fn abort(
    State(pages): State<Pages>,
    Path(route): Path<RunRoute>,
    uri: Uri,
    headers: HeaderMap,
    sent: Sent,
) -> Response {
    let aborted = async {
        let fields = allowed(&uri, &headers, sent)?;
        let run = route.run(&pages, &uri)?;
        let action = fields.action()?;
        let reason = fields.reason.trim();
        let reason = if reason.is_empty() { "from the console" } else { reason };
        let end = reason.floor_char_boundary(LONGEST_REASON);
        if let Some(phase) = pages.control.abort(&run, action, &Caller::user(), &reason[..end]).await? {
            return Err(had_ended(&run, action, phase));
        }
        Ok(address::run(run.id(), Some(&action)))
    };
    then_show(aborted.await)
}

/// There was nothing to abort any more.
fn had_ended(run: &RunHandle, action: ActionName, phase: Phase) -> PageError {
    let phase = badge(phase).word.to_lowercase();
    let what = match action.is_root() {
        true => format!("run `{}`", run.id().name),
        false => format!("action `{action}` of run `{}`", run.id().name),
    };
    PageError::new(StatusCode::CONFLICT, format!("{what} had ended already ({phase}): it stays as it is"))
}

/// Gives a condition its value.
pub(super) async fn signal(
    State(pages): State<Pages>,
    Path(route): Path<RunRoute>,
    uri: Uri,
    headers: HeaderMap,
    sent: Sent,
) -> Response {
    let answered = async {
        let fields = allowed(&uri, &headers, sent)?;
        let run = route.run(&pages, &uri)?;
        let action = fields.action()?;
        let answer = Answer { by: Caller::user(), from: None, value: Given::Text(fields.value) };
        pages.control.signal(&run, action, answer).await?;
        Ok(address::run(run.id(), Some(&action)))
    };
    then_show(answered.await)
}

/// Starts a run of the same task with the same inputs.
pub(super) async fn rerun(
    State(pages): State<Pages>,
    Path(route): Path<RunRoute>,
    uri: Uri,
    headers: HeaderMap,
    sent: Sent,
) -> Response {
    let started = async {
        allowed(&uri, &headers, sent)?;
        let run = pages.control.rerun(&route.run(&pages, &uri)?).await?;
        Ok(address::run(run.id(), None))
    };
    then_show(Box::pin(started).await)
}
