//! The files of an attempt on this machine.

use std::path::{Path, PathBuf};

use spanwise_core::{ActionName, AttemptNo};
use spanwise_engine::RunHandle;
use spanwise_process as process;

use super::{devices, results};
use crate::layout::DataDir;

/// The files of an attempt on this machine.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) run: RunHandle,
    pub(super) work: PathBuf,
    pub(super) process: PathBuf,
    pub(super) log: PathBuf,
}

impl Files {
    pub(super) fn of(data: &DataDir, run: &RunHandle, action: &ActionName, attempt: AttemptNo) -> Files {
        let key = run.key();
        Files {
            run: run.clone(),
            work: data.work(key, action, attempt),
            process: data.process_file(key, action, attempt),
            log: data.log(key, action, attempt),
        }
    }

    pub(super) fn make(&self) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.work)?;
        self.log.parent().map(std::fs::create_dir_all).transpose()?;
        Ok(())
    }

    /// Removes what only the process needed; its log stays.
    pub(super) fn remove_work(&self) {
        self.remove_directory();
        devices::give_back(&self.process);
        let _ = std::fs::remove_file(&self.process);
        results::remove(&self.process);
        // Only if no other attempt of the action has its directory there, and no other action of the run.
        let action = self.work.parent();
        let _ = action.map(std::fs::remove_dir);
        if self.run.is_finished() {
            let _ = action.and_then(Path::parent).map(std::fs::remove_dir);
        }
    }

    /// Removes the working directory alone.
    pub(super) fn remove_directory(&self) {
        let _ = process::remove_tree(&self.work);
    }
}
