//! Setting a damaged database aside: what may still be read in it is not thrown away.

use std::io;
use std::path::{Path, PathBuf};

/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 3] = ["", "-wal", "-shm"];

/// Gives a database and its companions other names, and says which the database has now. Nothing may have it open.
///
/// # Errors
/// If a file cannot be renamed.
pub fn set_aside(file: &Path) -> io::Result<PathBuf> {
    let with = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let free =
        |number: &u32| COMPANIONS.iter().all(|companion| !with(&format!(".damaged-{number}{companion}")).exists());
    let number = (1..u32::MAX).find(free).unwrap_or(u32::MAX);
    for companion in COMPANIONS {
        match std::fs::rename(with(companion), with(&format!(".damaged-{number}{companion}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(with(&format!(".damaged-{number}")))
}
