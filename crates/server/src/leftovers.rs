//! What runs leave outside of the journal, and its end when the journal has let go of them.
//!
//! What retention has deleted goes with it. A directory that the journal does not know otherwise may be what a crash between the two has
//! left, or the only thing that is left of a journal that was lost: it goes when it is older than a day by the journal's own time, which
//! no clock that jumps moves, and never if it is older than the journal itself. Both are told.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use spanwise_blobs::{BlobUri, Blobs};
use spanwise_core::{ActionName, RunId, Timestamp};
use spanwise_engine::{Engine, PrunedRun, RunKey};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::layout::{self, DataDir};

mod age;
mod names;

use age::{Age, newest, timestamp};
use names::{find_mentions, run_of};

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
    removal: Arc<RwLock<()>>,
    /// What retention has deleted and still has directories.
    pruned: Mutex<Vec<PrunedRun>>,
    /// How many unknown directories were told of last.
    last_count: Mutex<usize>,
    /// When the store was tidied last.
    tidied_at: Mutex<Option<Timestamp>>,
}

/// While this is held, nothing is removed.
pub(crate) type Untouched = OwnedRwLockReadGuard<()>;

/// What a sweep has found that the journal does not know.
#[derive(Debug, Default)]
struct Unknown {
    removed: Vec<String>,
    left: Vec<String>,
}

impl Leftovers {
    pub(crate) fn new(engine: Engine, blobs: Blobs, data: DataDir) -> Leftovers {
        let (removal, pruned, last_count, tidied_at) =
            (Arc::default(), Mutex::default(), Mutex::default(), Mutex::default());
        Leftovers { engine, blobs, data, removal, pruned, last_count, tidied_at }
    }

    /// Removes now, whenever retention has deleted runs, and once a day.
    pub(crate) async fn watch(&self) {
        loop {
            match self.sweep(self.engine.now()).await {
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
        let mut last_count = self.last_count.lock().unwrap_or_else(PoisonError::into_inner);
        let count = unknown.left.len();
        if std::mem::replace(&mut *last_count, count) < count
            && let Some(first) = unknown.left.first()
        {
            tracing::warn!(
                count,
                first,
                "directories of runs are here that the journal does not know: those of a lost journal stay, others go after a day"
            );
        }
    }

    /// Nothing is removed while this is held: for whoever makes a run.
    pub(crate) async fn untouched(&self) -> Untouched {
        Arc::clone(&self.removal).read_owned().await
    }

    /// Removes what an earlier run of this name has left, unless there is a run of the name, and keeps it like this while what is
    /// returned is held: for whoever makes a run of it.
    pub(crate) async fn make_way(&self, id: &RunId) -> Result<Untouched, Error> {
        let alone = Arc::clone(&self.removal).write_owned().await;
        if self.engine.run_row(id)?.is_none() {
            self.blobs.delete_prefix(&layout::run_base(id)?).await?;
        }
        Ok(alone.downgrade())
    }

    /// `now` is a time of the engine's.
    async fn sweep(&self, now: Timestamp) -> Result<Unknown, Error> {
        let pruned = {
            let mut pruned = self.pruned.lock().unwrap_or_else(PoisonError::into_inner);
            pruned.extend(self.engine.take_pruned());
            pruned.clone()
        };
        let keys: HashSet<RunKey> = pruned.iter().map(|run| run.key).collect();
        let ids: HashSet<RunId> = pruned.into_iter().filter_map(|run| run.id).collect();
        let (engine, data) = (self.engine.clone(), self.data.clone());
        let (age, mut unknown, has_artifacts) = blocking(move || {
            let newest = engine.newest_fact()?;
            let age = Age { after: engine.kept_before(), before: newest.map(|newest| newest.before(LEFT_ALONE)) };
            let mut unknown = Unknown::default();
            for directory in [data.all_work(), data.all_logs()] {
                remove_unowned(&engine, &directory, &keys, age, &mut unknown)?;
            }
            Ok((age, unknown, engine.newest_artifact()?.0 > 0))
        })
        .await?;
        let mut stored = self.unowned(layout::RAW_DATA, &ids, age, &mut unknown).await?;
        for (base, id) in self.unowned(layout::RUNS, &ids, age, &mut unknown).await? {
            // Cards of artifacts are there.
            match has_artifacts {
                true => stored.push((base, id)),
                false => self.remove(&base, &id).await?,
            }
        }
        if !stored.is_empty() {
            let mentioned = self.mentioned().await?;
            for (base, id) in stored.iter().filter(|(base, _)| !mentioned.contains(base.key())) {
                self.remove(base, id).await?;
            }
        }
        self.forget_uploaded_inputs(age).await?;
        self.pruned.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if let Err(error) = self.tidy(now).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "directories of runs that hold nothing stay for now");
        }
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
                let location = self.blobs.location(&base);
                if !self.is_old(&base, age).await? {
                    unknown.left.push(location);
                    continue;
                }
                unknown.removed.push(location);
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

impl Leftovers {
    /// What a write or a deletion that was cut off has left, and is no blob, belongs to nobody. Looked for once a day: that goes through all that
    /// is stored.
    async fn tidy(&self, now: Timestamp) -> Result<(), Error> {
        {
            let mut tidied_at = self.tidied_at.lock().unwrap_or_else(PoisonError::into_inner);
            if tidied_at.is_some_and(|last| now.since(last) < LEFT_ALONE) {
                return Ok(());
            }
            *tidied_at = Some(now);
        }
        let Some(before) = SystemTime::now().checked_sub(LEFT_ALONE) else { return Ok(()) };
        for top in [layout::RUNS, layout::RAW_DATA, layout::UPLOADED_INPUTS] {
            self.blobs.tidy(&BlobUri::from_key(top)?, before).await?;
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
                unknown.left.push(text);
                continue;
            }
            unknown.removed.push(text);
        }
        std::fs::remove_dir_all(path).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
