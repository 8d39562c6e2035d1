//! Telling a page that its run has changed.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::Uri;

use super::Pages;
use super::view::RunRoute;

/// The shortest time between two events.
const PAUSE: Duration = Duration::from_millis(250);

/// One event at the beginning, so that nothing that happened since the page was made is missed; then one for each change, or
/// several of them; at the end of the run the last. While nothing happens, nothing is sent.
pub(super) async fn events(State(pages): State<Pages>, Path(route): Path<RunRoute>, uri: Uri) -> Response {
    let run = match route.run(&pages, &uri) {
        Ok(run) => run,
        Err(error) => return error.into_response(),
    };
    let changes = run.subscribe();
    let closing = pages.control.closing().clone();
    let events = stream::unfold((Some(run), changes, true), |(run, mut changes, first)| async move {
        let run = run?;
        if !first && !run.is_finished() {
            // A sender that is gone is one of a run that nobody can change any more.
            let _ = changes.changed().await;
            tokio::time::sleep(PAUSE).await;
        }
        changes.mark_unchanged();
        let finished = run.is_finished();
        // A browser drops an event without data.
        let event = Event::default().event(if finished { "end" } else { "changed" }).data("now");
        Some((Ok::<_, Infallible>(event), ((!finished).then_some(run), changes, false)))
    });
    Sse::new(events.take_until(closing.cancelled_owned())).into_response()
}
