//! The program `workload` in a directory of its own: started, watched, killed and started again.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use crate::log::{self, Line};

/// What an undisturbed run prints.
pub(crate) const RESULT: &str = "result 45\n";

/// Longer than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory with a data directory, a log and a gate in it.
pub(crate) struct Workload {
    directory: TempDir,
}

impl Default for Workload {
    fn default() -> Workload {
        Workload { directory: tempfile::tempdir().unwrap() }
    }
}

impl Workload {
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn log(&self) -> Vec<Line> {
        log::read(&self.directory.path().join("log"))
    }

    fn gate(&self) -> PathBuf {
        self.directory.path().join("gate")
    }

    /// Starts the program.
    pub(crate) fn start(&self) -> Process {
        self.spawn(Command::new(env!("CARGO_BIN_EXE_workload")).env_remove("WORKLOAD_GATE"))
    }

    /// Starts the program; its task `gate` waits for [`Workload::open_gate`].
    pub(crate) fn start_with_gate(&self) -> Process {
        self.spawn(Command::new(env!("CARGO_BIN_EXE_workload")).env("WORKLOAD_GATE", self.gate()))
    }

    pub(crate) fn open_gate(&self) {
        std::fs::write(self.gate(), "").unwrap();
    }

    fn spawn(&self, command: &mut Command) -> Process {
        let command = command.env("WORKLOAD_DIR", self.directory.path()).stdin(Stdio::null());
        let started = SystemTime::now();
        Process { child: command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap(), started }
    }

    /// Returns when the log is as wanted.
    pub(crate) fn wait_for_log(&self, what: &str, mut wanted: impl FnMut(&[Line]) -> bool) {
        let since = Instant::now();
        loop {
            let lines = self.log();
            if wanted(&lines) {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "{what} did not come: {lines:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn wait_for_begin(&self, wanted: &str) {
        let begun = |line: &Line| matches!(line, Line::Begin { key, .. } if key == wanted);
        self.wait_for_log(&format!("the beginning of {wanted}"), |lines| lines.iter().any(begun));
    }
}

/// A started program.
pub(crate) struct Process {
    child: Child,
    pub(crate) started: SystemTime,
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// `kill -9`, and how the process ended: it may have been faster.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.child.wait().unwrap()
    }

    /// Sends a signal by its name, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.id())]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end.
    pub(crate) fn finish(mut self) -> Output {
        let since = Instant::now();
        while self.is_running() {
            if since.elapsed() > PATIENCE {
                self.kill();
                panic!("the workload hangs: {:?}", self.child.wait_with_output());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.child.wait_with_output().unwrap()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
