//! Who is running: a note in the data directory and an answer on the port, so that a second start can say who is in its way.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderName;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use spanwise_process::environments::{Base, NoPython};

use crate::image_plan::SDK;

/// Where a server says who it is.
pub(crate) const PATH: &str = "/server";

const FILE: &str = "server.json";

/// One that does not answer within this time is not asked again: the message does without it.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// A server that is running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub port: u16,
    /// Where it keeps everything.
    pub data_dir: PathBuf,
    /// How the memory of its tasks is limited.
    #[serde(default)]
    pub memory: Option<String>,
    /// The interpreter of its tasks; none in the note.
    #[serde(default)]
    pub python: Option<Box<Interpreter>>,
}

/// An interpreter of tasks, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// Which one, with its version and that of its SDK.
    pub name: String,
    /// Why Python tasks cannot run with it.
    pub problem: Option<String>,
    /// What is unusual about it.
    pub warning: Option<String>,
}

impl Interpreter {
    /// Asks the interpreter of tasks what it is: the one that is given, as a path or as a name on the path, else the one on the path.
    ///
    /// # Errors
    /// [`NoPython`] if none is given and there is none on the path.
    pub async fn find(given: Option<&Path>) -> Result<Interpreter, NoPython> {
        Ok(Interpreter::from(&Base::probe(&Base::find(given)?, &SDK).await))
    }
}

impl From<&Base> for Interpreter {
    fn from(base: &Base) -> Interpreter {
        Interpreter { name: base.to_string(), problem: base.problem(), warning: base.warning() }
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Running { pid, port, data_dir, .. } = self;
        write!(f, "a server with process id {pid}, port {port} and data directory `{}`", data_dir.display())
    }
}

/// The note, for as long as the server runs. One that a killed server has left is read only while somebody holds the directory.
#[derive(Debug)]
pub(crate) struct Note(PathBuf);

impl Drop for Note {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Running {
    /// This process.
    pub(crate) fn new(port: u16, data: &Path) -> Running {
        let memory = Some(spanwise_process::memory_limits());
        Running { pid: std::process::id(), port, data_dir: data.to_owned(), memory, python: None }
    }

    /// Writes the note. Only who holds the data directory may.
    pub(crate) fn note(&self) -> io::Result<Note> {
        let file = self.data_dir.join(FILE);
        let staged = file.with_extension("json.new");
        std::fs::write(&staged, serde_json::to_vec(self).map_err(io::Error::other)?)?;
        std::fs::rename(staged, &file)?;
        Ok(Note(file))
    }
}

impl Running {
    /// The answer on [`PATH`].
    pub(crate) fn answer(&self) -> ([(HeaderName, &'static str); 1], String) {
        ([(CONTENT_TYPE, "application/json")], serde_json::to_string(self).unwrap_or_default())
    }
}

/// Whom the note in a data directory names.
pub(crate) fn read(data_dir: &Path) -> Option<Running> {
    serde_json::from_slice(&std::fs::read(data_dir.join(FILE)).ok()?).ok()
}

/// The server that listens at an address, if one of ours does.
pub fn at(address: SocketAddr) -> Option<Running> {
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    connection.set_read_timeout(Some(PATIENCE)).ok()?;
    connection.write_all(format!("GET {PATH} HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes()).ok()?;
    let mut answer = Vec::new();
    connection.take(1 << 16).read_to_end(&mut answer).ok()?;
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    serde_json::from_slice(&answer[body + 4..]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_there_as_long_as_its_server() {
        let directory = tempfile::tempdir().unwrap();
        let running = Running { pid: 7, port: 8585, data_dir: directory.path().to_owned(), memory: None, python: None };
        assert_eq!(read(directory.path()), None);
        let note = running.note().unwrap();
        assert_eq!(read(directory.path()), Some(running));
        drop(note);
        assert_eq!(read(directory.path()), None);
    }
}
