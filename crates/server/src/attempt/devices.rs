//! Which devices an attempt sees: as many as it asks for, of those that the server has to give. What is given stands beside the claim of the attempt, so
//! that the next server knows it too.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use spanwise_core::Failure;

use super::system;

/// What CUDA and what stands on it ask which devices there are.
const VARIABLE: &str = "CUDA_VISIBLE_DEVICES";

/// The extension of the file beside a claim.
const NOTE: &str = "devices";

/// Who counts the devices may have given one back a little before its process is gone.
const PAUSE: Duration = Duration::from_millis(50);
const ROUNDS: usize = 400;

/// The devices of a server.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    all: Vec<String>,
    /// The working directories of attempts.
    work: PathBuf,
    /// Held by whoever chooses.
    choosing: tokio::sync::Mutex<()>,
}

impl Devices {
    /// The devices that may be given, by the names that CUDA has for them; none: nobody gives any, and tasks see what there is.
    pub(crate) fn new(all: Vec<String>, work: PathBuf) -> Devices {
        Devices { all, work, choosing: tokio::sync::Mutex::default() }
    }

    /// Adds the variable that says which devices an attempt sees.
    pub(super) async fn add_to(
        &self,
        env: &mut Vec<(String, String)>,
        claim: &Path,
        wanted: u64,
    ) -> Result<(), Failure> {
        if let Some((name, value)) = self.of(claim, wanted).await? {
            env.retain(|(other, _)| *other != name);
            env.push((name, value));
        }
        Ok(())
    }

    /// The variable that says which devices an attempt sees: so many as it asks for. They are its own until [`give_back`].
    async fn of(&self, claim: &Path, wanted: u64) -> Result<Option<(String, String)>, Failure> {
        if self.all.is_empty() {
            return Ok(None);
        }
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        for _ in 0..ROUNDS {
            let given = self.choose(claim, wanted).await.map_err(|error| system("choose a device", &error))?;
            if let Some(given) = given {
                return Ok(Some((VARIABLE.to_owned(), given.join(","))));
            }
            tokio::time::sleep(PAUSE).await;
        }
        let message =
            format!("{wanted} of the server's devices ({}) were to be free, and are not", self.all.join(", "));
        Err(Failure::system("NoDevice", message))
    }

    /// None if too few are free now.
    async fn choose(&self, claim: &Path, wanted: usize) -> io::Result<Option<Vec<String>>> {
        let _one = self.choosing.lock().await;
        if wanted == 0 {
            return Ok(Some(Vec::new()));
        }
        let (work, all, note) = (self.work.clone(), self.all.clone(), claim.with_extension(NOTE));
        let chosen = tokio::task::spawn_blocking(move || {
            let taken = taken(&work, &note)?;
            let free: Vec<String> = all.into_iter().filter(|device| !taken.contains(device)).take(wanted).collect();
            if free.len() < wanted {
                return Ok(None);
            }
            std::fs::write(&note, free.join("\n"))?;
            Ok(Some(free))
        });
        chosen.await.map_err(io::Error::other)?
    }
}

/// What other attempts have.
fn taken(work: &Path, own: &Path) -> io::Result<BTreeSet<String>> {
    let mut taken = BTreeSet::new();
    for run in entries(work)? {
        for action in entries(&run)? {
            let notes = entries(&action)?.into_iter().filter(|file| file.extension().is_some_and(|kind| kind == NOTE));
            for note in notes.filter(|note| note != own) {
                taken.extend(std::fs::read_to_string(note).unwrap_or_default().lines().map(str::to_owned));
            }
        }
    }
    Ok(taken)
}

/// What is in a directory; nothing if it is none, or goes meanwhile.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(directory) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The processes of an attempt have ended: others may have its devices.
pub(super) fn give_back(claim: &Path) {
    let _ = std::fs::remove_file(claim.with_extension(NOTE));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn s14_1_no_device_is_given_twice_and_the_next_server_knows_who_has_which() {
        let folder = tempfile::tempdir().unwrap();
        let claim = |run: &str, attempt: &str| {
            let directory = folder.path().join(run).join("a0");
            std::fs::create_dir_all(&directory).unwrap();
            directory.join(format!("{attempt}.process"))
        };
        let server = || Devices::new(["0", "1", "GPU-x"].map(str::to_owned).into(), folder.path().to_owned());
        let (first, second, third) = (claim("1", "1"), claim("1", "2"), claim("22", "1"));
        let before = server();
        let value = |given: Option<(String, String)>| given.unwrap().1;
        assert_eq!(value(before.of(&first, 2).await.unwrap()), "0,1");
        assert_eq!(value(before.of(&second, 0).await.unwrap()), "", "it sees none");
        assert_eq!(before.choose(&second, 2).await.unwrap(), None);
        let after = server();
        assert_eq!(value(after.of(&third, 1).await.unwrap()), "GPU-x");
        assert_eq!(after.choose(&second, 1).await.unwrap(), None);
        give_back(&first);
        assert_eq!(value(after.of(&second, 1).await.unwrap()), "0");
        // A launch that is tried again has what it had.
        assert_eq!(value(after.of(&third, 1).await.unwrap()).len(), 1);
        assert_eq!(Devices::default().of(&first, 1).await.unwrap(), None);
    }
}
