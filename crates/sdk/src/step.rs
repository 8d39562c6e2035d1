//! Steps: parts of a task that are recorded once they are done, and not done again (semantics S6).

use std::future::Future;
use std::sync::{Arc, OnceLock};

use spanwise_core::{ActionSpec, Failure};
use spanwise_engine::StepRecord;
use spanwise_proto::hash;
use spanwise_wire::CustomContext;

use crate::ctx::Ambient;
use crate::error::{Error, ErrorKind, Result};
use crate::parent::{CompletedStep, Parent};
use crate::payload::{encode_outputs, freeze, read_outputs};
use crate::task::{Arguments, TaskOutput};

/// What `#[trace]` writes down about a function.
pub struct Step {
    /// The function's name.
    pub function: &'static str,
    /// The text of its tokens, or the version that the user gave: other code is another step.
    pub source: &'static str,
    /// The names of its arguments.
    pub arguments: &'static [&'static str],
    /// Computed from the rest, once.
    pub identity: OnceLock<Arc<str>>,
}

impl Step {
    fn identity(&self) -> &Arc<str> {
        self.identity.get_or_init(|| hash::step_identity(self.function, self.source).into())
    }

    /// Runs the step, or returns what is recorded of it.
    ///
    /// # Errors
    /// Those of the body, live or recorded; [`ErrorKind::Value`] if an argument or the output does not fit.
    pub async fn run<A, T, F>(&self, arguments: A, body: impl FnOnce(A) -> F + Send) -> Result<T>
    where
        A: Arguments,
        T: TaskOutput,
        F: Future<Output = Result<T>> + Send,
    {
        let Some(ambient) = Ambient::current() else { return body(arguments).await };
        let literals = arguments.encode(self.arguments)?;
        let action = ambient.call_site().name_call(self.identity(), &literals);
        let parent = &ambient.task.parent;
        if let Some(record) = parent.step(action).await? {
            #[cfg(feature = "otel")]
            crate::otel::replayed_step(&ambient, self.function, action, &record);
            return read_record(record);
        }
        let inputs = freeze(literals, &CustomContext::new())?;
        let started = parent.now();
        let inside = Ambient { step: Some(action), ..ambient.clone() };
        #[cfg(feature = "otel")]
        let done = crate::otel::around_step(inside, self.function, action, body(arguments)).await;
        #[cfg(not(feature = "otel"))]
        let done = inside.scope(body(arguments)).await;
        let outcome: Result<_, Failure> = match &done {
            Ok(output) => Ok(encode_outputs(output.to_output()?)?),
            Err(error) => Err(error.to_failure()),
        };
        let spec = ActionSpec {
            group: ambient.group.as_deref().map(str::to_owned),
            ..ActionSpec::step(self.function, parent.action())
        };
        #[cfg(feature = "otel")]
        let observed = crate::otel::is_observing();
        #[cfg(not(feature = "otel"))]
        let observed = false;
        parent.record_step(CompletedStep { action, spec, started, inputs, outcome, observed }).await?;
        done
    }
}

fn read_record<T: TaskOutput>(record: StepRecord) -> Result<T> {
    match record.outcome {
        Ok(outputs) => read_outputs(&outputs),
        Err(failure) => Err(Error::from_failure(ErrorKind::User, failure)),
    }
}
