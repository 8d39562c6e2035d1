//! An export from a store that cannot be read for a while.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use spanwise_core::artifact::{ArtifactId, ArtifactKey, ArtifactName, PartitionSchema};
use spanwise_core::lifecycle::{RunTrace, TraceLevel};
use spanwise_core::trigger::TriggerId;
use spanwise_core::{ActionName, ActionSpec, Command, Event, RunName, Timestamp};
use spanwise_store::{
    ActionRow, AppRow, Append, ArtifactGroup, ArtifactQuery, ArtifactRow, Artifacts, CachedOutputs, Definition, Due,
    DueQuery, Memory, NewArtifact, NotificationRow, Payloads, ProjectRow, Pruned, Registry, Retention, RunQuery,
    RunRow, Scope, SettingsRow, StoredRun, TaskQuery, TaskRow, TriggerQuery, TriggerRow,
};

use super::*;
use crate::engine::{EngineConfig, Storage};
use crate::{NewRun, RunHandle};

/// A store of which so many reads of runs fail as they do while a disk is away.
struct Unsteady {
    store: Memory,
    failures: AtomicU32,
}

type Stored<T> = Result<T, spanwise_store::Error>;

/// Methods that the store answers itself.
macro_rules! passed_on {
    ($(fn $name:ident(&self $(, $argument:ident: $kind:ty)*) -> $answer:ty;)*) => {
        $(fn $name(&self $(, $argument: $kind)*) -> $answer { self.store.$name($($argument),*) })*
    };
}

impl Registry for Unsteady {
    passed_on! {
        fn put_project(&self, project: &ProjectRow, is_new: bool) -> Stored<bool>;
        fn registered_projects(&self) -> Stored<Vec<ProjectRow>>;
        fn put_settings(&self, settings: &SettingsRow) -> Stored<bool>;
        fn settings(&self, scope: &Scope) -> Stored<Vec<SettingsRow>>;
    }
}

impl Artifacts for Unsteady {
    passed_on! {
        fn put_artifact(&self, new: &NewArtifact) -> Stored<Option<ArtifactKey>>;
        fn artifacts(&self, query: &ArtifactQuery) -> Stored<Vec<ArtifactRow>>;
        fn artifact_by_key(&self, key: ArtifactKey) -> Stored<Option<ArtifactRow>>;
        fn artifact_names(&self, scope: Option<&Scope>, part: &str, offset: usize, limit: usize) -> Stored<Vec<ArtifactGroup>>;
        fn artifact_metadata_keys(&self, scope: &Scope, name: Option<&str>) -> Stored<Vec<String>>;
        fn delete_artifact(&self, id: &ArtifactId) -> Stored<bool>;
        fn declare_artifact(&self, name: &ArtifactName, schema: &PartitionSchema) -> Stored<PartitionSchema>;
        fn artifact_schema(&self, name: &ArtifactName) -> Stored<Option<(PartitionSchema, bool)>>;
        fn newest_artifact(&self) -> Stored<ArtifactKey>;
        fn runs_with_artifact(&self, artifact: ArtifactKey, limit: usize) -> Stored<Vec<RunKey>>;
        fn artifacts_of_run(&self, run: RunKey) -> Stored<Vec<ArtifactKey>>;
        fn settle_version(&self, trigger: &TriggerId, version: ArtifactKey) -> Stored<()>;
        fn settled_version(&self, trigger: &TriggerId) -> Stored<Option<ArtifactKey>>;
    }
}

impl Store for Unsteady {
    fn run(&self, run: RunKey) -> Stored<Option<RunRow>> {
        let fails = |left: u32| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
            let source = std::io::Error::other("the disk is away").into();
            return Err(spanwise_store::Error::Unusable { file: "journal.db".into(), source });
        }
        self.store.run(run)
    }

    passed_on! {
        fn create_run(&self, run: &RunRow, first: Append) -> Stored<RunKey>;
        fn commit(&self, batch: &[Append]) -> Stored<()>;
        fn find(&self, id: &RunId) -> Stored<Option<(RunKey, RunRow)>>;
        fn load(&self, run: RunKey) -> Stored<Option<StoredRun>>;
        fn payloads(&self, run: RunKey, action: &ActionName) -> Stored<Payloads>;
        fn action(&self, run: RunKey, action: &ActionName) -> Stored<Option<ActionRow>>;
        fn action_of_each(&self, runs: &[RunKey], action: &ActionName) -> Stored<Vec<(RunKey, ActionRow)>>;
        fn events_of(&self, run: RunKey, action: &ActionName) -> Stored<Vec<Event>>;
        fn runs(&self, query: &RunQuery) -> Stored<Vec<(RunKey, RunRow)>>;
        fn unfinished(&self) -> Stored<Vec<RunRow>>;
        fn definition(&self, digest: &str) -> Stored<Option<Bytes>>;
        fn deploy_task(&self, task: &TaskRow, definition: &Bytes) -> Stored<()>;
        fn tasks(&self, query: &TaskQuery) -> Stored<Vec<TaskRow>>;
        fn task(&self, scope: &Scope, name: &str, version: &str) -> Stored<Option<TaskRow>>;
        fn cached(&self, key: &str) -> Stored<Option<CachedOutputs>>;
        fn cache(&self, key: &str, outputs: &CachedOutputs) -> Stored<()>;
        fn put_trigger(&self, row: &TriggerRow, definition: Option<&Definition>) -> Stored<()>;
        fn triggers(&self, query: &TriggerQuery) -> Stored<Vec<TriggerRow>>;
        fn trigger_revisions(&self, id: &TriggerId, offset: usize, limit: usize) -> Stored<Vec<TriggerRow>>;
        fn settle_trigger(&self, id: &TriggerId, until: Timestamp) -> Stored<()>;
        fn put_app(&self, app: &AppRow) -> Stored<()>;
        fn apps(&self) -> Stored<Vec<AppRow>>;
        fn app_revisions(&self, scope: &Scope, name: &str) -> Stored<Vec<AppRow>>;
        fn delete_app(&self, scope: &Scope, name: &str) -> Stored<bool>;
        fn projects(&self) -> Stored<Vec<String>>;
        fn put_exports(&self, states: &[(RunKey, ExportState)]) -> Stored<()>;
        fn unexported(&self) -> Stored<Vec<RunKey>>;
        fn events_from(&self, run: RunKey, seq: u64, limit: usize) -> Stored<Vec<Event>>;
        fn due_notifications(&self, query: &DueQuery) -> Stored<Due>;
        fn put_notifications(&self, rows: &[NotificationRow]) -> Stored<()>;
        fn give_up_notifications(&self, to: &str, before: Timestamp, now: Timestamp, why: &str) -> Stored<u64>;
        fn notifications(&self, run: RunKey) -> Stored<Vec<NotificationRow>>;
        fn troubled_notifications(&self, project: &str, domain: &str, limit: usize) -> Stored<Vec<(NotificationRow, u64)>>;
        fn visit_values(&self, visit: &mut dyn FnMut(&[u8])) -> Stored<()>;
        fn probe(&self) -> Stored<()>;
        fn newest_fact(&self) -> Stored<Option<Timestamp>>;
        fn last_key(&self) -> Stored<RunKey>;
        fn skip_keys(&self, last: RunKey) -> Stored<()>;
        fn kept_before(&self) -> Option<Timestamp>;
        fn keep_what_is_older(&self, than: Timestamp) -> Stored<()>;
        fn prune(&self, keep: &Retention, now: Timestamp) -> Stored<Pruned>;
    }
}

/// What has arrived, and what was said of failures.
#[derive(Default)]
struct Receiver {
    spans: Mutex<Vec<Span>>,
    failures: Mutex<Vec<(String, Option<usize>)>>,
}

impl LifecycleExporter for Receiver {
    fn export(&self, spans: Arc<[Span]>) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>> {
        self.spans.lock().unwrap().extend(spans.iter().cloned());
        Box::pin(std::future::ready(Ok(())))
    }

    fn failed(&self, error: &ExportError, given_up: Option<usize>) {
        self.failures.lock().unwrap().push((error.0.clone(), given_up));
    }
}

/// An engine whose runs are to be exported, and nobody does now.
async fn engine(store: &Arc<Unsteady>) -> Engine {
    let config = EngineConfig::embedded(Storage::Memory, Retention::default());
    let engine = Engine::on(store.clone(), true, config).unwrap();
    let export = engine.export_lifecycle(Arc::new(Receiver::default()), ExportLimits::default()).unwrap();
    export.finish(Duration::from_secs(5)).await;
    engine
}

/// A traced run that has ended.
async fn ended(engine: &Engine, name: &str) -> RunHandle {
    let (org, project, domain) = (String::new(), "p".to_owned(), "d".to_owned());
    let id = RunId { org, project, domain, name: RunName::new(name).unwrap() };
    let trace = RunTrace { level: TraceLevel::Lifecycle, sampled: true, ..RunTrace::default() };
    let settings = RunSettings { trace, ..RunSettings::default() };
    let (spec, inputs) = (ActionSpec::task("env.main"), Bytes::new());
    let run = engine.create_run(NewRun { id, spec, inputs, settings, definitions: Vec::new() }).unwrap();
    let abort = Command::Abort { action: ActionName::ROOT, by: "ann".to_owned(), reason: "enough".to_owned() };
    run.cell.command(&abort, run.now(), Payloads::default()).unwrap();
    run.committed().await.unwrap();
    run
}

#[tokio::test]
async fn t7_an_ended_run_that_cannot_be_read_for_a_while_is_exported_when_it_can() {
    let store = Arc::new(Unsteady { store: Memory::new(), failures: AtomicU32::new(0) });
    let engine = engine(&store).await;
    let runs = [ended(&engine, "one").await, ended(&engine, "two").await];
    // Both fail once, and one of them again; with each its name is asked for in vain too.
    store.failures.store(6, Ordering::SeqCst);
    let receiver = Arc::new(Receiver::default());
    let limits = ExportLimits { first_pause: Duration::from_millis(1), ..ExportLimits::default() };
    let export = engine.export_lifecycle(receiver.clone(), limits).unwrap();
    let all_are_done = async {
        while runs.iter().any(|run| !store.store.run(run.key()).unwrap().unwrap().export.unwrap().done) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all_are_done).await.expect("they are exported within half a minute");
    let failures = receiver.failures.lock().unwrap().clone();
    assert_eq!(failures.len(), 3, "{failures:?}");
    for (said, given_up) in failures {
        assert!(said.contains("the disk is away") && given_up.is_none(), "{said} {given_up:?}");
    }
    let spans = receiver.spans.lock().unwrap().len();
    assert!(spans >= 4, "{spans}");
    export.finish(Duration::from_secs(5)).await;
    assert_eq!(receiver.spans.lock().unwrap().len(), spans, "each once");
}

#[tokio::test]
async fn t7_an_export_that_is_finished_tries_once_more_what_could_not_be_read() {
    let store = Arc::new(Unsteady { store: Memory::new(), failures: AtomicU32::new(0) });
    let engine = engine(&store).await;
    let run = ended(&engine, "one").await;
    store.failures.store(4, Ordering::SeqCst);
    let limits = ExportLimits { first_pause: Duration::from_millis(1), ..ExportLimits::default() };
    engine.export_lifecycle(Arc::new(Receiver::default()), limits).unwrap().finish(Duration::from_secs(30)).await;
    assert!(store.store.run(run.key()).unwrap().unwrap().export.unwrap().done);
}
