//! The control plane: runs are created, actions enqueued, driven and taken up again after a restart.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use spanwise_blobs::{BlobUri, Blobs};
use spanwise_core::lifecycle::TraceLevel;
use spanwise_core::trigger::FiringRules;
use spanwise_core::{ActionName, AttemptNo, RunDefaults, RunId, Timestamp};
use spanwise_engine::{
    Call, Engine, NotificationLimits, NotificationRow, Notifications, Outcome, OutsideWait, RunHandle, RunOptions,
    RunRow,
};
use spanwise_wire::{Invalid, ids::TaskKey};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::apps::Apps;
use crate::attempt::ProcessExecutor;
use crate::calls;
use crate::definitions::Definitions;
use crate::layout::DataDir;
use crate::leftovers::{self, Leftovers};
use crate::notify::Courier;
use crate::readiness::{NotReady, Readiness, in_one_line};
use crate::secrets::Secrets;
use crate::upload_copies::UploadCopies;

mod abort;
mod apps;
mod artifacts;
mod builder;
mod bundle;
mod caller;
mod clock;
mod create;
mod deploy;
mod ending;
mod enqueue;
mod files;
mod firing;
#[cfg(test)]
mod inside;
mod logs;
mod projects;
mod reads;
mod recovery;
mod rerun;
mod secrets;
mod settings;
mod signal;
mod tracked;
mod triggers;

pub(crate) use apps::AppView;
pub(crate) use artifacts::version;
pub(crate) use caller::Caller;
pub(crate) use clock::wall_clock;
pub(crate) use create::{NewRun, random_name};
pub(crate) use deploy::Deployed;
pub(crate) use enqueue::NewAction;
pub(crate) use logs::{AttemptLog, LogEnd};
pub(crate) use reads::Image;
pub(crate) use signal::Answer;
pub(crate) use triggers::{Fire, NewTrigger};

/// Why the control plane refused, by what the client can do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The request makes no sense.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// What it refers to is not there.
    #[error("{0}")]
    NotFound(String),
    /// There is one of this name already.
    #[error("{0}")]
    AlreadyExists(String),
    /// It is not what the caller has read any more.
    #[error("{0}")]
    Changed(String),
    /// What it needs is not as it must be.
    #[error("{0}")]
    Unmet(String),
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] spanwise_engine::Error),
    /// The blob store failed.
    #[error(transparent)]
    Blobs(#[from] spanwise_blobs::Error),
    /// A name of a blob.
    #[error(transparent)]
    Uri(#[from] spanwise_blobs::BadUri),
    /// Nothing new is accepted now.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// What the journal has of a run makes no sense.
    #[error("run `{run}` cannot be read: {cause}")]
    Unreadable {
        /// The run.
        run: spanwise_core::RunName,
        /// Why.
        cause: String,
    },
    /// A definition could not be read.
    #[error(transparent)]
    Definition(#[from] crate::definitions::Error),
    /// The file system failed.
    #[error("{doing}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl From<leftovers::Error> for Error {
    fn from(error: leftovers::Error) -> Error {
        match error {
            leftovers::Error::Engine(source) => Error::Engine(source),
            leftovers::Error::Blobs(source) => Error::Blobs(source),
            leftovers::Error::Uri(source) => Error::Uri(source),
            leftovers::Error::Io { doing, source } => Error::Io { doing, source },
        }
    }
}

/// The largest inputs that an action may have; the stock SDK's own limit is 10 MiB.
pub(crate) const MAX_INPUTS: u64 = 11 << 20;

/// How long a run rests that the journal has broken off, or whose driver has panicked.
const TAKEN_UP_AGAIN: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(5) };

/// How a driver ends.
type Driven = Result<Outcome, spanwise_engine::Error>;

/// What a control plane is made of.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) executor: ProcessExecutor,
    pub(crate) definitions: Definitions,
    pub(crate) blobs: Blobs,
    pub(crate) secrets: Secrets,
    pub(crate) apps: Apps,
    pub(crate) data: DataDir,
    pub(crate) readiness: Readiness,
    pub(crate) upload_copies: UploadCopies,
    pub(crate) courier: Courier,
    /// A run that asks for something which is not honoured is refused instead of warned about.
    pub(crate) strict: bool,
    pub(crate) trace: TraceRules,
    /// What becomes of slots, of triggers that do not say it.
    pub(crate) firing: FiringRules,
    /// After which time without a report the program of a tracked run is taken for lost; none: never.
    pub(crate) tracked_silence: Option<Duration>,
}

/// How the lifecycle of runs is traced, unless a run says otherwise.
#[derive(Clone, Debug)]
pub(crate) struct TraceRules {
    pub(crate) level: TraceLevel,
    /// Projects that have a level of their own.
    pub(crate) projects: BTreeMap<String, TraceLevel>,
    /// The part of the runs that is traced, of those without a caller's trace.
    pub(crate) ratio: f64,
}

impl TraceRules {
    fn level_in(&self, project: &str) -> TraceLevel {
        self.projects.get(project).copied().unwrap_or(self.level)
    }
}

/// The URI of a blob in a field of a request.
fn blob_uri(field: &'static str, uri: &str) -> Result<BlobUri, Invalid> {
    if uri.is_empty() {
        return Err(Invalid::Missing(field));
    }
    uri.parse().map_err(|error| Invalid::field(format!("{field}: {error}")))
}

/// The control plane. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ControlPlane {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    executor: ProcessExecutor,
    definitions: Definitions,
    blobs: Blobs,
    secrets: Secrets,
    apps: Apps,
    data: DataDir,
    upload_copies: UploadCopies,
    /// Deployments that were refused because their version has another content, and when.
    refused: Mutex<HashMap<TaskKey, Timestamp>>,
    leftovers: Leftovers,
    readiness: Readiness,
    courier: Courier,
    strict: bool,
    trace: TraceRules,
    firing: FiringRules,
    tracked_silence: Option<Duration>,
    timer: firing::Timer,
    drivers: TaskTracker,
    /// Cancelled when the server ends: what would go on for ever ends then.
    closing: CancellationToken,
}

/// False for the run of a program that has its own engine, in a directory that both have used: it has left no definition of its
/// task, and goes on in that program only.
pub(crate) fn is_driven_here(run: &RunHandle) -> bool {
    run.settings().definition.is_some()
}

impl ControlPlane {
    pub(crate) fn new(parts: Parts) -> ControlPlane {
        let Parts {
            engine,
            executor,
            definitions,
            blobs,
            secrets,
            apps,
            data,
            readiness,
            upload_copies,
            courier,
            strict,
            trace,
            firing,
            tracked_silence,
        } = parts;
        let (drivers, closing) = (TaskTracker::new(), CancellationToken::new());
        let leftovers = Leftovers::new(engine.clone(), blobs.clone(), data.clone());
        let inner = Inner {
            engine,
            executor,
            definitions,
            blobs,
            secrets,
            apps,
            data,
            upload_copies,
            refused: Mutex::default(),
            leftovers,
            readiness,
            courier,
            strict,
            trace,
            firing,
            tracked_silence,
            timer: firing::Timer::default(),
            drivers,
            closing,
        };
        ControlPlane { inner: Arc::new(inner) }
    }

    /// Cancelled when the server ends.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.inner.closing
    }

    /// A run by its name.
    pub(crate) fn run(&self, id: &RunId) -> Result<RunHandle, Error> {
        let run = self.inner.engine.resume(id).map_err(|error| match error {
            spanwise_engine::Error::NotFound(name) => Error::NotFound(format!(
                "run `{name}` does not exist in project `{}`, domain `{}`",
                id.project, id.domain
            )),
            other if other.is_damage() => Error::Unreadable { run: id.name.clone(), cause: in_one_line(&other) },
            other => Error::from(other),
        })?;
        calls::is_about(&run);
        Ok(run)
    }

    /// Removes what pruned runs have left, and says when the disk is full, in the background, as long as the server goes on.
    pub(crate) fn keep_house(&self) {
        let (inner, closing) = (Arc::clone(&self.inner), self.inner.closing.clone());
        tokio::spawn(async move { closing.run_until_cancelled(inner.leftovers.watch()).await });
        let (readiness, closing) = (self.inner.readiness.clone(), self.inner.closing.clone());
        tokio::spawn(async move { closing.run_until_cancelled(readiness.tell()).await });
    }

    /// Notifies of the ends of runs, as long as what this returns is there.
    pub(crate) fn notify(&self, limits: NotificationLimits) -> Notifications {
        self.inner.engine.notify(Arc::new(self.inner.courier.clone()), limits)
    }

    /// Receivers with notifications that were tried in vain: the newest of each with its run, and how many there are.
    pub(crate) fn troubled_notifications(
        &self,
        project: &str,
        domain: &str,
        limit: usize,
    ) -> Result<Vec<(RunRow, NotificationRow, u64)>, Error> {
        Ok(self.inner.engine.troubled_notifications(project, domain, limit)?)
    }

    /// Takes up every run that was under way when an earlier server ended: its attempts are adopted, its queue goes on. One that cannot
    /// be read keeps no other from that.
    pub(crate) fn recover(&self) -> Result<usize, Error> {
        let unfinished = self.inner.engine.unfinished()?;
        let mut runs = Vec::with_capacity(unfinished.len());
        for id in &unfinished {
            match self.inner.engine.resume(id) {
                Ok(run) => runs.push(run),
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error.into()),
            }
        }
        // Nothing is launched before the attempts of all runs are counted: else the pools would give out what others have.
        runs.iter().for_each(|run| self.take_up(run));
        for (id, cause) in self.inner.engine.unreadable() {
            let (project, domain) = (&id.project, &id.domain);
            tracing::error!(run = %id.name, project, domain, cause, "a run cannot be read and stays as it is; the others go on");
        }
        Ok(unfinished.len())
    }

    /// Drives what nobody drives of a run that is not at its end.
    fn take_up(&self, run: &RunHandle) {
        if !is_driven_here(run) {
            return;
        }
        for action in run.unfinished().into_iter().filter(|action| !run.is_driven(action)) {
            self.drive(run, action, None);
        }
    }

    /// Takes up a run again, as a restart would: one that the journal has broken off when all of its drivers have ended.
    fn take_up_again(&self, id: &RunId) {
        let (plane, id) = (self.clone(), id.clone());
        let closing = self.inner.closing.clone();
        tokio::spawn(closing.run_until_cancelled_owned(async move {
            tokio::time::sleep(TAKEN_UP_AGAIN).await;
            match plane.inner.engine.resume(&id) {
                Ok(run) if !run.is_broken() => plane.take_up(&run),
                // Another driver of it comes here later.
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(run = %id.name, error = &error as &dyn std::error::Error, "a run stays as it is")
                }
            }
        }));
    }

    /// Drives an action to its end in the background. `inputs` are its own, if they have just been stored.
    pub(crate) fn drive(&self, run: &RunHandle, action: ActionName, mut inputs: Option<Bytes>) {
        let (run, executor, plane) = (run.clone(), self.inner.executor.clone(), self.clone());
        self.inner.drivers.spawn(async move {
            let recovered = plane.recovered(&run, action, &mut inputs);
            if plane.inner.closing.run_until_cancelled(recovered).await.is_none() {
                return;
            }
            let call = Call { action, inputs, caller: None };
            plane.see_through(&run, action, run.drive(call, &executor)).await;
            // What it has produced is in the journal by now.
            if executor.has_produced(&run, action) {
                plane.inner.timer.wake.notify_one();
            }
            executor.remove_empty_work(&run);
            if action.is_root() {
                plane.inner.timer.ended(&run);
            }
        });
    }

    /// Waits for a driver of an action. If it cannot go on, or panics, what nobody drives of its run is taken up again.
    async fn see_through(&self, run: &RunHandle, action: ActionName, driver: impl Future<Output = Driven>) {
        let cause = match AssertUnwindSafe(driver).catch_unwind().await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => in_one_line(&error),
            Err(_) => "its driver has panicked".to_owned(),
        };
        let trace_id = run.span().map(|span| tracing::field::display(span.trace));
        tracing::error!(run = %run.id().name, %action, trace_id, cause, "an action cannot go on");
        self.take_up_again(run.id());
    }

    /// An attempt waits for something outside of its run, and takes up no slot, until what this returns is dropped.
    pub(crate) fn wait_outside(&self, run: &RunHandle, action: ActionName, attempt: AttemptNo) -> OutsideWait {
        run.wait_outside(action, attempt)
    }

    /// The inputs under the URI in a field of a request.
    pub(crate) async fn read_inputs(&self, field: &'static str, uri: &str) -> Result<Bytes, Error> {
        let uri = blob_uri(field, uri)?;
        let found = self.inner.blobs.get(&uri, MAX_INPUTS).await?;
        found.ok_or_else(|| Error::NotFound(format!("the inputs `{uri}` are not in the blob store")))
    }

    /// The inputs that a client has uploaded before. A directory is taken too: it is what other backends answer to an upload.
    pub(crate) async fn read_offloaded(&self, field: &'static str, uri: &str) -> Result<Bytes, Error> {
        if uri.is_empty() || uri.ends_with("/inputs.pb") {
            return self.read_inputs(field, uri).await;
        }
        self.read_inputs(field, &format!("{}/inputs.pb", uri.trim_end_matches('/'))).await
    }

    /// What is said of a queue that this server does not have.
    pub(crate) fn queue_not_there(&self, queue: &str) -> Option<String> {
        crate::queues::not_there(&self.inner.engine, Some(queue))
    }

    /// What the run was created with, as its client sent it, with what the server has filled in.
    pub(crate) fn options(&self, run: &RunHandle) -> Result<Arc<RunOptions>, Error> {
        Ok(self.inner.definitions.options(run.settings())?)
    }

    /// What a run and its tasks have where they say nothing.
    pub(crate) fn defaults(&self, run: &RunHandle) -> Result<Arc<RunDefaults>, Error> {
        Ok(self.inner.definitions.defaults(run.settings())?)
    }

    /// The message that a run was created with.
    pub(crate) fn sent_options(&self, run: &RunHandle) -> Result<Bytes, Error> {
        Ok(self.inner.definitions.sent_options(run.settings())?)
    }
}

#[cfg(test)]
mod tests;
