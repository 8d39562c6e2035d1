//! The claim of a process to an attempt: a file that the process makes itself before it begins.
//!
//! Whoever makes the file first has the attempt. A server that was killed right after a start finds the process by it, and
//! a server that gives an attempt up makes it in the process's place: one that starts late then ends without having begun.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use crate::{ProcessId, os, own};

/// What a process does when it has written who it is into the claim, and before it becomes the program. A program that cannot be started
/// is noted in the claim: its exit code could be one of the program's own (a shell that has `shopt` would end before that).
const NOTE: &str = r#"command -v shopt > /dev/null && shopt -s execfail
trap 'printf "not started: %s\n" "$?" >> "$0"' EXIT
"#;

/// What a process does first. The shell's `noclobber` refuses a claim that is there. The claim is the server's file; what the program
/// writes is made as the user wants it.
pub(crate) fn script(exec: &str) -> String {
    let umask = own::given().map(|given| format!("umask {:03o}\n", given.umask)).unwrap_or_default();
    format!("set -C\n{}{NOTE}{umask}{exec}\nexit", os::CLAIM)
}

/// What stands in a claim whose program could not be started, in front of the shell's code for it; `warm.py` writes it too.
const NOT_STARTED: &str = "not started: ";

/// How long a claim may be there without its content: two system calls lie between, on a machine that may be busy.
const WRITING: Duration = Duration::from_secs(2);

/// Who has an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody yet.
    Free,
    /// This process, which may have ended.
    Process(ProcessId),
    /// Nobody ever will: it was given up.
    GivenUp,
}

/// How far an attempt came whose process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Nobody has claimed it: nothing of the task has run.
    Never,
    /// It was claimed, and then the program could not be started.
    NotStarted,
    /// The program ran.
    Began,
}

/// Reads from a claim how far its attempt came. Only after the end of its process.
///
/// # Errors
/// If the file cannot be read.
pub async fn beginning_of(path: &Path) -> io::Result<Beginning> {
    match claim_of(path).await? {
        Claim::Free | Claim::GivenUp => Ok(Beginning::Never),
        Claim::Process(_) => {
            let text = std::fs::read_to_string(path)?;
            let is_noted = text.lines().skip(2).any(|line| line.starts_with(NOT_STARTED));
            Ok(if is_noted { Beginning::NotStarted } else { Beginning::Began })
        }
    }
}

/// Reads a claim.
///
/// # Errors
/// If the file cannot be read.
pub async fn claim_of(path: &Path) -> io::Result<Claim> {
    let deadline = tokio::time::Instant::now() + WRITING;
    loop {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Claim::Free),
            Err(error) => return Err(error),
        };
        match parse(&text) {
            Some(claim) => return Ok(claim),
            // Its process was killed between making the file and writing it: it has not begun.
            None if tokio::time::Instant::now() > deadline => return Ok(Claim::GivenUp),
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Gives an attempt up for which nobody has a claim. False if somebody has one.
///
/// # Errors
/// If the file cannot be made.
pub fn give_up(path: &Path) -> io::Result<bool> {
    path.parent().map(std::fs::create_dir_all).transpose()?;
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(GIVEN_UP.as_bytes()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

const GIVEN_UP: &str = "given up\n";

/// None for a claim that is not complete.
fn parse(text: &str) -> Option<Claim> {
    if text == GIVEN_UP {
        return Some(Claim::GivenUp);
    }
    let (boot, rest) = text.split_once('\n')?;
    let (stat, _) = rest.split_once('\n')?;
    os::claimant(boot, stat).map(Claim::Process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn s4_a_claim_tells_how_far_its_attempt_came() {
        let directory = tempfile::tempdir().unwrap();
        let whole = directory.path().join("whole");
        let made = std::process::Command::new("sh").arg("-c").arg(os::CLAIM).arg(&whole).status().unwrap();
        let claimed = std::fs::read_to_string(whole).unwrap();
        assert!(made.success() && claimed.lines().count() == 2, "{claimed}");
        for (content, expected) in [
            (None, Beginning::Never),
            (Some(GIVEN_UP), Beginning::Never),
            (Some(""), Beginning::Never),
            (Some(claimed.trim_end()), Beginning::Never),
            (Some(claimed.as_str()), Beginning::Began),
            (Some(format!("{claimed}not started: 127\n").as_str()), Beginning::NotStarted),
        ] {
            let path = directory.path().join("claim");
            let _ = std::fs::remove_file(&path);
            content.map(|content| std::fs::write(&path, content)).transpose().unwrap();
            assert_eq!(beginning_of(&path).await.unwrap(), expected, "{content:?}");
        }
    }
}
