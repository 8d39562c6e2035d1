//! The memory that a task may use, and what is said when it needs more.

use spanwise_core::Failure;
use spanwise_engine::Report;
use spanwise_process::Limits;
use spanwise_wire::{task::MemoryLimit, task::Program};

/// What an interpreter with the SDK has reserved before the first line of its task.
const INTERPRETER: u64 = 64 << 20;

/// What Flyte calls it: the SDK raises its `OOMError` for this code.
const OUT_OF_MEMORY: &str = "OOMKilled";

/// How those who were refused memory put it: Python, its threads, the system, Rust, C++ and the programs of GNU.
const REFUSED: [&str; 6] = [
    "MemoryError",
    "can't start new thread",
    "Cannot allocate memory",
    "memory allocation of ",
    "std::bad_alloc",
    "memory exhausted",
];

/// The limits of the processes of a task.
pub(crate) fn limits(program: &Program) -> Limits {
    let has_interpreter = program.task_type != "rust" && program.container.is_none();
    let reserved_bytes = if has_interpreter { INTERPRETER } else { 0 };
    Limits { memory_bytes: program.memory_limit.as_ref().map(|limit| limit.bytes), reserved_bytes }
}

/// Names the limit in the failure of a task that has met it. The kernel says of some that it has ended one of their processes.
pub(super) fn named(report: Report, limit: Option<&MemoryLimit>, is_told: bool) -> Report {
    match (report, limit) {
        (Report::Failed(failure), Some(limit)) if is_told || has_run_out(&failure) => {
            // A MemoryError of Python says nothing more.
            let said = if failure.message.trim().is_empty() { &failure.code } else { &failure.message };
            let message =
                format!("the task needs more memory than its limit of {} (its `resources`): {said}", limit.written);
            Report::Failed(Failure { code: OUT_OF_MEMORY.into(), message, ..failure })
        }
        // Nobody knows how the process of an earlier server has ended, but by this.
        (Report::Lost { reason, blamed: true }, Some(_)) if is_told => {
            named(Report::Failed(Failure::user(OUT_OF_MEMORY, reason)), limit, true)
        }
        (report, _) => report,
    }
}

fn has_run_out(failure: &Failure) -> bool {
    let code: &str = &failure.code;
    [OUT_OF_MEMORY, "MemoryError"].contains(&code) || REFUSED.iter().any(|words| failure.message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_named_where_a_task_has_met_it_and_nowhere_else() {
        let limit = MemoryLimit { bytes: 512 << 20, written: "512Mi".to_owned() };
        let shown = |failure: Failure, limit: Option<&MemoryLimit>| match named(Report::Failed(failure), limit, false) {
            Report::Failed(failure) => (failure.code.to_string(), failure.message, failure.recoverable),
            _ => panic!("it is still a failure"),
        };
        for (code, message) in [
            ("MemoryError", "Traceback ..\nMemoryError"),
            ("MemoryError", ""),
            ("OOMKilled", "the process was killed by SIGKILL, as for using too much memory"),
            ("RuntimeError", "can't start new thread"),
            ("OSError", "[Errno 12] Cannot allocate memory"),
            ("TaskProcessFailed", "signal 6; it last printed:\nmemory allocation of 1073741824 bytes failed"),
        ] {
            let (told_code, text, recoverable) = shown(Failure::user(code, message), Some(&limit));
            assert_eq!((told_code.as_str(), recoverable), ("OOMKilled", true), "{code}");
            assert!(text.contains("its limit of 512Mi") && text.contains(message), "{text}");
            let (code_without, text, _) = shown(Failure::user(code, message), None);
            assert_eq!((code_without.as_str(), text.as_str()), (code, message), "a task without a limit");
        }
        let other = Failure::user("ValueError", "no");
        let (code, text, _) = shown(other.clone(), Some(&limit));
        assert_eq!((code.as_str(), text.as_str()), ("ValueError", "no"));
        let adopted = named(Report::lost("it is gone"), Some(&limit), true);
        assert!(matches!(adopted, Report::Failed(failure) if *failure.code == *"OOMKilled"));
        assert!(matches!(named(Report::lost("it is gone"), Some(&limit), false), Report::Lost { .. }));
        let told = named(Report::Failed(other), Some(&limit), true);
        assert!(
            matches!(told, Report::Failed(failure) if *failure.code == *"OOMKilled" && failure.message.ends_with("): no"))
        );
    }

    #[test]
    fn an_interpreter_has_room_for_itself() {
        let limit = Some(MemoryLimit { bytes: 100, written: "100".to_owned() });
        let program = |task_type: &str| Program {
            task_type: task_type.to_owned(),
            memory_limit: limit.clone(),
            ..Program::default()
        };
        let limits_of = |bytes, reserved_bytes| Limits { memory_bytes: bytes, reserved_bytes };
        assert_eq!(limits(&program("rust")), limits_of(Some(100), 0));
        assert_eq!(limits(&program("python")), limits_of(Some(100), INTERPRETER));
        assert_eq!(limits(&Program::default()), limits_of(None, INTERPRETER));
    }
}
