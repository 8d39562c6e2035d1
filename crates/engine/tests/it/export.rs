//! The export of lifecycle spans: each once, whatever becomes of the receiver and of the process.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use spanwise_core::lifecycle::{Part, RunTrace, Span, TraceLevel};
use spanwise_core::trace::SpanId;
use spanwise_engine::{ExportError, ExportLimits, LifecycleExporter};

use super::*;
use crate::stage::soon;

/// A receiver that can be away.
#[derive(Default)]
struct Receiver {
    spans: Mutex<Vec<Span>>,
    given_up: Mutex<usize>,
    told: Mutex<Vec<(String, Option<usize>)>>,
    is_away: AtomicBool,
}

impl LifecycleExporter for Receiver {
    fn export(&self, spans: Arc<[Span]>) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>> {
        Box::pin(async move {
            if self.is_away.load(Ordering::SeqCst) {
                return Err(ExportError("away".to_owned()));
            }
            self.spans.lock().unwrap().extend(spans.iter().cloned());
            Ok(())
        })
    }

    fn failed(&self, error: &ExportError, given_up: Option<usize>) {
        self.told.lock().unwrap().push((error.0.clone(), given_up));
        *self.given_up.lock().unwrap() += given_up.unwrap_or(0);
    }
}

impl Receiver {
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.spans.lock().unwrap().iter().map(|span| span.name.to_string()).collect();
        names.sort_unstable();
        names
    }

    /// How often each span has arrived.
    fn counts(&self) -> HashMap<SpanId, usize> {
        let mut counts = HashMap::new();
        for span in self.spans.lock().unwrap().iter() {
            *counts.entry(span.context.span).or_default() += 1;
        }
        counts
    }
}

fn quick() -> ExportLimits {
    ExportLimits { first_pause: Duration::from_millis(1), ..ExportLimits::default() }
}

fn traced(name: &str, spec: ActionSpec) -> NewRun {
    let trace = RunTrace { level: TraceLevel::Lifecycle, sampled: true, ..RunTrace::default() };
    NewRun { settings: RunSettings { trace, ..RunSettings::default() }, ..new_run(name, spec) }
}

async fn exported(engine: &Engine, name: &str) -> spanwise_engine::ExportState {
    soon(async {
        loop {
            let rows = engine.runs(&spanwise_engine::RunQuery::newest(100)).unwrap();
            let state = rows.into_iter().find(|(_, row)| row.id.name.as_str() == name).and_then(|(_, row)| row.export);
            match state {
                Some(state) if state.done => return state,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await
}

async fn run_to_its_end(engine: &Engine, new: NewRun) -> RunHandle {
    let run = engine.create_run(new).unwrap();
    let body = Run(|_| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Report::Succeeded(Bytes::new())
        }) as Body
    });
    run.drive(root(), &body).await.unwrap();
    run
}

#[tokio::test]
async fn t3_spans_are_exported_when_they_have_ended_and_untraced_runs_not_at_all() {
    let engine = memory();
    let receiver = Arc::new(Receiver::default());
    let export = engine.export_lifecycle(Arc::clone(&receiver) as _, quick()).unwrap();
    run_to_its_end(&engine, new_run("plain", main_task())).await;
    let run = run_to_its_end(&engine, traced("one", main_task())).await;
    assert_eq!(exported(&engine, "one").await.exported as usize, receiver.names().len());
    let names = receiver.names();
    assert!(names.starts_with(&["RUN env.main".into(), "attempt 1".into(), "env.main".into()]), "{names:?}");
    let spans = receiver.spans.lock().unwrap();
    assert!(spans.iter().all(|span| span.run.name.as_str() == "one"));
    let root = spans.iter().find(|span| span.part == Part::Run).unwrap();
    assert_eq!(Some(root.context), run.span());
    drop(export);
}

#[tokio::test]
async fn t6_an_attempt_is_delivered_its_own_span() {
    let engine = memory();
    let receiver = Arc::new(Receiver::default());
    let _export = engine.export_lifecycle(Arc::clone(&receiver) as _, quick()).unwrap();
    let delivered = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&delivered);
    let body = Run(move |attempt: Attempt| {
        seen.lock().unwrap().push(attempt.span);
        let first = attempt.scope.attempt.0 == 1;
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if first { Report::Failed(Failure::user("E", "no")) } else { Report::Succeeded(Bytes::new()) }
        }) as Body
    });
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03".parse().unwrap();
    let spec = ActionSpec { traceparent: Some(caller), ..retried(1) };
    engine.create_run(traced("one", spec)).unwrap().drive(root(), &body).await.unwrap();
    exported(&engine, "one").await;
    let attempts: Vec<_> = {
        let spans = receiver.spans.lock().unwrap();
        spans.iter().filter(|span| span.part == Part::Attempt).map(|span| Some(span.context)).collect()
    };
    assert_eq!(attempts, *delivered.lock().unwrap());
    assert!(attempts.iter().flatten().all(|span| span.trace == caller.trace && span.flags == 3));
    // With the lifecycle off, the task sees what was frozen.
    let plain = engine.create_run(new_run("plain", main_task())).unwrap();
    plain.drive(root(), &body).await.unwrap();
    assert_eq!(delivered.lock().unwrap().last(), Some(&None));
}

fn retried(retries: u32) -> ActionSpec {
    ActionSpec { retry: RetryPolicy { retries, backoff: None }, ..main_task() }
}

#[tokio::test]
async fn t7_what_a_receiver_misses_is_sent_when_it_is_back_or_is_counted() {
    let engine = memory();
    let receiver = Arc::new(Receiver::default());
    receiver.is_away.store(true, Ordering::SeqCst);
    let export = engine.export_lifecycle(Arc::clone(&receiver) as _, quick()).unwrap();
    run_to_its_end(&engine, traced("late", main_task())).await;
    assert_eq!(receiver.names(), [""; 0]);
    receiver.is_away.store(false, Ordering::SeqCst);
    assert_eq!(exported(&engine, "late").await.dropped, 0);
    assert!(receiver.counts().values().all(|count| *count == 1));
    export.finish(Duration::from_secs(5)).await;

    receiver.is_away.store(true, Ordering::SeqCst);
    let limits = ExportLimits { give_up_after: Duration::from_millis(5), ..quick() };
    let _export = engine.export_lifecycle(Arc::clone(&receiver) as _, limits).unwrap();
    run_to_its_end(&engine, traced("lost", main_task())).await;
    let state = exported(&engine, "lost").await;
    assert_eq!(state.exported, 0);
    assert_eq!(state.dropped as usize, *receiver.given_up.lock().unwrap());
    assert!(state.dropped >= 3);
}

#[tokio::test]
async fn t3_an_export_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Arc::new(Receiver::default());
    let engine = open(directory.path());
    let export = engine.export_lifecycle(Arc::clone(&receiver) as _, quick()).unwrap();
    let run = engine.create_run(traced("one", retried(3))).unwrap();
    let fails = Run(|_| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Report::Failed(Failure::user("E", "no"))
        }) as Body
    });
    // Two attempts, then the process goes away in the third one.
    let driven = async {
        loop {
            let rest = Run(|attempt: Attempt| match attempt.scope.attempt.0 {
                3 => Box::pin(std::future::pending()) as Body,
                _ => fails.0(attempt),
            });
            let _ = run.drive(root(), &rest).await;
        }
    };
    tokio::select! {
        () = driven => {}
        () = soon(async {
            while receiver.names().iter().filter(|name| name.starts_with("attempt")).count() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }) => {}
    }
    export.finish(Duration::from_secs(5)).await;
    let before = receiver.names().len();
    assert!(before >= 2);
    drop((run, engine));

    let engine = open(directory.path());
    let _export = engine.export_lifecycle(Arc::clone(&receiver) as _, quick()).unwrap();
    let run = engine.resume(&id("one")).unwrap();
    run.drive(root(), &Run(|_| done("ok"))).await.unwrap();
    let state = exported(&engine, "one").await;
    assert_eq!(state.exported as usize, receiver.names().len());
    assert!(receiver.counts().values().all(|count| *count == 1), "{:?}", receiver.names());
    let names = receiver.names();
    let attempts = names.iter().filter(|name| name.starts_with("attempt ")).count();
    assert_eq!(names.iter().filter(|name| *name == "env.main").count(), 1);
    assert!(attempts >= 3, "{names:?}");
}

#[tokio::test]
async fn t7_a_run_that_never_pauses_is_exported_while_it_goes_on() {
    let engine = memory();
    let receiver = Arc::new(Receiver::default());
    let _export = engine.export_lifecycle(Arc::clone(&receiver) as _, quick()).unwrap();
    let run = engine.create_run(traced("busy", retried(10_000))).unwrap();
    let body = Run(|_| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Report::Failed(Failure::user("E", "again"))
        }) as Body
    });
    let going_on = run.drive(root(), &body);
    let first_spans = soon(async {
        while receiver.spans.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    tokio::select! {
        outcome = going_on => panic!("{outcome:?}"),
        () = first_spans => {}
    }
    let spans = receiver.spans.lock().unwrap();
    assert!(spans.iter().all(|span| span.part != Part::Action), "the action has not ended");
    assert!(spans.iter().any(|span| span.part == Part::Attempt));
}

#[tokio::test]
async fn t7_each_run_that_cannot_be_read_is_named_with_its_cause_and_not_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Arc::new(Receiver::default());
    let engine = open(directory.path());
    let export = engine.export_lifecycle(Arc::clone(&receiver) as _, quick()).unwrap();
    for name in ["one", "two"] {
        engine.create_run(traced(name, main_task())).unwrap();
    }
    export.finish(Duration::from_secs(5)).await;
    drop(engine);
    let database = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    assert_eq!(database.execute("UPDATE runs SET settings = '{\"warnings\":7}'", []).unwrap(), 2);

    let engine = open(directory.path());
    let _export = engine.export_lifecycle(Arc::clone(&receiver) as _, quick()).unwrap();
    soon(async {
        while receiver.told.lock().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    for (name, (told, given_up)) in ["one", "two"].iter().zip(receiver.told.lock().unwrap().iter()) {
        assert!(told.starts_with(&format!("read run `{name}`: ")) && told.contains("invalid type"), "{told}");
        assert_eq!(*given_up, Some(0), "{told}");
    }
    let mut unreadable: Vec<_> = engine.unreadable().into_iter().map(|(id, _)| id.name.to_string()).collect();
    unreadable.sort_unstable();
    assert_eq!(unreadable, ["one", "two"]);
}
