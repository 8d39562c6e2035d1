//! What an attempt came to, once its process has ended: the files that it left decide, then its exit (protocol: "Result of an
//! attempt").

use bytes::Bytes;
use spanwise_core::{Failure, FailureKind};
use spanwise_engine::Report;

use crate::blobs::{BlobUri, Blobs};
use crate::process::Ending;
use crate::wire;

/// The largest outputs or error that an action may have; the stock SDK's own limit is 10 MiB.
const MAX_OUTPUTS: u64 = 11 << 20;

/// What the process left behind.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) error: Option<Bytes>,
    pub(crate) outputs: Option<Bytes>,
}

/// Reads what an attempt left in its directory.
pub(crate) async fn read(blobs: &Blobs, directory: &BlobUri) -> Result<Left, Failure> {
    let get = async |name: &str| {
        let uri = directory.join(name).map_err(|error| unreadable(name, &error))?;
        blobs.get(&uri, MAX_OUTPUTS).await.map_err(|error| unreadable(name, &error))
    };
    Ok(Left { error: get("error.pb").await?, outputs: get("outputs.pb").await? })
}

fn unreadable(name: &str, error: &dyn std::error::Error) -> Failure {
    Failure::system("OutputsUnreadable", format!("read {name}: {error}"))
}

/// Judges an attempt. `last_lines` are the end of its log.
pub(crate) fn judge(left: &Left, ending: &Ending, has_outputs: bool, last_lines: &str) -> Report {
    if let Some(document) = &left.error {
        return Report::Failed(wire::failure::read(document).unwrap_or_else(|error| Failure {
            kind: FailureKind::Unknown,
            ..Failure::user("UnreadableError", error.to_string())
        }));
    }
    if let Some(outputs) = &left.outputs {
        return Report::Succeeded(outputs.clone());
    }
    match ending {
        Ending::Exited(0) if !has_outputs => Report::Succeeded(Bytes::new()),
        Ending::Exited(0) => {
            Report::Failed(failed("MissingOutputs", "the process ended well but left no outputs", last_lines))
        }
        // Its program was written a moment ago, and a process forked meanwhile held it open: nothing of the task has run.
        Ending::Exited(126) if last_lines.contains("Text file busy") => {
            Report::Lost("its program was still open for writing".to_owned())
        }
        Ending::Exited(code) => {
            Report::Failed(failed("TaskProcessFailed", &format!("the process exited with {code}"), last_lines))
        }
        // What the kernel does to a process that uses too much memory.
        Ending::Signalled(9) => Report::Failed(failed(
            "OOMKilled",
            "the process was killed by SIGKILL, as for using too much memory",
            last_lines,
        )),
        Ending::Signalled(signal) => Report::Failed(failed(
            "TaskProcessFailed",
            &format!("the process was ended by signal {signal}"),
            last_lines,
        )),
        Ending::Gone => Report::Lost("its process ended without a result".to_owned()),
    }
}

fn failed(code: &str, what: &str, last_lines: &str) -> Failure {
    let message = if last_lines.trim().is_empty() {
        format!("{what}, and printed nothing")
    } else {
        format!("{what}; it last printed:\n{}", last_lines.trim_end())
    };
    Failure::user(code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(error: Option<&Failure>, outputs: Option<&str>) -> Left {
        Left {
            error: error.map(|error| wire::failure::write(error).into()),
            outputs: outputs.map(|text| Bytes::copy_from_slice(text.as_bytes())),
        }
    }

    fn code(report: Report) -> String {
        match report {
            Report::Succeeded(outputs) => format!("ok {}", outputs.len()),
            Report::Failed(failure) => format!("{} {:?} {}", failure.code, failure.kind, failure.recoverable),
            Report::Lost(_) => "lost".to_owned(),
        }
    }

    #[test]
    fn s4_files_decide_before_the_exit_and_an_error_before_outputs() {
        let error = Failure::user("ValueError", "no");
        let terminal = Failure { kind: FailureKind::Unknown, ..error.clone().terminal() };
        for (left, ending, expected) in [
            (left(Some(&error), Some("x")), Ending::Exited(0), "ValueError User true"),
            (left(Some(&terminal), None), Ending::Exited(1), "ValueError Unknown false"),
            (left(None, Some("x")), Ending::Signalled(15), "ok 1"),
            (left(None, None), Ending::Exited(0), "MissingOutputs User true"),
            (left(None, None), Ending::Exited(3), "TaskProcessFailed User true"),
            (left(None, None), Ending::Signalled(9), "OOMKilled User true"),
            (left(None, None), Ending::Gone, "lost"),
        ] {
            assert_eq!(code(judge(&left, &ending, true, "")), expected);
        }
        assert_eq!(code(judge(&left(None, None), &Ending::Exited(0), false, "")), "ok 0");
        let busy = judge(&left(None, None), &Ending::Exited(126), true, "sh: 1: /x: Text file busy");
        assert_eq!(code(busy), "lost");
    }
}
