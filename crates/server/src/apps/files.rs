//! The files of an app on this machine: its logs, its working directory, and the claim of its process, by the number of the start.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use spanwise_wire::apps::AppId;

use crate::layout::DataDir;

/// So many logs of earlier starts are kept, with that of the last one.
const LOGS_KEPT: usize = 5;

/// The directory of an app.
#[derive(Clone, Debug)]
pub(super) struct AppFiles(PathBuf);

/// What a server has to know of a process that an earlier one has started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// What it is made from.
    pub(super) process: String,
    /// The port that it was given.
    pub(super) given: u16,
    /// The port of its definition, if it may have it.
    pub(super) own: Option<u16>,
}

impl AppFiles {
    pub(super) fn of(data: &DataDir, id: &AppId) -> AppFiles {
        AppFiles(data.apps().join(&id.org).join(&id.project).join(&id.domain).join(&id.name))
    }

    /// The directories of all apps that were ever started here.
    pub(super) fn all(data: &DataDir) -> Vec<(AppId, AppFiles)> {
        let mut found = Vec::new();
        let text = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
        for (org, path) in below(&data.apps()) {
            for (project, path) in below(&path) {
                for (domain, path) in below(&path) {
                    let named = below(&path).into_iter().filter_map(|(_, path)| Some((text(&path)?, path)));
                    let (org, project) = (&org, &project);
                    found.extend(named.map(|(name, path)| {
                        let id = AppId { org: org.clone(), project: project.clone(), domain: domain.clone(), name };
                        (id, AppFiles(path))
                    }));
                }
            }
        }
        found
    }

    pub(super) fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    pub(super) fn claim(&self, number: u32) -> PathBuf {
        self.0.join(format!("{number}.process"))
    }

    pub(super) fn log(&self, number: u32) -> PathBuf {
        self.0.join(format!("{number}.log"))
    }

    fn note_file(&self, number: u32) -> PathBuf {
        self.0.join(format!("{number}.json"))
    }

    /// Says that what its process is made from has answered once.
    fn good_file(&self) -> PathBuf {
        self.0.join("answered")
    }

    /// The logs that are there, the newest last.
    pub(super) fn logs(&self) -> Vec<(u32, PathBuf)> {
        self.numbers("log").into_iter().map(|number| (number, self.log(number))).collect()
    }

    /// The starts that have such a file, in order.
    pub(super) fn numbers(&self, extension: &str) -> Vec<u32> {
        let number = |path: &Path| {
            let is_such = path.extension().is_some_and(|found| found == extension);
            path.file_stem().filter(|_| is_such)?.to_str()?.parse().ok()
        };
        let mut numbers: Vec<u32> = below(&self.0).iter().filter_map(|(_, path)| number(path)).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Makes everything ready for the next start, whose number it gives: a new working directory, and no log that is too old.
    pub(super) fn begin(&self, note: &Note) -> io::Result<u32> {
        let number = self.numbers("log").last().copied().unwrap_or(0) + 1;
        let _ = std::fs::remove_dir_all(self.work());
        std::fs::create_dir_all(self.work())?;
        let mut old = self.numbers("log");
        old.truncate((old.len() + 1).saturating_sub(LOGS_KEPT));
        for number in old {
            let _ = std::fs::remove_file(self.log(number));
            for beside in ["log.times", "log.hides"] {
                let _ = std::fs::remove_file(self.log(number).with_extension(beside));
            }
        }
        std::fs::write(self.note_file(number), serde_json::to_vec(note)?)?;
        Ok(number)
    }

    pub(super) fn note(&self, number: u32) -> Option<Note> {
        serde_json::from_slice(&std::fs::read(self.note_file(number)).ok()?).ok()
    }

    /// Removes what only the process needed.
    pub(super) fn finish(&self, number: u32) {
        let _ = std::fs::remove_file(self.claim(number));
        let _ = std::fs::remove_file(self.note_file(number));
    }

    pub(super) fn forget_note(&self, number: u32) {
        let _ = std::fs::remove_file(self.note_file(number));
    }

    /// Notes that what is made from this has answered.
    pub(super) fn note_good(&self, process: &str) {
        if let Err(error) = std::fs::write(self.good_file(), process) {
            tracing::debug!(%error, "note that an app has answered: a restart tries it again");
        }
    }

    pub(super) fn is_good(&self, process: &str) -> bool {
        std::fs::read_to_string(self.good_file()).is_ok_and(|good| good == process)
    }

    /// Removes everything.
    pub(super) fn remove(&self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What is in a directory; nothing if it is not there.
fn below(directory: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_numbered_and_old_logs_go() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::new(directory.path());
        let [org, project, domain, name] = ["local", "p", "d", "web"].map(str::to_owned);
        let id = AppId { org, project, domain, name };
        let files = AppFiles::of(&data, &id);
        let note = Note { process: "x".to_owned(), given: 1, own: Some(2) };
        for number in 1..=7 {
            assert_eq!(files.begin(&note).unwrap(), number);
            std::fs::write(files.log(number), "").unwrap();
        }
        let left: Vec<u32> = files.logs().into_iter().map(|(number, _)| number).collect();
        assert_eq!(left, [3, 4, 5, 6, 7]);
        assert_eq!((files.note(7), files.note(9)), (Some(note), None));
        assert_eq!(AppFiles::all(&data).into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [id]);
        files.note_good("x");
        assert!(files.is_good("x") && !files.is_good("y"));
        files.finish(7);
        assert_eq!(files.note(7), None);
        files.remove();
        assert!(AppFiles::all(&data).is_empty() && files.logs().is_empty());
    }
}
