//! This program as a process that a server has started for one attempt of a task. The truth about the attempt is the file that is left:
//! `outputs.pb` or `error.pb`.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use spanwise_core::Failure;
use spanwise_engine::{Caller, Fate, Report};
use spanwise_wire::failure;
use tokio::task::JoinSet;

use super::attempt::{Contract, broken_contract};
use super::connection::{Connection, LONG, error, persist};
use super::parent::Parent;
use super::program::Program;
use super::server::Server;
use crate::body::{Delivered, run_body};
use crate::client::{self, Client};
use crate::error::{Error, ErrorKind, Result};
use crate::{entry, task};

/// The end of an attempt waits this long for aborts that are under way.
const ABORTS_GRACE: Duration = Duration::from_secs(10);

/// Runs the attempt and ends the process; does not return. What stands before it in the program has run by then: a tracer
/// provider is set up here as in the driver.
pub(crate) async fn take_over() {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::AcqRel) {
        return std::future::pending().await;
    }
    let code = match run().await {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: {error:?}");
            1
        }
    };
    entry::end(code).await
}

/// Runs the attempt and leaves its result in the blob store. An error only if that is not possible.
async fn run() -> Result<()> {
    let contract = Contract::read()?;
    let connection = Connection::new(&contract.endpoint, Some(contract.blobs.clone()))?;
    let connection = connection.of_attempt(&contract.run, &contract.action);
    let read = persist(LONG, || connection.get(&contract.inputs)).await;
    let read = read.map_err(|source| error("read the inputs", &source))?;
    let missing = || broken_contract(&format!("the inputs `{}` are not there", contract.inputs));
    let inputs = read.ok_or_else(missing)?;
    let parent = Parent::new(connection.clone(), &contract);
    let server = Server::with_program(connection.clone(), contract.run.scope(), Program::of_attempt(&contract));
    client::set_default(Client::new(Box::new(server), connection.address().to_owned()));
    let report = match task::find(&contract.task) {
        Ok(task) => {
            let delivered = Delivered { inputs, span: None };
            let (body, unwritten) = run_body(task, delivered, parent.clone().into(), 0);
            let report = run_and_abort(&parent, body).await;
            unwritten.write().await;
            report
        }
        Err(error) => Report::Failed(error.to_failure()),
    };
    let (file, content) = match report {
        Report::Succeeded(outputs) | Report::Produced(outputs, _) => ("outputs.pb", outputs),
        Report::Failed(failed) => left(&failed),
        Report::Lost { reason, .. } => left(&Failure::system("AttemptLost", reason)),
    };
    let file = format!("{}/{file}", contract.outputs);
    let put = persist(LONG, || connection.put(&file, content.clone())).await;
    put.map_err(|source| error("write the result", &source))
}

/// A failure as a file, and in the log of the attempt.
fn left(failed: &Failure) -> (&'static str, Bytes) {
    eprintln!("error: {:?}", Error::from_failure(ErrorKind::User, failed.clone()));
    ("error.pb", failure::document(failed).into())
}

/// Runs the body of an attempt, and aborts what it gives up.
async fn run_and_abort(parent: &Parent, body: impl Future<Output = Report>) -> Report {
    let mut aborts = JoinSet::new();
    let has_failed = |report: &Report| !matches!(report, Report::Succeeded(_) | Report::Produced(..));
    let settle = |call, caller: Caller| {
        if caller.fate() == Fate::Abort {
            let parent = parent.clone();
            aborts.spawn(async move { parent.abort(call).await });
        }
    };
    let report = parent.dropped().settle_during(body, has_failed, settle).await;
    let _ = tokio::time::timeout(ABORTS_GRACE, async { while aborts.join_next().await.is_some() {} }).await;
    report
}
