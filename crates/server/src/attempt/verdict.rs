//! What an attempt came to, once its process has ended: the files that it left decide, then how far it came, then its exit
//! (protocol: "Result of an attempt").

use bytes::Bytes;
use spanwise_blobs as blobs;
use spanwise_blobs::{BlobUri, Blobs};
use spanwise_core::{Failure, FailureKind};
use spanwise_engine::Report;
use spanwise_process::{Beginning, Ending};
use spanwise_wire::{Invalid, failure, values};

use super::refusals::Refused;

/// The largest outputs that an action may have; the stock SDK's own limit is 10 MiB.
pub(super) const MAX_OUTPUTS: u64 = 11 << 20;

/// What the process left behind.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) error: Option<Result<Failure, Invalid>>,
    pub(crate) outputs: Outputs,
}

/// The outputs that a process left.
#[derive(Debug)]
pub(crate) enum Outputs {
    None,
    Content(Bytes),
    /// They are too large; so many bytes.
    TooLarge(u64),
}

/// What is known of an attempt beside the files that it has left.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) beginning: Beginning,
    pub(crate) ending: Ending,
    /// The task has outputs.
    pub(crate) has_outputs: bool,
    /// The end of its log.
    pub(crate) last_lines: &'a str,
    /// What it asked for and was refused.
    pub(crate) refused: &'a Refused,
}

impl Left {
    /// False if there are none, readable or not.
    pub(crate) fn has_outputs(&self) -> bool {
        !matches!(self.outputs, Outputs::None)
    }
}

/// Reads what an attempt left in its directory.
pub(crate) async fn read(blobs: &Blobs, directory: &BlobUri) -> Result<Left, blobs::Error> {
    // However long it is: what the user has to say is not lost to its own length.
    let error = blobs.skim(&directory.join("error.pb")?, failure::skim).await?;
    let error = error.map(|document| failure::read(&document));
    let outputs = match blobs.get(&directory.join("outputs.pb")?, MAX_OUTPUTS).await {
        Ok(Some(content)) => Outputs::Content(content),
        Ok(None) => Outputs::None,
        Err(blobs::Error::TooLarge { size, .. }) => Outputs::TooLarge(size),
        Err(error) => return Err(error),
    };
    Ok(Left { error, outputs })
}

/// Judges an attempt.
pub(crate) fn judge(left: Left, evidence: &Evidence<'_>) -> Report {
    if let Some(error) = left.error {
        let failure = error.unwrap_or_else(|error| Failure {
            kind: FailureKind::Unknown,
            ..Failure::user("UnreadableError", error.to_string())
        });
        return Report::Failed(evidence.refused.judge(failure));
    }
    match left.outputs {
        Outputs::Content(content) => return outputs(content, evidence.has_outputs),
        Outputs::TooLarge(size) => return Report::Failed(too_large(size)),
        Outputs::None => {}
    }
    match evidence.beginning {
        Beginning::Never => Report::unblamed(format!("its process never began ({})", said(evidence.ending))),
        Beginning::NotStarted => not_started(evidence.last_lines),
        Beginning::Began => ended(evidence),
    }
}

/// Outputs are the evidence of a success: each task that comes to its end leaves them, also one that has none.
fn outputs(content: Bytes, has_outputs: bool) -> Report {
    let missing = |why: String| Report::Failed(Failure::system("MissingOutputs", why));
    match values::outputs(&content) {
        Err(error) => missing(format!("what the process left as outputs is none: {error}")),
        Ok(found) if has_outputs && found.literals.is_empty() => {
            missing("the task has outputs, and the process left none".to_owned())
        }
        Ok(_) => Report::Succeeded(content),
    }
}

/// Another attempt would make as much.
pub(super) fn too_large(size: u64) -> Failure {
    let message = format!(
        "the outputs have {size} bytes, the limit is {MAX_OUTPUTS}: return large values as a File, a Dir or a DataFrame"
    );
    Failure::user("InlineIOMaxBytesBreached", message).terminal()
}

/// What the system says when it cannot start a program now, and can later.
const PASSING: [&str; 6] = [
    "Text file busy",
    "Cannot allocate memory",
    "Too many open files",
    "Resource temporarily unavailable",
    "No space left on device",
    "Input/output error",
];

fn not_started(last_lines: &str) -> Report {
    let said = last_lines.trim_end().rsplit('\n').next().unwrap_or_default();
    // In front of the last colons is the claim's name, which the shell takes for its own.
    let said = said.rsplit_once(": exec: ").map_or(said, |(_, said)| said);
    if PASSING.iter().any(|passing| said.contains(passing)) {
        return Report::unblamed(format!("its program could not be started: {said}"));
    }
    Report::Failed(cannot_start(said))
}

/// A process that the system can never start as it was asked for.
pub(crate) fn cannot_start(why: &str) -> Failure {
    Failure::user("TaskCannotStart", format!("the task's process cannot be started: {why}")).terminal()
}

/// The program ran, and left nothing.
fn ended(evidence: &Evidence<'_>) -> Report {
    let failed = |code: &str, what: &str| Report::Failed(Failure::user(code, with(what, evidence.last_lines)));
    match evidence.ending {
        // Whatever the task has as outputs: its body has not come to its end.
        Ending::Exited(0) => Report::Failed(Failure::system(
            "MissingOutputs",
            with(
                "the process ended with code 0 before the task had ended: it left neither outputs nor an error, as when \
                 something in it exits the interpreter",
                evidence.last_lines,
            ),
        )),
        Ending::Exited(code) => failed("TaskProcessFailed", &format!("the process exited with {code}")),
        // What the kernel does to a process that uses too much memory.
        Ending::Signalled(9) => failed("OOMKilled", "the process was killed by SIGKILL, as for using too much memory"),
        Ending::Signalled(signal) => failed("TaskProcessFailed", &format!("the process was ended by signal {signal}")),
        Ending::Gone => Report::lost("its process ended without a result"),
    }
}

fn said(ending: Ending) -> String {
    match ending {
        Ending::Exited(code) => format!("exit code {code}"),
        Ending::Signalled(signal) => format!("signal {signal}"),
        Ending::Gone => "nobody has claimed it".to_owned(),
    }
}

fn with(what: &str, last_lines: &str) -> String {
    if last_lines.trim().is_empty() {
        format!("{what}, and printed nothing")
    } else {
        format!("{what}; it last printed:\n{}", last_lines.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use spanwise_proto::flyteidl2::core::Literal;

    use super::*;

    const NEVER: Beginning = Beginning::Never;
    const BEGAN: Beginning = Beginning::Began;
    const NOT: Beginning = Beginning::NotStarted;

    fn some(content: &[u8]) -> Outputs {
        Outputs::Content(Bytes::copy_from_slice(content))
    }

    fn one() -> Outputs {
        Outputs::Content(values::single_output(Literal::integer(7)))
    }

    fn judged(report: Report) -> String {
        match report {
            Report::Succeeded(outputs) | Report::Produced(outputs, _) => format!("ok {}", !outputs.is_empty()),
            Report::Failed(failure) => format!("{} {:?} {}", failure.code, failure.kind, failure.recoverable),
            Report::Lost { blamed, .. } => format!("lost {blamed}"),
        }
    }

    #[track_caller]
    fn check(error: Option<&Failure>, outputs: Outputs, seen: (Beginning, Ending, bool, &str), expected: &str) {
        let (beginning, ending, has_outputs, last_lines) = seen;
        let left = Left { error: error.map(|error| failure::read(&failure::document(error))), outputs };
        let refused = Refused::default();
        let evidence = Evidence { beginning, ending, has_outputs, last_lines, refused: &refused };
        assert_eq!(judged(judge(left, &evidence)), expected, "{evidence:?}");
    }

    #[test]
    fn s4_files_decide_before_the_exit_and_an_error_before_outputs() {
        let error = Failure::user("ValueError", "no");
        let terminal = Failure { kind: FailureKind::Unknown, ..error.clone().terminal() };
        for beginning in [NEVER, BEGAN] {
            let seen = |ending| (beginning, ending, true, "");
            check(Some(&error), one(), seen(Ending::Exited(0)), "ValueError User true");
            check(Some(&terminal), Outputs::None, seen(Ending::Exited(1)), "ValueError Unknown false");
            check(None, one(), seen(Ending::Signalled(15)), "ok true");
            check(None, one(), seen(Ending::Gone), "ok true");
        }
    }

    #[test]
    fn s4_neither_outputs_nor_an_error_is_a_failure_whatever_the_interface() {
        for has_outputs in [false, true] {
            for (ending, expected) in [
                (Ending::Exited(0), "MissingOutputs System true"),
                (Ending::Exited(3), "TaskProcessFailed User true"),
                (Ending::Exited(126), "TaskProcessFailed User true"),
                (Ending::Exited(127), "TaskProcessFailed User true"),
                (Ending::Signalled(15), "TaskProcessFailed User true"),
                (Ending::Signalled(9), "OOMKilled User true"),
                (Ending::Gone, "lost true"),
            ] {
                check(None, Outputs::None, (BEGAN, ending, has_outputs, ""), expected);
            }
        }
    }

    #[test]
    fn s4_outputs_are_evidence_only_if_they_are_the_tasks() {
        let seen = |has_outputs| (BEGAN, Ending::Exited(0), has_outputs, "");
        check(None, some(b""), seen(false), "ok false");
        check(None, some(b""), seen(true), "MissingOutputs System true");
        check(None, some(b"half of it"), seen(true), "MissingOutputs System true");
        check(None, some(b"half of it"), seen(false), "MissingOutputs System true");
        check(None, one(), seen(true), "ok true");
    }

    #[test]
    fn s4_an_attempt_that_never_began_is_not_blamed() {
        for ending in [Ending::Exited(0), Ending::Exited(125), Ending::Signalled(9), Ending::Gone] {
            check(None, Outputs::None, (NEVER, ending, true, ""), "lost false");
        }
    }

    #[test]
    fn s4_what_can_never_be_started_is_the_users_and_what_cannot_now_is_nobodys() {
        let seen = |last_lines| (NOT, Ending::Exited(126), true, last_lines);
        for (last_lines, expected) in [
            ("/data/claim: 6: exec: ./x: Permission denied\n", "TaskCannotStart User false"),
            ("/data/claim: 6: exec: x: not found\n", "TaskCannotStart User false"),
            ("/x/a0: Exec format error\n", "TaskCannotStart User false"),
            ("", "TaskCannotStart User false"),
            ("/data/claim: 6: exec: /x: Text file busy\n", "lost false"),
            ("/data/claim: 6: exec: /x: Too many open files\n", "lost false"),
        ] {
            check(None, Outputs::None, seen(last_lines), expected);
        }
    }

    #[test]
    fn s8_outputs_over_the_limit_are_the_users_and_are_not_made_again() {
        let seen = (BEGAN, Ending::Exited(0), true, "");
        check(None, Outputs::TooLarge(MAX_OUTPUTS + 1), seen, "InlineIOMaxBytesBreached User false");
        let failure = too_large(12_000_030);
        assert!(failure.message.contains("12000030 bytes, the limit is 11534336"), "{failure:?}");
    }
}
