//! A launch that fails although its process has begun: the attempt is not run twice, and the result of the process counts for more than the failure
//! of the launch.

use std::path::Path;

use spanwise_core::Failure;
use spanwise_engine::Report;
use spanwise_process::{Claim, Process, Runner};

use super::adopt;

/// The process of an attempt whose launch has failed, if it has made its claim all the same; none if it has ended since.
///
/// # Errors
/// The failure, if nothing has begun.
pub(super) async fn all_the_same(
    runner: &dyn Runner,
    claim: &Path,
    failure: &Failure,
) -> Result<Option<Process>, Failure> {
    match runner.claim_of(claim).await {
        Ok(Claim::Process(id)) => Ok(adopt(runner, &id).await),
        _ => Err(failure.clone()),
    }
}

/// The report of an attempt whose launch may have failed: one that has left nothing was ended by the failure.
///
/// # Errors
/// That failure.
pub(super) fn judged(report: Report, badly: Option<Failure>) -> Result<Report, Failure> {
    match (report, badly) {
        (Report::Lost { .. }, Some(failure)) => Err(failure),
        (report, _) => Ok(report),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use spanwise_process::{self as process, Launch, Limits, Machine};

    use super::*;

    fn failure() -> Failure {
        Failure::system("MachineExhausted", "take charge of the process")
    }

    #[tokio::test]
    async fn s4_a_process_that_has_begun_is_taken_up_when_its_launch_fails() {
        let directory = tempfile::tempdir().unwrap();
        let (directory, claim) = (directory.path().to_owned(), directory.path().join("1.process"));
        assert_eq!(
            all_the_same(&Machine::default(), &claim, &failure()).await.unwrap_err(),
            failure(),
            "nothing has begun"
        );
        let launch = Launch {
            argv: ["sleep", "600"].map(str::to_owned).to_vec(),
            env: vec![("PATH".to_owned(), std::env::var("PATH").unwrap())],
            log: directory.join("log"),
            directory,
            limits: Limits::default(),
            claim: Some(claim.clone()),
            mounted: None,
            container: None,
        };
        let launched = process::spawn(&launch).unwrap();
        // Its first act is the claim.
        while process::claim_of(&claim).await.unwrap() == Claim::Free {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let begun = all_the_same(&Machine::default(), &claim, &failure()).await.unwrap().expect("it is alive");
        assert_eq!(begun.id(), launched.id());
        begun.stop(Duration::ZERO).await;
        launched.wait().await;
        assert!(
            all_the_same(&Machine::default(), &claim, &failure()).await.unwrap().is_none(),
            "it has begun, and ended"
        );
    }

    #[test]
    fn s4_what_has_left_nothing_was_ended_by_the_failure_of_its_launch() {
        let lost = || Report::lost("gone");
        let succeeded = || Report::Succeeded(Bytes::from_static(b"out"));
        assert_eq!(judged(lost(), Some(failure())).unwrap_err(), failure());
        assert!(matches!(judged(lost(), None), Ok(Report::Lost { blamed: true, .. })));
        assert!(matches!(judged(succeeded(), Some(failure())), Ok(Report::Succeeded(_))), "a result counts");
    }
}
