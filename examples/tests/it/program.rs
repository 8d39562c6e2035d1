//! Running an example as a child process with a data directory of its own.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::receiver::Receiver;

/// A program that takes longer hangs: far more than any of them needs on a slow machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// An example that is about to be run: `program!("guide").arg(url).run().await`.
pub(crate) struct Program {
    command: Command,
    data: TempDir,
}

/// The example of this name.
macro_rules! program {
    ($name:literal) => {
        $crate::program::Program::new(env!(concat!("CARGO_BIN_EXE_", $name)))
    };
}
pub(crate) use program;

/// What is left of a program that has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn new(path: &str) -> Program {
        let data = TempDir::new().unwrap();
        let mut command = Command::new(path);
        // Nothing of the machine's own tracing may reach the program.
        let inherited = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OTEL_"));
        for (name, _) in inherited {
            command.env_remove(name);
        }
        for name in ["TRACEPARENT", "TRACESTATE", "BAGGAGE", "SPANWISE_ORG", "SPANWISE_PROJECT", "SPANWISE_DOMAIN"] {
            command.env_remove(name);
        }
        command.env("SPANWISE_DATA_DIR", data.path()).env("NO_PROXY", "*").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Program { command, data }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Program {
        self.command.arg(argument);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Program {
        self.command.env(name, value);
        self
    }

    /// Points the exporter at a receiver, by the environment as a user would.
    pub(crate) fn export_to(self, receiver: &Receiver) -> Program {
        self.env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.address())
    }

    pub(crate) fn start(mut self) -> Running {
        let mut child = self.command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Running { child, stdout, read: String::new(), _data: self.data }
    }

    /// Runs it to its end.
    pub(crate) async fn run(self) -> Ended {
        self.start().ended().await
    }

    /// Runs it to its end, which has to be a good one.
    pub(crate) async fn succeed(self) -> Ended {
        let ended = self.run().await;
        assert!(ended.status.success(), "{}\n{}\n{}", ended.status, ended.stdout, ended.stderr);
        ended
    }
}

/// An example that runs.
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    read: String,
    _data: TempDir,
}

impl Running {
    /// Waits until the program has printed a line that begins so.
    pub(crate) async fn prints(&mut self, prefix: &str) {
        let wait = async {
            loop {
                let mut line = String::new();
                assert_ne!(self.stdout.read_line(&mut line).await.unwrap(), 0, "it ended without `{prefix}`");
                self.read.push_str(&line);
                if line.starts_with(prefix) {
                    return;
                }
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.unwrap();
    }

    /// Sends `INT` (Ctrl-C) or `TERM`.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().await.unwrap().success());
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Ended {
        let mut stderr = String::new();
        let mut errors = self.child.stderr.take().unwrap();
        let wait = async {
            let (out, err, status) = tokio::join!(
                self.stdout.read_to_string(&mut self.read),
                errors.read_to_string(&mut stderr),
                self.child.wait()
            );
            (out.unwrap(), err.unwrap(), status.unwrap()).2
        };
        let status = tokio::time::timeout(DEADLINE, wait).await.unwrap();
        Ended { status, stdout: self.read, stderr }
    }
}
