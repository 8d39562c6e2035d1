//! The claim of a process to an attempt: a file that the process makes itself before it begins.
//!
//! Whoever makes the file first has the attempt. A server that was killed right after a start finds the process by it, and
//! a server that gives an attempt up makes it in the process's place: one that starts late then ends without having begun.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use super::ProcessId;

/// What a process does first: it writes the machine's boot and its own line of `/proc` into the claim, and becomes the
/// program. The shell's `noclobber` refuses a claim that is there.
pub(super) const SCRIPT: &str = r#"set -C
read -r boot < /proc/sys/kernel/random/boot_id
read -r stat < /proc/$$/stat
printf '%s\n%s\n' "$boot" "$stat" > "$0" || exit 125
exec "$@""#;

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
    let (boot, stat) = text.strip_suffix('\n')?.split_once('\n')?;
    ProcessId::from_stat(boot, stat).map(Claim::Process)
}
