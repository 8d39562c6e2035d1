//! What has become of the notifications of runs: on the page of a run, in the list of runs, and as a file for the command line.

use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;
use serde_json::{Value, json};
use spanwise_core::Timestamp;
use spanwise_engine::{NotificationRow, NotificationState, RunHandle};

use super::data::{failed, file};
use super::view::RunRoute;
use super::{PageError, Pages, address};

/// So many receivers with trouble are named in the list of runs.
const NAMED: usize = 5;

/// So many are counted.
const COUNTED: usize = 1000;

/// A notification, as the page of its run says it.
pub(super) struct Notified {
    pub(super) receiver: String,
    pub(super) state: String,
    /// Why it is not there, if it was tried in vain.
    pub(super) trouble: Option<String>,
}

/// A receiver that does not take what it should, in the list of runs.
pub(super) struct Trouble {
    pub(super) text: String,
    /// The newest run that is not notified of.
    pub(super) href: String,
}

/// The notifications of a run.
pub(super) async fn of_run(run: &RunHandle) -> Result<Vec<Notified>, PageError> {
    let (rows, is_finished) = (run.notifications().await?, run.is_finished());
    Ok(rows.into_iter().map(|row| notified(row, is_finished)).collect())
}

fn notified(row: NotificationRow, is_finished: bool) -> Notified {
    let trouble = trouble(&row);
    Notified { state: word(&row, is_finished).to_owned(), receiver: row.receiver, trouble }
}

fn word(row: &NotificationRow, is_finished: bool) -> &'static str {
    match row.state {
        NotificationState::Waiting if !is_finished => "at the end of the run",
        NotificationState::Waiting => "not delivered yet",
        NotificationState::Delivered => "delivered",
        NotificationState::GivenUp => "given up",
        NotificationState::Unwanted => "not wanted for this phase",
    }
}

fn trouble(row: &NotificationRow) -> Option<String> {
    let error = row.error.as_deref()?;
    let what = match row.state {
        NotificationState::Waiting => "is not notified yet",
        NotificationState::GivenUp => "is not notified: it was given up",
        NotificationState::Delivered | NotificationState::Unwanted => return None,
    };
    let tries = match row.tries {
        1 => "1 try".to_owned(),
        tries => format!("{tries} tries"),
    };
    Some(format!("{} {what} ({tries}): {error}", row.receiver))
}

/// Receivers that do not take what they should, those of the newest runs first.
pub(super) fn troubles(pages: &Pages, project: &str, domain: &str) -> Result<Vec<Trouble>, PageError> {
    let rows = pages.control.troubled_notifications(project, domain, COUNTED)?;
    let hidden = rows.len().saturating_sub(NAMED);
    let named = rows.into_iter().take(NAMED).filter_map(|(run, row, count)| {
        let text = format!("Run {}: {}", run.id.name, trouble(&row)?);
        let text = match count.saturating_sub(1) {
            0 => text,
            others => format!("{text} (and {others} older of the kind)"),
        };
        Some(Trouble { text, href: address::run(&run.id, None) })
    });
    let mut named: Vec<Trouble> = named.collect();
    if hidden > 0
        && let Some(last) = named.last_mut()
    {
        last.text.push_str(&format!("; {hidden} more receivers are not notified"));
    }
    Ok(named)
}

/// `notifications.json`.
pub(super) async fn of_command_line(State(pages): State<Pages>, Path(route): Path<RunRoute>, uri: Uri) -> Response {
    let described = async {
        let run = route.run(&pages, &uri)?;
        let is_finished = run.is_finished();
        let rows = run.notifications().await?;
        let body = Value::from_iter(rows.iter().map(|row| described(row, is_finished)));
        Ok::<_, PageError>(file(&format!("{}-notifications.json", run.id().name), body.to_string().into_bytes()))
    };
    described.await.unwrap_or_else(failed)
}

fn described(row: &NotificationRow, is_finished: bool) -> Value {
    json!({
        "rule": row.rule,
        "receiver": row.receiver,
        "state": match row.state {
            NotificationState::Waiting => "waiting",
            NotificationState::Delivered => "delivered",
            NotificationState::GivenUp => "given_up",
            NotificationState::Unwanted => "unwanted",
        },
        "said": word(row, is_finished),
        "tries": row.tries,
        "error": row.error,
        "at": row.at.map(|Timestamp(micros)| spanwise_proto::json::rfc3339(micros.div_euclid(1_000_000), 0)),
    })
}

#[cfg(test)]
mod tests {
    use spanwise_engine::RunKey;

    use super::*;

    #[test]
    fn s13_the_page_says_what_is_not_delivered_and_why() {
        let row = |state, tries: u32, error: Option<&str>| NotificationRow {
            run: RunKey(1),
            rule: 0,
            receiver: "Slack at https://hooks.slack.com".to_owned(),
            state,
            tries,
            at: None,
            error: error.map(str::to_owned),
        };
        let waiting = NotificationState::Waiting;
        for (row, is_finished, state, trouble) in [
            (row(waiting, 0, None), false, "at the end of the run", None),
            (row(waiting, 0, None), true, "not delivered yet", None),
            (
                row(waiting, 1, Some("it answers 500")),
                true,
                "not delivered yet",
                Some("is not notified yet (1 try): it answers 500"),
            ),
            (
                row(NotificationState::GivenUp, 3, Some("x")),
                true,
                "given up",
                Some("is not notified: it was given up (3 tries): x"),
            ),
            (row(NotificationState::Delivered, 2, None), true, "delivered", None),
            (row(NotificationState::Unwanted, 0, None), true, "not wanted for this phase", None),
        ] {
            let said = notified(row, is_finished);
            let expected = trouble.map(|text| format!("Slack at https://hooks.slack.com {text}"));
            assert_eq!((said.state.as_str(), said.trouble), (state, expected));
        }
    }
}
