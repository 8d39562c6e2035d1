//! What runs leave outside of the journal, and its end when the journal has let go of them.
//!
//! A directory goes if the journal has no run that it belongs to, whenever and by whom the run was deleted: a crash between
//! the two leaves nothing for ever.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use spanwise_core::{ActionName, RunId, RunName};
use spanwise_engine::{Engine, RunKey};
use tokio::sync::{RwLock, RwLockReadGuard};

use crate::blobs::{BUCKET, BlobUri, Blobs};
use crate::control::Error;
use crate::layout::{self, DataDir};

/// A client that uploads inputs creates its run in the next moment, and the run has a copy of them.
const UPLOADED_INPUTS: Duration = Duration::from_hours(24);

/// Removes what runs have left that are no longer there.
pub(crate) struct Leftovers {
    engine: Engine,
    blobs: Blobs,
    data: DataDir,
    /// Nobody makes a run while leftovers of its name may be removed.
    removal: RwLock<()>,
}

impl Leftovers {
    pub(crate) fn new(engine: Engine, blobs: Blobs, data: DataDir) -> Leftovers {
        Leftovers { engine, blobs, data, removal: RwLock::default() }
    }

    /// Removes now, and whenever retention has deleted runs.
    pub(crate) async fn watch(&self) {
        loop {
            if let Err(error) = self.sweep().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "what pruned runs left stays for now");
            }
            self.engine.pruned().await;
        }
    }

    /// Nothing is removed while this is held: for whoever makes a run.
    pub(crate) async fn untouched(&self) -> RwLockReadGuard<'_, ()> {
        self.removal.read().await
    }

    /// Removes what an earlier run of this name has left, for whoever makes a run of it before anything of it is there.
    pub(crate) async fn make_way(&self, id: &RunId) -> Result<(), Error> {
        self.blobs.delete_prefix(&layout::run_base(id)?).await?;
        Ok(())
    }

    async fn sweep(&self) -> Result<(), Error> {
        let (engine, data) = (self.engine.clone(), self.data.clone());
        blocking(move || {
            [data.all_work(), data.all_logs()].iter().try_for_each(|directory| remove_unowned(&engine, directory))
        })
        .await?;
        for (base, id) in self.unowned(layout::RUNS).await? {
            self.remove(&base, &id).await?;
        }
        let stored = self.unowned(layout::RAW_DATA).await?;
        if !stored.is_empty() {
            let mentioned = self.mentioned().await?;
            for (base, id) in stored.iter().filter(|(base, _)| !mentioned.contains(base.key())) {
                self.remove(base, id).await?;
            }
        }
        self.forget_uploaded_inputs().await
    }

    /// The directories `{top}/{org}/{project}/{domain}/{run}` whose run is not in the journal. They are listed first: a run is in
    /// the journal before it has a directory.
    async fn unowned(&self, top: &'static str) -> Result<Vec<(BlobUri, RunId)>, Error> {
        let bases = self.blobs.directories(top, 4).await?;
        let engine = self.engine.clone();
        blocking(move || {
            let runs = bases.into_iter().filter_map(|base| run_of(&base).map(|id| (base, id)));
            let mut unowned = Vec::new();
            for (base, id) in runs {
                if engine.run_row(&id)?.is_none() {
                    unowned.push((base, id));
                }
            }
            Ok(unowned)
        })
        .await
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

    async fn forget_uploaded_inputs(&self) -> Result<(), Error> {
        for upload in self.blobs.directories(layout::UPLOADED_INPUTS, 4).await? {
            let object = self.blobs.head(&upload.join("inputs.pb")?).await?;
            let age = object.and_then(|object| SystemTime::now().duration_since(object.modified).ok());
            if age.is_some_and(|age| age > UPLOADED_INPUTS) {
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

/// Removes the directories that are named by the keys of runs which are not in the journal.
fn remove_unowned(engine: &Engine, directory: &Path) -> Result<(), Error> {
    let failed = |source| Error::Io { doing: "remove what runs have left", source };
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let Some(key) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if engine.action_row(RunKey(key), &ActionName::ROOT)?.is_none() {
            std::fs::remove_dir_all(entry.path()).map_err(failed)?;
        }
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
        let (inputs, settings) = (Bytes::new(), RunSettings::default());
        engine.create_run(NewRun { id: id(name), spec: ActionSpec::task("env.main"), inputs, settings }).unwrap()
    }

    async fn finish(run: &RunHandle) {
        run.drive(Call { action: ActionName::ROOT, inputs: None, caller: None }, &AtOnce).await.unwrap();
    }

    #[tokio::test]
    async fn leftovers_go_after_a_pruning_and_make_way_for_a_new_run_of_the_name() {
        let directory = tempfile::tempdir().unwrap();
        let retention = Retention { max_age: Some(Duration::ZERO), max_bytes: None };
        let engine = Engine::open(EngineConfig::embedded(Storage::Memory, retention)).unwrap();
        let blobs = Blobs::open(&directory.path().join("blobs"), Durability::Process).unwrap();
        let data = DataDir::new(directory.path());
        let leftovers = Arc::new(Leftovers::new(engine.clone(), blobs.clone(), data.clone()));

        let (old, live) = (create(&engine, "old"), create(&engine, "live"));
        for run in [&old, &live] {
            std::fs::create_dir_all(data.all_logs().join(run.key().0.to_string())).unwrap();
            let inputs = layout::inputs(run.id(), &ActionName::ROOT).unwrap();
            blobs.put(&inputs, Bytes::from_static(b"in")).await.unwrap();
        }
        let orphan = layout::run_base(&id("orphan")).unwrap().join("a0/1/outputs.pb").unwrap();
        blobs.put(&orphan, Bytes::from_static(b"out")).await.unwrap();
        leftovers.make_way(&id("orphan")).await.unwrap();
        assert!(!blobs.exists(&orphan).await.unwrap());

        let watch = tokio::spawn({
            let leftovers = Arc::clone(&leftovers);
            async move { leftovers.watch().await }
        });
        finish(&old).await;
        for index in 0..256 {
            finish(&create(&engine, &format!("run-{index}"))).await;
        }
        let log = |run: &RunHandle| data.all_logs().join(run.key().0.to_string());
        let inputs = |run: &RunHandle| layout::inputs(run.id(), &ActionName::ROOT).unwrap();
        let since = Instant::now();
        while log(&old).exists() || blobs.exists(&inputs(&old)).await.unwrap() {
            assert!(since.elapsed() < Duration::from_secs(60), "what the run left is still there");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(log(&live).exists() && blobs.exists(&inputs(&live)).await.unwrap());
        watch.abort();
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
