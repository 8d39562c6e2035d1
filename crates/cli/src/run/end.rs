//! The end of a run as it is printed, and what its failure means for the exit code.

use std::io::IsTerminal as _;
use std::process::ExitStatus;

use serde_json::{Value as Json, json};
use spanwise::__private::launch::{Started, Trouble};
use spanwise::ErrorKind;

use super::{How, Misuse, Output};
use crate::client::{as_it_is, print_json, say};
use crate::terminal::harmless;

/// What a run came to.
pub(super) enum End {
    Succeeded(Json),
    Failed {
        /// Flyte's name of the phase.
        phase: String,
        trouble: Trouble,
    },
}

/// Prints the end of a run. The exit code is 1 unless it has succeeded.
pub(super) fn print(how: &How, run: &Started, end: &End) -> anyhow::Result<u8> {
    // A program that reads it gets it as it is.
    let is_raw = how.raw || !std::io::stdout().is_terminal();
    match (how.output, end) {
        (Output::Text, End::Succeeded(Json::Null)) => {}
        (Output::Text, End::Succeeded(Json::String(text))) if is_raw => as_it_is(text)?,
        (Output::Text, End::Succeeded(Json::String(text))) => say(text)?,
        (Output::Text, End::Succeeded(value)) => print_json(value)?,
        (Output::Text, End::Failed { phase, trouble }) => eprintln!("{}", harmless(&written(phase, trouble))),
        (Output::Json, end) => print_json(&document(run, end))?,
    }
    Ok(u8::from(matches!(end, End::Failed { .. })))
}

fn document(run: &Started, end: &End) -> Json {
    let (phase, output, error) = match end {
        End::Succeeded(output) => ("SUCCEEDED", output.clone(), Json::Null),
        End::Failed { phase, trouble } => (phase.as_str(), Json::Null, json!(trouble)),
    };
    json!({ "run": run.run, "url": run.url, "phase": phase, "output": output, "error": error })
}

/// A failure as people read it.
fn written(phase: &str, trouble: &Trouble) -> String {
    let Trouble { kind, code, message, causes } = trouble;
    let what = match phase {
        "ABORTED" => "was aborted".to_owned(),
        other => other.to_lowercase().replace('_', " "),
    };
    let mut text = format!("error: the run {what}: [{code}] {message}");
    for cause in causes {
        text.push_str(&format!("\n  caused by: {cause}"));
    }
    let whose = match kind.as_str() {
        "User" => "an error of the task's code",
        "System" => "an error of the machine or of Spanwise, not of the task's code",
        _ => return text,
    };
    format!("{text}\n  ({whose})")
}

/// Why nothing was started, with the exit code that it stands for.
pub(super) fn refused(trouble: &Trouble) -> anyhow::Error {
    let mut text = trouble.message.clone();
    for cause in &trouble.causes {
        text.push_str(&format!(": {cause}"));
    }
    let is_misuse = [ErrorKind::Value, ErrorKind::Usage, ErrorKind::Context, ErrorKind::NotFound];
    if is_misuse.into_iter().any(|kind| trouble.is(kind)) {
        return Misuse(text).into();
    }
    anyhow::anyhow!("the run was not started: {text}")
}

/// How a process has ended.
pub(super) fn said(status: &std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(kind: &str) -> Trouble {
        Trouble {
            kind: kind.to_owned(),
            code: "MyCode".to_owned(),
            message: "it broke".to_owned(),
            causes: vec!["a cause".to_owned()],
        }
    }

    #[test]
    fn a_failure_is_said_with_its_code_its_causes_and_whose_it_is() {
        let said = written("FAILED", &trouble("User"));
        assert_eq!(
            said,
            "error: the run failed: [MyCode] it broke\n  caused by: a cause\n  (an error of the task's code)"
        );
        assert!(written("TIMED_OUT", &trouble("TimedOut")).starts_with("error: the run timed out: [MyCode]"));
        assert!(written("ABORTED", &trouble("Aborted")).starts_with("error: the run was aborted: "));
        let quoting = Trouble { message: "it was timed out".to_owned(), ..trouble("User") };
        assert!(written("FAILED", &quoting).contains("it was timed out"));
    }

    #[test]
    fn what_the_user_wrote_is_another_error_than_what_the_machine_did() {
        assert!(refused(&trouble("Value")).is::<Misuse>());
        assert!(!refused(&trouble("System")).is::<Misuse>());
    }
}
