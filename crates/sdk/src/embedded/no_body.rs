//! Actions that only wait: nothing of theirs is run.

use std::future::Future;
use std::pin::Pin;

use spanwise_core::Failure;
use spanwise_engine::{Attempt, Executor, Report};

/// Of what has no attempts: a timer, a condition.
pub(super) struct NoBody;

impl Executor for NoBody {
    fn execute(&self, _: Attempt) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        let failure = Failure::system("SystemError", "it only waits, and nothing of it can be run").terminal();
        Box::pin(std::future::ready(Report::Failed(failure)))
    }
}
