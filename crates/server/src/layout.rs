//! Where things are: the URIs of a run's data, in Flyte's layout, and the directories of an attempt on this machine.

use std::io;
use std::path::{Path, PathBuf};

use spanwise_blobs::{BUCKET, BadUri, BlobUri};
use spanwise_core::{ActionName, AttemptNo, RunId, layout};
use spanwise_engine::RunKey;

pub(crate) use spanwise_core::layout::RUNS;

/// The inputs of its root, below the directory of a run.
pub(crate) const INPUTS_OF_ROOT: &str = "a0/inputs.pb";

/// Below it is what the tasks of runs store by themselves.
pub(crate) const RAW_DATA: &str = "data";

/// Below it are inputs that clients have uploaded for runs to come.
pub(crate) const UPLOADED_INPUTS: &str = "inputs";

/// The directory of a run's data: `{base}/{action}/inputs.pb` and, for each attempt, `{base}/{action}/{attempt}/...`.
///
/// # Errors
/// [`BadUri`] if a name of the run cannot be part of a key; names are checked before a run is accepted.
pub(crate) fn run_base(id: &RunId) -> Result<BlobUri, BadUri> {
    BlobUri::from_key(&layout::run_key(id))
}

/// The URI of [`run_base`]; empty if there is none.
pub(crate) fn directory(id: &RunId) -> String {
    run_base(id).map(|base| base.to_string()).unwrap_or_default()
}

/// The inputs of an action, as they were frozen.
pub(crate) fn inputs(id: &RunId, action: &ActionName) -> Result<BlobUri, BadUri> {
    run_base(id)?.join(action.as_str())?.join("inputs.pb")
}

/// The directory of an attempt's outputs.
pub(crate) fn attempt(id: &RunId, action: &ActionName, attempt: AttemptNo) -> Result<BlobUri, BadUri> {
    BlobUri::from_key(&layout::attempt_key(id, action, attempt))
}

/// The report that an attempt may leave.
pub(crate) fn report(id: &RunId, action: &ActionName, number: AttemptNo) -> Result<BlobUri, BadUri> {
    attempt(id, action, number)?.join(layout::REPORT)
}

/// The directory of what an attempt's task stores by itself.
pub(crate) fn raw_data(id: &RunId, action: &ActionName, attempt: AttemptNo) -> Result<BlobUri, BadUri> {
    BlobUri::from_key(&format!("{RAW_DATA}/{}/{}/{}/{}/{action}/{attempt}", id.org, id.project, id.domain, id.name))
}

/// The entries of a directory that are named by the keys of runs.
pub(crate) fn by_key(directory: &Path) -> io::Result<Vec<(RunKey, PathBuf)>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(key) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            found.push((RunKey(key), entry.path()));
        }
    }
    Ok(found)
}

/// Removes a directory with nothing in it but directories that are empty.
pub(crate) fn remove_empty(directory: &Path) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    // What is no empty directory refuses, and so does the one that it is in.
    entries.for_each(|entry| drop(std::fs::remove_dir(entry.path())));
    let _ = std::fs::remove_dir(directory);
}

/// The data directory of the server.
#[derive(Clone, Debug)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    pub(crate) fn new(path: &Path) -> DataDir {
        DataDir(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Every directory that a server has in it.
    pub(crate) fn directories(&self) -> [PathBuf; 9] {
        [
            self.blobs(),
            self.environments(),
            self.roots(),
            self.bin(),
            self.programs(),
            self.secrets(),
            self.all_work(),
            self.all_logs(),
            self.apps(),
        ]
    }

    /// The blob store.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }

    /// The blobs of runs.
    pub(crate) fn blobs_of_runs(&self) -> PathBuf {
        self.blobs().join(BUCKET).join(RUNS)
    }

    /// Virtual environments that were made for images.
    pub(crate) fn environments(&self) -> PathBuf {
        self.0.join("environments")
    }

    /// Root file systems that were made for images of containers.
    pub(crate) fn roots(&self) -> PathBuf {
        self.0.join("roots")
    }

    /// The SDK's entry point for the interpreter of tasks.
    pub(crate) fn bin(&self) -> PathBuf {
        self.0.join("bin")
    }

    /// Programs of tasks, as files that can be started.
    pub(crate) fn programs(&self) -> PathBuf {
        self.0.join("programs")
    }

    /// Secrets, one file each.
    pub(crate) fn secrets(&self) -> PathBuf {
        self.0.join("secrets")
    }

    /// Directories that are laid over what is missing of a path in which secrets are files.
    pub(crate) fn mounts(&self) -> PathBuf {
        self.bin().join("mounts")
    }

    /// What is kept of apps on this machine: logs, working directories and claims.
    pub(crate) fn apps(&self) -> PathBuf {
        self.0.join("apps")
    }

    /// The working directories of all runs, by their keys.
    pub(crate) fn all_work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// The logs of all runs, by their keys.
    pub(crate) fn all_logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// Where the attempts of a run have their working directories; gone when the run has ended.
    pub(crate) fn work_of_run(&self, run: RunKey) -> PathBuf {
        self.all_work().join(run.0.to_string())
    }

    /// The working directory of an attempt; gone when it has ended.
    pub(crate) fn work(&self, run: RunKey, action: &ActionName, attempt: AttemptNo) -> PathBuf {
        self.work_of_run(run).join(action.as_str()).join(attempt.to_string())
    }

    /// What is known about the process of an attempt that may be under way.
    pub(crate) fn process_file(&self, run: RunKey, action: &ActionName, attempt: AttemptNo) -> PathBuf {
        self.work(run, action, attempt).with_extension("process")
    }

    /// Everything that the task of an attempt has printed.
    pub(crate) fn log(&self, run: RunKey, action: &ActionName, attempt: AttemptNo) -> PathBuf {
        self.all_logs().join(run.0.to_string()).join(action.as_str()).join(format!("{attempt}.log"))
    }
}
