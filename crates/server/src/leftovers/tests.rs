//! What goes, when, and what stays.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use spanwise_blobs::BUCKET;
use spanwise_core::{ActionSpec, RunName};
use spanwise_engine::{
    Attempt, Call, Durability, EngineConfig, Executor, NewRun, Report, Retention, RunHandle, RunSettings, Storage,
};

use super::*;

/// Ends each attempt at once.
struct AtOnce;

impl Executor for AtOnce {
    fn execute(&self, _attempt: Attempt) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        Box::pin(std::future::ready(Report::Succeeded(Bytes::new())))
    }
}

fn id(name: &str) -> RunId {
    let (org, project, domain) = ("local".to_owned(), "p".to_owned(), "d".to_owned());
    RunId { org, project, domain, name: RunName::new(name).unwrap() }
}

fn create(engine: &Engine, name: &str) -> RunHandle {
    let (spec, inputs, settings) = (ActionSpec::task("env.main"), Bytes::new(), RunSettings::default());
    engine.create_run(NewRun { id: id(name), spec, inputs, settings, definitions: Vec::new() }).unwrap()
}

async fn finish(run: &RunHandle) {
    run.drive(Call { action: ActionName::ROOT, inputs: None, caller: None }, &AtOnce).await.unwrap();
}

struct House {
    _directory: tempfile::TempDir,
    engine: Engine,
    blobs: Blobs,
    data: DataDir,
    leftovers: Arc<Leftovers>,
}

impl House {
    fn new() -> House {
        let directory = tempfile::tempdir().unwrap();
        let retention = Retention { max_age: Some(Duration::ZERO), max_bytes: None };
        let engine = Engine::open(EngineConfig::embedded(Storage::Memory, retention)).unwrap();
        let blobs = Blobs::open(&directory.path().join("blobs"), Durability::Process).unwrap();
        let data = DataDir::new(directory.path());
        let leftovers = Arc::new(Leftovers::new(engine.clone(), blobs.clone(), data.clone()));
        House { _directory: directory, engine, blobs, data, leftovers }
    }

    /// Leaves something of a run in each place, written at a time of the engine's.
    async fn leave(&self, key: RunKey, id: &RunId, before_now: Duration) -> Vec<std::path::PathBuf> {
        let inputs = layout::inputs(id, &ActionName::ROOT).unwrap();
        let raw = BlobUri::from_key(&format!("data/{}/{}/{}/{}/a0/1/f", id.org, id.project, id.domain, id.name));
        for blob in [&inputs, &raw.unwrap()] {
            self.blobs.put(blob, Bytes::from_static(b"in")).await.unwrap();
        }
        let left = vec![
            self.data.all_logs().join(key.0.to_string()),
            self.data.all_work().join(key.0.to_string()),
            self.data.blobs().join(BUCKET).join(layout::run_base(id).unwrap().key()),
            self.data.blobs().join(BUCKET).join(format!("data/local/p/d/{}", id.name)),
        ];
        for directory in &left {
            std::fs::create_dir_all(directory.join("a0/1")).unwrap();
            std::fs::write(directory.join("a0/1/file"), "x").unwrap();
            age(directory, SystemTime::now() - before_now);
        }
        left
    }
}

/// Makes a directory and all in it look as if it was last written then.
fn age(path: &Path, modified: SystemTime) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            age(&entry.unwrap().path(), modified);
        }
    }
    std::fs::File::open(path).unwrap().set_modified(modified).unwrap();
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn leftovers_go_after_a_pruning_and_make_way_for_a_new_run_of_the_name() {
    let house = House::new();
    let House { engine, blobs, leftovers, .. } = &house;
    let (old, live) = (create(engine, "old"), create(engine, "live"));
    let of_old = house.leave(old.key(), old.id(), Duration::ZERO).await;
    let of_live = house.leave(live.key(), live.id(), 48 * HOUR).await;
    let orphan = layout::run_base(&id("orphan")).unwrap().join("a0/1/outputs.pb").unwrap();
    blobs.put(&orphan, Bytes::from_static(b"out")).await.unwrap();
    drop(leftovers.make_way(&id("orphan")).await.unwrap());
    assert!(!blobs.exists(&orphan).await.unwrap());
    drop(leftovers.make_way(live.id()).await.unwrap());
    assert!(of_live.iter().all(|path| path.exists()), "there is a run of the name");

    let watch = tokio::spawn({
        let leftovers = Arc::clone(leftovers);
        async move { leftovers.watch().await }
    });
    finish(&old).await;
    for index in 0..256 {
        finish(&create(engine, &format!("run-{index}"))).await;
    }
    let since = Instant::now();
    while of_old.iter().any(|path| path.exists()) {
        assert!(since.elapsed() < Duration::from_secs(60), "what the run left is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(of_live.iter().all(|path| path.exists()));
    watch.abort();
}

#[tokio::test]
async fn an_empty_working_directory_goes_when_its_run_has_ended_and_one_with_a_claim_in_it_stays() {
    let house = House::new();
    let [empty, claimed, live] = ["empty", "claimed", "live"].map(|name| create(&house.engine, name));
    let work = |run: &RunHandle| house.data.work_of_run(run.key());
    for run in [&empty, &claimed, &live] {
        std::fs::create_dir_all(work(run).join("a0")).unwrap();
    }
    std::fs::write(work(&claimed).join("a0/1.process"), "x").unwrap();
    house.leftovers.sweep(house.engine.now()).await.unwrap();
    assert!(work(&empty).exists(), "its run has not ended");
    tokio::join!(finish(&empty), finish(&claimed));
    house.leftovers.sweep(house.engine.now()).await.unwrap();
    assert!(!work(&empty).exists() && work(&live).exists() && work(&claimed).join("a0/1.process").exists());
}

#[tokio::test]
async fn what_the_journal_does_not_know_goes_after_a_day_and_what_is_older_than_the_journal_never() {
    let house = House::new();
    let old = house.leave(RunKey(900), &id("unknown-old"), 25 * HOUR).await;
    let young = house.leave(RunKey(901), &id("unknown-young"), 23 * HOUR).await;
    let unknown = house.leftovers.sweep(house.engine.now()).await.unwrap();
    assert!(
        unknown.removed.is_empty() && unknown.left.len() == 8,
        "a journal without facts knows no time: {unknown:?}"
    );

    create(&house.engine, "one");
    // One file that is young keeps what it is in.
    std::fs::write(old[0].join("a0/1/file"), "now").unwrap();
    let unknown = house.leftovers.sweep(house.engine.now()).await.unwrap();
    assert_eq!((unknown.removed.len(), unknown.left.len()), (3, 5), "{unknown:?}");
    assert!(old[0].exists() && old[1..].iter().all(|path| !path.exists()) && young.iter().all(|path| path.exists()));

    // From now on it is known that there was another journal.
    let ancient = house.leave(RunKey(902), &id("unknown-ancient"), 1_000 * HOUR).await;
    house.engine.follows_another(RunKey(902)).unwrap();
    let unknown = house.leftovers.sweep(house.engine.now()).await.unwrap();
    assert_eq!((unknown.removed.len(), unknown.left.len()), (0, 9), "{unknown:?}");
    assert!(ancient.iter().all(|path| path.exists()));
    assert_eq!(create(&house.engine, "next").key(), RunKey(903));
}

#[test]
fn mentions_are_found_in_any_form() {
    let mut found = HashSet::new();
    find_mentions(b"\x0a\x30s3://spanwise/data/local/p/d/r1/a0/1/x\x12\xff\xfe", &mut found);
    find_mentions(br#"{"a":"s3://spanwise/data/local/p/d/r2/b","b":"s3://spanwise/data/o/p/d/r3/c/1/"}"#, &mut found);
    find_mentions(b"s3://spanwise/data/local/p/d/unended s3://spanwise/runs/local/p/d/r4/a0", &mut found);
    find_mentions(b"s3://elsewhere/data/local/p/d/r5/a0 ::// s3://spanwise/data/\xff/p/d/r6/a0", &mut found);
    find_mentions(b"x s3://spanwise/runs/local/p/d/r7/a0/1/cards/html-1.html\x12", &mut found);
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort();
    assert_eq!(found.pop().as_deref(), Some("runs/local/p/d/r7"), "the card of an artifact");
    assert_eq!(found, ["data/local/p/d/r1", "data/local/p/d/r2", "data/o/p/d/r3"]);
}

#[test]
fn only_whole_names_of_runs_are_runs() {
    let run = |key: &str| run_of(&BlobUri::from_key(key).unwrap()).map(|id| id.name.to_string());
    assert_eq!(run("runs/local/p/d/one"), Some("one".to_owned()));
    assert_eq!(run("runs/local/p/d"), None);
    assert_eq!(run("runs/local/p/d/One"), None);
}

/// Directories that hold no blob are no run's, whatever has left them.
#[tokio::test]
async fn directories_without_a_blob_go_when_they_are_a_day_old() {
    let house = House::new();
    let House { engine, leftovers, data, .. } = &house;
    let live = create(engine, "live");
    let of_live = house.leave(live.key(), live.id(), 48 * HOUR).await;
    let empty = |name: &str| data.blobs().join(BUCKET).join(layout::run_base(&id(name)).unwrap().key());
    let (old, young) = (empty("cut-off"), empty("being-made"));
    for directory in [&old, &young] {
        std::fs::create_dir_all(directory.join("a0/1")).unwrap();
    }
    age(&old, SystemTime::now() - 48 * HOUR);
    let start = engine.now();
    leftovers.sweep(start).await.unwrap();
    assert!(!old.exists() && young.exists(), "{old:?} {young:?}");
    assert!(of_live.iter().all(|left| left.exists()), "{of_live:?}");
    // All that is stored is gone through once a day, however often something is swept.
    for (later, is_there) in
        [(Duration::ZERO, true), (23 * HOUR, true), (24 * HOUR, false), (47 * HOUR, true), (48 * HOUR, false)]
    {
        std::fs::create_dir_all(old.join("a0/1")).unwrap();
        age(&old, SystemTime::now() - 48 * HOUR);
        leftovers.sweep(start.after(later)).await.unwrap();
        assert_eq!(old.exists(), is_there, "{later:?} later");
    }
}
