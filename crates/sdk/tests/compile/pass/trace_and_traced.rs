//! Every good form of `#[trace]` and `#[traced]`.
use std::sync::LazyLock;

use spanwise::{TaskEnvironment, task, trace, traced};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("compile"));

/// A step's own error takes the crate's: recording may fail too.
#[derive(Debug, thiserror::Error)]
#[error("the step failed")]
pub(super) struct StepError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl From<spanwise::Error> for StepError {
    fn from(error: spanwise::Error) -> StepError {
        StepError(error.into_boxed())
    }
}

#[trace]
async fn step(a: i64) -> spanwise::Result<i64> {
    Ok(a)
}

/// Has a comment.
#[trace(version = "2")]
pub(super) async fn versioned(mut items: Vec<i64>) -> Result<Vec<i64>, StepError> {
    items.push(1);
    Ok(items)
}

#[trace]
async fn no_arguments() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV)]
#[traced("fetch")]
async fn task_in_a_span(url: String) -> spanwise::Result<u64> {
    Ok(url.len() as u64)
}

#[trace]
#[traced]
async fn step_in_a_span(url: String) -> spanwise::Result<u64> {
    Ok(url.len() as u64)
}

#[task(env = ENV)]
#[traced]
fn blocking_task_in_a_span(mut url: String) -> spanwise::Result<String> {
    url.push('/');
    Ok(url)
}

#[traced]
async fn borrows(url: &str) -> usize {
    url.len()
}

#[traced]
fn generic<T: ToString>(value: T) -> String {
    value.to_string()
}

#[traced]
async fn nothing() {}

/// Makes a call of each.
pub(super) fn calls() {
    drop((step(1), versioned(Vec::new()), no_arguments(), step_in_a_span("x".to_owned())));
    drop((task_in_a_span("x".to_owned()), blocking_task_in_a_span("x".to_owned())));
    drop((borrows("x"), nothing()));
    let _text = generic(1);
}
