//! What the server changes of its own process, and gives back to the processes of tasks.

use std::sync::OnceLock;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

/// As the server's process was started.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// Who may read what a task writes elsewhere is the user's business.
    pub umask: u32,
    /// How many descriptors a process may have; programs that use `select` rely on a small number.
    pub descriptors: Rlimit,
}

/// More descriptors than this are of no use, and cost programs that go through all of them.
const MOST: u64 = 1 << 16;

static GIVEN: OnceLock<Given> = OnceLock::new();

/// Makes what this process writes its user's alone, and lets it have as many descriptors as the system allows: each connection takes
/// one. Returns how many that are.
///
/// To be called before this process has any other: it leaves its control group then, if others are to have groups below that.
pub fn settle() -> u64 {
    crate::memory_limits();
    let given = GIVEN.get_or_init(|| {
        let umask = umask(Mode::RWXG | Mode::RWXO).as_raw_mode();
        let descriptors = getrlimit(Resource::Nofile);
        let wanted = descriptors.maximum.unwrap_or(MOST).min(MOST).max(descriptors.current.unwrap_or(MOST));
        let raised = Rlimit { current: Some(wanted), ..descriptors };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit of descriptors stays as it is");
        }
        Given { umask, descriptors }
    });
    getrlimit(Resource::Nofile).current.or(given.descriptors.current).unwrap_or(MOST)
}

/// What was there before; none in a process that has changed nothing.
pub(crate) fn given() -> Option<Given> {
    GIVEN.get().copied()
}
