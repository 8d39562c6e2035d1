//! What the machine cannot do: what may pass by itself costs no attempt, and nothing of it decides about a process that has ended.

use std::error::Error as StdError;
use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use spanwise_blobs as blobs;
use spanwise_core::{Failure, FailureKind};
use spanwise_engine::Report;

use crate::definitions;
use crate::readiness::in_one_line;

/// The code of what may pass by itself; no report has it, see [`stopped_by`].
pub(super) const PASSING: &str = "MachineExhausted";

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Between two lines of the log about the same trouble.
const QUIET_LOG: Duration = Duration::from_secs(60);

/// What stopped an attempt on our side. What may pass by itself is not to be blamed on the attempt, which is made again; all else
/// has the budget of the system's failures.
pub(super) fn stopped_by(failure: Failure) -> Report {
    if failure.kind != FailureKind::System || failure.code != PASSING {
        return Report::Failed(failure);
    }
    tracing::warn!(message = failure.message, "the machine fails an attempt, which is made again");
    Report::unblamed(failure.message)
}

/// A failure that another attempt would meet again.
pub(super) fn damaged(doing: &str, error: &dyn StdError) -> Failure {
    Failure { code: SYSTEM.to_owned(), ..system_by(doing, error, false) }.terminal()
}

/// The failure of an attempt whose definition cannot be had.
pub(super) fn undefined(doing: &str, error: &definitions::Error) -> Failure {
    match error {
        definitions::Error::Engine(_) => passing(doing, error),
        definitions::Error::Missing(_) | definitions::Error::Invalid(_) => damaged(doing, error),
    }
}

const SYSTEM: &str = "SystemError";

/// A failure of the system, which has a budget of attempts.
pub(super) fn system(doing: &str, error: &(dyn StdError + 'static)) -> Failure {
    system_by(doing, error, is_passing(error))
}

/// A failure that may pass, whatever the reason: the journal and the blob store are not the attempt's.
pub(super) fn passing(doing: &str, error: &dyn StdError) -> Failure {
    system_by(doing, error, true)
}

/// The failure of a call of the blob store.
pub(super) fn unstored(doing: &str, error: &blobs::Error) -> Failure {
    match error {
        blobs::Error::BadUri(_) => damaged(doing, error),
        _ => passing(doing, error),
    }
}

fn system_by(doing: &str, error: &dyn StdError, passes: bool) -> Failure {
    let message = format!("{doing}: {}", in_one_line(error));
    Failure::system(if passes { PASSING } else { SYSTEM }, message)
}

/// The failure of a task that no process can run.
pub(super) fn bad_task(message: String) -> Failure {
    Failure::user("BadTaskSpecification", message).terminal()
}

/// Whether the machine had no room on the disk, no inodes, descriptors or memory left, or its disk did not answer.
pub(super) fn is_passing(error: &(dyn StdError + 'static)) -> bool {
    const PASSES: [Errno; 8] = [
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::AGAIN,
        Errno::IO,
        // A program that another process is still writing.
        Errno::TXTBSY,
    ];
    let mut next = Some(error);
    while let Some(error) = next {
        let number = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        if number.is_some_and(|number| PASSES.iter().any(|errno| errno.raw_os_error() == number)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Asks for what decides about an attempt until the machine can say: an attempt whose process or whose result cannot be looked at
/// now must not pass for lost, or it would be made twice. Only the end of the attempt, or of the server, ends this.
pub(crate) async fn patiently<T, E, F>(doing: &str, mut ask: impl FnMut() -> F) -> T
where
    E: Into<Box<dyn StdError + Send + Sync>>,
    F: Future<Output = Result<T, E>>,
{
    let (mut pause, mut said_at) = (FIRST_PAUSE, None::<Instant>);
    loop {
        match ask().await {
            Ok(said) => return said,
            Err(error) if said_at.is_none_or(|at| at.elapsed() >= QUIET_LOG) => {
                let error = error.into();
                tracing::warn!(error = &*error as &dyn StdError, "{doing}: tried again until it can be done");
                said_at = Some(Instant::now());
            }
            Err(_) => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_only_what_passes_by_itself_is_not_blamed_on_an_attempt() {
        let wrapped = |number| object_store::Error::Generic {
            store: "local",
            source: Box::new(io::Error::from_raw_os_error(number)),
        };
        for (number, passes) in [
            (28, true),
            (122, true),
            (24, true),
            (23, true),
            (12, true),
            (11, true),
            (5, true),
            (13, false),
            (2, false),
        ] {
            for failure in [system("x", &wrapped(number)), system("x", &io::Error::from_raw_os_error(number))] {
                match stopped_by(failure) {
                    Report::Lost { blamed: false, .. } => assert!(passes, "{number}"),
                    Report::Failed(failure) => {
                        assert!(!passes && failure.recoverable && failure.code == SYSTEM, "{number}");
                    }
                    other => panic!("{number}: {other:?}"),
                }
            }
        }
        let gone = blobs::Error::Gone { directory: "/store".into() };
        assert!(matches!(stopped_by(unstored("x", &gone)), Report::Lost { blamed: false, .. }));
        let damaged = damaged("x", &io::Error::from_raw_os_error(28));
        assert!(matches!(stopped_by(damaged), Report::Failed(failure) if !failure.recoverable));
    }

    #[tokio::test]
    async fn s4_what_decides_about_an_attempt_is_asked_for_until_the_machine_can_say() {
        let mut calls = 0;
        let said = patiently("x", || {
            calls += 1;
            std::future::ready(if calls < 4 { Err(io::Error::from_raw_os_error(13)) } else { Ok(calls) })
        });
        assert_eq!(said.await, 4);
    }
}
