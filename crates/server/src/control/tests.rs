//! What becomes of actions whose drivers fail, or cannot begin yet, with the parts of a real server.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use spanwise_core::{ActionSpec, End, RunName, Source};
use spanwise_engine::{Attempt, Definition, Executor, NewRun, Relation, Report, RunSettings};
use spanwise_wire::{ids, options};

use super::*;
use crate::{Config, Server};

/// Ends children at once, and the root never.
struct Children;

impl Executor for Children {
    fn execute(&self, attempt: Attempt) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        match attempt.scope.action.is_root() {
            true => Box::pin(std::future::pending()),
            false => Box::pin(std::future::ready(Report::Succeeded(Bytes::from_static(b"out")))),
        }
    }
}

struct Plane {
    control: ControlPlane,
    data: tempfile::TempDir,
    _server: Server,
}

impl Plane {
    async fn start() -> Plane {
        let data = tempfile::tempdir().unwrap();
        let config = Config { port: 0, python: Some("/bin/false".into()), ..Config::dev(data.path()) };
        let server = Server::start(config).await.unwrap();
        Plane { control: server.control(), data, _server: server }
    }

    /// A run that the server drives, as far as nobody else does.
    fn run(&self, name: &str, relation: Option<Relation>) -> RunHandle {
        let body = options::encode(&RunOptions::default());
        let definition = Definition { digest: "options".to_owned(), body };
        let settings = RunSettings { definition: Some(definition.digest.clone()), relation, ..RunSettings::default() };
        let id = ids::scope("", "p", "d").unwrap().run(RunName::new(name).unwrap());
        let (spec, inputs) = (ActionSpec::task("env.main"), Bytes::new());
        self.control.engine().create_run(NewRun { id, spec, inputs, settings, definitions: vec![definition] }).unwrap()
    }

    /// Somebody else has written the next event of a run.
    fn takes_the_next_event_of(&self, run: &RunHandle) {
        let database = rusqlite::Connection::open(self.data.path().join("journal.db")).unwrap();
        let foreign = "INSERT INTO events (run, seq, count, action, v, body) \
             SELECT ?1, max(seq + count), 1, 'a0', 1, '[[1,{\"type\":\"held\"}]]' FROM events WHERE run = ?1";
        assert_eq!(database.execute(foreign, [run.key().0]).unwrap(), 1);
    }
}

fn name(action: &str) -> ActionName {
    ActionName::new(action).unwrap()
}

fn child() -> ActionSpec {
    ActionSpec { parent: Some(ActionName::ROOT), ..ActionSpec::task("env.child") }
}

/// Begins to drive the root of a run, whose attempt is under way then and never ends.
fn begin(run: &RunHandle) -> Pin<Box<dyn Future<Output = Driven> + Send>> {
    let run = run.clone();
    let mut driven: Pin<Box<dyn Future<Output = Driven> + Send>> =
        Box::pin(
            async move { run.drive(Call { action: ActionName::ROOT, inputs: None, caller: None }, &Children).await },
        );
    assert!((&mut driven).now_or_never().is_none());
    driven
}

async fn until(is_so: impl Fn() -> bool) {
    let waits = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waits).await.expect("it happens within half a minute");
}

#[tokio::test]
async fn s4_whatever_a_failed_driver_has_driven_is_taken_up_again() {
    let plane = Plane::start().await;
    let failures: [fn() -> Driven; 2] = [|| panic!("a fault"), || Err(spanwise_engine::Error::Interrupted)];
    for (index, failure) in failures.into_iter().enumerate() {
        let run = plane.run(&format!("run{index}"), None);
        let _root = begin(&run);
        let condition = name("approve");
        run.enqueue(condition, ActionSpec::condition("approve", ActionName::ROOT), Bytes::new()).unwrap();
        run.committed().await.unwrap();
        assert!(!run.is_driven(&condition));
        plane.control.see_through(&run, condition, async { failure() }).await;
        until(|| run.is_driven(&condition)).await;
        run.signal(condition, "ann", None, Bytes::from_static(b"true")).await.unwrap();
        until(|| !run.is_driven(&condition)).await;
    }
}

/// Counts who has the bytes of some inputs.
struct Inputs(#[expect(dead_code, reason = "counted")] Arc<()>);

impl AsRef<[u8]> for Inputs {
    fn as_ref(&self) -> &[u8] {
        b"in"
    }
}

#[tokio::test]
async fn s4_inputs_are_not_in_memory_while_a_recovery_cannot_be_read() {
    let plane = Plane::start().await;
    let source = plane.run("source", None);
    let root = begin(&source);
    source.enqueue(name("c"), child(), Bytes::new()).unwrap();
    source.drive(Call { action: name("c"), inputs: None, caller: None }, &Children).await.unwrap();
    // It is not this process's any more until its driver has gone.
    plane.takes_the_next_event_of(&source);
    source.enqueue(name("d"), child(), Bytes::new()).unwrap();
    assert!(source.committed().await.is_err() && source.is_broken());

    let run = plane.run("run", Some(Relation::Recover { run: RunName::new("source").unwrap() }));
    let _root = begin(&run);
    run.enqueue(name("c"), child(), Bytes::from_static(b"in")).unwrap();
    let counted = Arc::new(());
    let mut inputs = Some(Bytes::from_owner(Inputs(Arc::clone(&counted))));
    {
        let mut recovered = std::pin::pin!(plane.control.recovered(&run, name("c"), &mut inputs));
        tokio::select! {
            () = &mut recovered => panic!("it cannot be read"),
            () = until(|| Arc::strong_count(&counted) == 1) => {}
        }
        drop(root);
        tokio::time::timeout(Duration::from_secs(30), recovered).await.unwrap();
    }
    assert_eq!(inputs, None);
    let action = run.action(&name("c")).unwrap();
    assert!(matches!(action.end(), Some(End::Reused(Source::Recovery { run, .. })) if run == "source"), "{action:?}");
}
