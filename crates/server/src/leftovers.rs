//! What runs leave outside of the journal, and its end when the journal has let go of them.
//!
//! What retention has deleted goes with it. A directory that the journal does not know otherwise may be what a crash between the two has
//! left, or the only thing that is left of a journal that was lost: it goes when it is older than a day by the journal's own time, which
//! no clock that jumps moves, and never if it is older than the journal itself. Both are told.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use spanwise_blobs::{BUCKET, BlobUri, Blobs};
use spanwise_core::{ActionName, RunId, RunName, Timestamp};
use spanwise_engine::{Engine, PrunedRun, RunKey};
use tokio::sync::{RwLock, RwLockReadGuard};

use crate::layout::{self, DataDir};

/// Why something that was left could not be looked at or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] spanwise_engine::Error),
    /// The blob store refused.
    #[error(transparent)]
    Blobs(#[from] spanwise_blobs::Error),
    /// A run's name cannot be part of a key.
    #[error(transparent)]
    Uri(#[from] spanwise_blobs::BadUri),
    /// The file system refused.
    #[error("{doing}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// For so long what the journal does not know is left alone.
const LEFT_ALONE: Duration = Duration::from_hours(24);

/// Removes what runs have left that are no longer there.
pub(crate) struct Leftovers {
    engine: Engine,
    blobs: Blobs,
    data: DataDir,
    /// Nobody makes a run while leftovers of its name may be removed.
    removal: RwLock<()>,
    /// What retention has deleted and still has directories.
    pruned: Mutex<Vec<PrunedRun>>,
    /// How many unknown directories were told of last.
    told: Mutex<usize>,
}

/// When a directory that the journal does not know may go: if all in it was written between these times.
#[derive(Clone, Copy, Debug)]
struct Age {
    after: Option<Timestamp>,
    before: Option<Timestamp>,
}

impl Age {
    fn allows(self, newest: Timestamp) -> bool {
        let is_before = self.before.is_some_and(|before| newest < before);
        is_before && self.after.is_none_or(|after| newest > after)
    }
}

/// A time of the system's.
fn timestamp(at: SystemTime) -> Timestamp {
    Timestamp::default().after(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// When the newest thing in a directory was written.
fn newest(path: &Path) -> io::Result<Timestamp> {
    let metadata = std::fs::symlink_metadata(path)?;
    let mut newest_at = timestamp(metadata.modified()?);
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            newest_at = newest_at.max(newest(&entry?.path())?);
        }
    }
    Ok(newest_at)
}

/// What a sweep has found that the journal does not know.
#[derive(Debug, Default)]
struct Unknown {
    removed: Vec<String>,
    kept: Vec<String>,
}

impl Leftovers {
    pub(crate) fn new(engine: Engine, blobs: Blobs, data: DataDir) -> Leftovers {
        let (removal, pruned, told) = (RwLock::default(), Mutex::default(), Mutex::default());
        Leftovers { engine, blobs, data, removal, pruned, told }
    }

    /// Removes now, whenever retention has deleted runs, and once a day.
    pub(crate) async fn watch(&self) {
        loop {
            match self.sweep().await {
                Ok(unknown) => self.tell(&unknown),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "what pruned runs left stays for now");
                }
            }
            let _ = tokio::time::timeout(LEFT_ALONE, self.engine.pruned()).await;
        }
    }

    fn tell(&self, unknown: &Unknown) {
        if let Some(first) = unknown.removed.first() {
            let count = unknown.removed.len();
            tracing::warn!(
                count,
                first,
                "directories of runs were removed that the journal does not know, older than a day"
            );
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let count = unknown.kept.len();
        if std::mem::replace(&mut *told, count) < count
            && let Some(first) = unknown.kept.first()
        {
            tracing::warn!(
                count,
                first,
                "directories of runs are here that the journal does not know: those of a lost journal stay, others go after a day"
            );
        }
    }

    /// Nothing is removed while this is held: for whoever makes a run.
    pub(crate) async fn untouched(&self) -> RwLockReadGuard<'_, ()> {
        self.removal.read().await
    }

    /// Removes what an earlier run of this name has left, unless there is a run of the name, and keeps it like this while what is
    /// returned is held: for whoever makes a run of it.
    pub(crate) async fn make_way(&self, id: &RunId) -> Result<RwLockReadGuard<'_, ()>, Error> {
        let alone = self.removal.write().await;
        if self.engine.run_row(id)?.is_none() {
            self.blobs.delete_prefix(&layout::run_base(id)?).await?;
        }
        Ok(alone.downgrade())
    }

    async fn sweep(&self) -> Result<Unknown, Error> {
        let pruned = {
            let mut pruned = self.pruned.lock().unwrap_or_else(PoisonError::into_inner);
            pruned.extend(self.engine.take_pruned());
            pruned.clone()
        };
        let keys: HashSet<RunKey> = pruned.iter().map(|run| run.key).collect();
        let ids: HashSet<RunId> = pruned.into_iter().filter_map(|run| run.id).collect();
        let (engine, data) = (self.engine.clone(), self.data.clone());
        let (age, mut unknown) = blocking(move || {
            let newest = engine.newest_fact()?;
            let age = Age { after: engine.kept_before(), before: newest.map(|newest| newest.before(LEFT_ALONE)) };
            let mut unknown = Unknown::default();
            for directory in [data.all_work(), data.all_logs()] {
                remove_unowned(&engine, &directory, &keys, age, &mut unknown)?;
            }
            Ok((age, unknown))
        })
        .await?;
        for (base, id) in self.unowned(layout::RUNS, &ids, age, &mut unknown).await? {
            self.remove(&base, &id).await?;
        }
        let stored = self.unowned(layout::RAW_DATA, &ids, age, &mut unknown).await?;
        if !stored.is_empty() {
            let mentioned = self.mentioned().await?;
            for (base, id) in stored.iter().filter(|(base, _)| !mentioned.contains(base.key())) {
                self.remove(base, id).await?;
            }
        }
        self.forget_uploaded_inputs(age).await?;
        self.pruned.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(unknown)
    }

    /// The directories `{top}/{org}/{project}/{domain}/{run}` that may go: retention has deleted the run, or the journal does not know
    /// it and it is old enough. They are listed first: a run is in the journal before it has a directory.
    async fn unowned(
        &self,
        top: &'static str,
        pruned: &HashSet<RunId>,
        age: Age,
        unknown: &mut Unknown,
    ) -> Result<Vec<(BlobUri, RunId)>, Error> {
        let bases = self.blobs.groups(top, 4).await?;
        let engine = self.engine.clone();
        let unlisted = blocking(move || {
            let mut unlisted = Vec::new();
            for (base, id) in bases.into_iter().filter_map(|base| run_of(&base).map(|id| (base, id))) {
                if engine.run_row(&id)?.is_none() {
                    unlisted.push((base, id));
                }
            }
            Ok(unlisted)
        });
        let mut unowned = Vec::new();
        for (base, id) in unlisted.await? {
            if !pruned.contains(&id) {
                let place = self.blobs.place(&base);
                if !self.is_old(&base, age).await? {
                    unknown.kept.push(place);
                    continue;
                }
                unknown.removed.push(place);
            }
            unowned.push((base, id));
        }
        Ok(unowned)
    }

    /// Whether all blobs below a name are as old as they must be to go.
    async fn is_old(&self, base: &BlobUri, age: Age) -> Result<bool, Error> {
        let newest = self.blobs.list(base).await?.iter().map(|blob| blob.object.modified).max();
        Ok(newest.is_some_and(|newest| age.allows(timestamp(newest))))
    }

    async fn remove(&self, base: &BlobUri, id: &RunId) -> Result<(), Error> {
        let _alone = self.removal.write().await;
        if self.engine.run_row(id)?.is_none() {
            self.blobs.delete_prefix(base).await?;
        }
        Ok(())
    }

    /// The directories of stored data that something names which the journal keeps: a file is passed on from run to run.
    async fn mentioned(&self) -> Result<HashSet<String>, Error> {
        let engine = self.engine.clone();
        blocking(move || {
            let mut found = HashSet::new();
            engine.visit_values(&mut |value| find_mentions(value, &mut found))?;
            Ok(found)
        })
        .await
    }

    /// A client that uploads inputs creates its run in the next moment, and the run has a copy of them.
    async fn forget_uploaded_inputs(&self, age: Age) -> Result<(), Error> {
        for upload in self.blobs.groups(layout::UPLOADED_INPUTS, 4).await? {
            if self.is_old(&upload, age).await? {
                self.blobs.delete_prefix(&upload).await?;
            }
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let failed = |error| Error::Io { doing: "look for what runs have left", source: io::Error::other(error) };
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

/// Removes the directories that are named by the keys of runs which retention has deleted, and old ones of runs that the journal does
/// not know.
fn remove_unowned(
    engine: &Engine,
    directory: &Path,
    pruned: &HashSet<RunKey>,
    age: Age,
    unknown: &mut Unknown,
) -> Result<(), Error> {
    let failed = |source| Error::Io { doing: "remove what runs have left", source };
    for (key, path) in layout::by_key(directory).map_err(failed)? {
        if let Some(root) = engine.action_row(key, &ActionName::ROOT)? {
            if root.ended_at.is_some() {
                layout::remove_empty(&path);
            }
            continue;
        }
        let text = path.display().to_string();
        if !pruned.contains(&key) {
            if !newest(&path).is_ok_and(|newest| age.allows(newest)) {
                unknown.kept.push(text);
                continue;
            }
            unknown.removed.push(text);
        }
        std::fs::remove_dir_all(path).map_err(failed)?;
    }
    Ok(())
}

/// The run that a directory `{top}/{org}/{project}/{domain}/{run}` belongs to.
fn run_of(base: &BlobUri) -> Option<RunId> {
    let [_, org, project, domain, name] = base.key().split('/').collect::<Vec<_>>().try_into().ok()?;
    let name = RunName::new(name).ok()?;
    Some(RunId { org: org.to_owned(), project: project.to_owned(), domain: domain.to_owned(), name })
}

/// Finds `s3://spanwise/data/{org}/{project}/{domain}/{run}/` wherever it stands in a value, whatever the value's form.
fn find_mentions(value: &[u8], found: &mut HashSet<String>) {
    let prefix = format!("//{BUCKET}/{}/", layout::RAW_DATA);
    for text in value.split(|byte| *byte == b':').filter_map(|piece| piece.strip_prefix(prefix.as_bytes())) {
        let mut segments = text.split(|byte| *byte == b'/').map(std::str::from_utf8);
        let run: Option<Vec<&str>> = (0..4).map(|_| segments.next()?.ok()).collect();
        if let (Some(run), Some(_)) = (run, segments.next()) {
            found.insert(format!("{}/{}", layout::RAW_DATA, run.join("/")));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::time::Instant;

    use bytes::Bytes;
    use spanwise_core::ActionSpec;
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
        house.leftovers.sweep().await.unwrap();
        assert!(work(&empty).exists(), "its run has not ended");
        tokio::join!(finish(&empty), finish(&claimed));
        house.leftovers.sweep().await.unwrap();
        assert!(!work(&empty).exists() && work(&live).exists() && work(&claimed).join("a0/1.process").exists());
    }

    #[tokio::test]
    async fn what_the_journal_does_not_know_goes_after_a_day_and_what_is_older_than_the_journal_never() {
        let house = House::new();
        let old = house.leave(RunKey(900), &id("unknown-old"), 25 * HOUR).await;
        let young = house.leave(RunKey(901), &id("unknown-young"), 23 * HOUR).await;
        let unknown = house.leftovers.sweep().await.unwrap();
        assert!(
            unknown.removed.is_empty() && unknown.kept.len() == 8,
            "a journal without facts knows no time: {unknown:?}"
        );

        create(&house.engine, "one");
        // One file that is young keeps what it is in.
        std::fs::write(old[0].join("a0/1/file"), "now").unwrap();
        let unknown = house.leftovers.sweep().await.unwrap();
        assert_eq!((unknown.removed.len(), unknown.kept.len()), (3, 5), "{unknown:?}");
        assert!(
            old[0].exists() && old[1..].iter().all(|path| !path.exists()) && young.iter().all(|path| path.exists())
        );

        // From now on it is known that there was another journal.
        let ancient = house.leave(RunKey(902), &id("unknown-ancient"), 1_000 * HOUR).await;
        house.engine.follows_another(RunKey(902)).unwrap();
        let unknown = house.leftovers.sweep().await.unwrap();
        assert_eq!((unknown.removed.len(), unknown.kept.len()), (0, 9), "{unknown:?}");
        assert!(ancient.iter().all(|path| path.exists()));
        assert_eq!(create(&house.engine, "next").key(), RunKey(903));
    }

    #[test]
    fn mentions_are_found_in_any_form() {
        let mut found = HashSet::new();
        find_mentions(b"\x0a\x30s3://spanwise/data/local/p/d/r1/a0/1/x\x12\xff\xfe", &mut found);
        find_mentions(
            br#"{"a":"s3://spanwise/data/local/p/d/r2/b","b":"s3://spanwise/data/o/p/d/r3/c/1/"}"#,
            &mut found,
        );
        find_mentions(b"s3://spanwise/data/local/p/d/unended s3://spanwise/runs/local/p/d/r4/a0", &mut found);
        find_mentions(b"s3://elsewhere/data/local/p/d/r5/a0 ::// s3://spanwise/data/\xff/p/d/r6/a0", &mut found);
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort();
        assert_eq!(found, ["data/local/p/d/r1", "data/local/p/d/r2", "data/o/p/d/r3"]);
    }

    #[test]
    fn only_whole_names_of_runs_are_runs() {
        let run = |key: &str| run_of(&BlobUri::from_key(key).unwrap()).map(|id| id.name.to_string());
        assert_eq!(run("runs/local/p/d/one"), Some("one".to_owned()));
        assert_eq!(run("runs/local/p/d"), None);
        assert_eq!(run("runs/local/p/d/One"), None);
    }
}
