//! The programs in `tests/python` and the interpreter with the stock SDK that runs them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::cargo;
use crate::dev_server::DevServer;

/// A program that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(300);

/// What the programs and the tasks import. The name of the folder changes with this list.
const PACKAGES: [&str; 10] = [
    "flyte==2.12.1",
    "flyteplugins-otel==2.12.1",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-instrumentation-httpx",
    "httpx",
    "kubernetes==37.0.2",
    "oteltap==1.0.0",
    "fastapi",
    "uvicorn",
];

const FOLDER: &str = "test-venv-flyte-2.12.1-v4";

/// What the browser test imports, apart from all others: it drives a browser and needs no SDK.
const BROWSER_PACKAGES: [&str; 2] = ["playwright==1.65.2", "axe-playwright-python==0.1.8"];

const BROWSER_FOLDER: &str = "test-venv-browser-v1";

/// The interpreter: the one that `SPANWISE_TEST_PYTHON` names, else one in the target folder, made when it is needed first.
pub(crate) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| match std::env::var_os("SPANWISE_TEST_PYTHON") {
        Some(given) => given.into(),
        None => made_once(FOLDER, &PACKAGES),
    })
}

/// The interpreter that drives a browser: the one that `SPANWISE_TEST_BROWSER_PYTHON` names, else one in the target folder.
pub(crate) fn browser_python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| match std::env::var_os("SPANWISE_TEST_BROWSER_PYTHON") {
        Some(given) => given.into(),
        None => made_once(BROWSER_FOLDER, &BROWSER_PACKAGES),
    })
}

/// Libraries that read and write S3, which agree with nothing that the SDK's plugins ask for.
pub(crate) fn store_python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| match std::env::var_os("SPANWISE_TEST_STORE_PYTHON") {
        Some(given) => given.into(),
        None => made_once("test-venv-store-v1", &["boto3", "deltalake", "pyarrow", "pyiceberg[sql-sqlite]"]),
    })
}

/// What makes a wheel of the binary.
pub(crate) fn wheel_python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| match std::env::var_os("SPANWISE_TEST_WHEEL_PYTHON") {
        Some(given) => given.into(),
        None => made_once("test-venv-maturin-v1", &["maturin>=1.9,<2"]),
    })
}

/// What says when a cron expression is due, apart from all others: nothing of it is ours.
pub(crate) fn oracle_python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| match std::env::var_os("SPANWISE_TEST_ORACLE_PYTHON") {
        Some(given) => given.into(),
        None => made_once("test-venv-croniter-v1", &["croniter==7.0.0", "tzdata"]),
    })
}

/// Test binaries that run at the same time wait for one another.
fn made_once(name: &str, packages: &[&str]) -> PathBuf {
    let target = PathBuf::from(cargo::metadata()["target_directory"].as_str().unwrap());
    let folder = target.join(name);
    let lock = File::create(target.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let (complete, python) = (folder.join("complete"), folder.join("bin/python"));
    if !complete.exists() {
        let _ = std::fs::remove_dir_all(&folder);
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages));
        File::create(complete).unwrap();
    }
    python
}

fn succeed(command: &mut Command) {
    let ended = command.stdin(Stdio::null()).output().unwrap();
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// Takes out of a child's environment what would change what the SDK or OpenTelemetry do.
pub(crate) fn remove_what_would_mislead(command: &mut Command) {
    let prefixes = ["OTEL_", "FLYTE", "UCTL_", "UNION_", "_U_", "_F_", "SPANWISE_"];
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    for name in names.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))) {
        command.env_remove(name);
    }
    for name in ["TRACEPARENT", "TRACESTATE", "BAGGAGE", "VIRTUAL_ENV", "PYTHONPATH"] {
        command.env_remove(name);
    }
    command.env("NO_PROXY", "*").env("DO_NOT_TRACK", "1").env("PYTHONDONTWRITEBYTECODE", "1");
}

/// A program with the SDK, run by an interpreter. `launch.py` says why not by the interpreter alone.
pub(crate) fn launch(interpreter: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(programs().join("launch.py")).arg(program);
    command
}

/// Where the programs are.
pub(crate) fn programs() -> PathBuf {
    cargo::root().join("tests/tests/python")
}

/// A program that is about to be run, in a folder with a copy of all of them.
pub(crate) struct Program {
    command: Command,
    name: String,
    folder: TempDir,
    deadline: Duration,
}

impl Program {
    /// The file of this name as a client of the server.
    pub(crate) fn new(server: &DevServer, name: &str) -> Program {
        Program::with(python(), server, name)
    }

    /// The same with an interpreter of its own.
    pub(crate) fn with(interpreter: &Path, server: &DevServer, name: &str) -> Program {
        let folder = tempfile::tempdir().unwrap();
        for part in ["home", "programs", "scratch"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
        }
        for entry in std::fs::read_dir(programs()).unwrap() {
            let file = entry.unwrap().path();
            if file.is_file() {
                std::fs::copy(&file, folder.path().join("programs").join(file.file_name().unwrap())).unwrap();
            }
        }
        let mut command = launch(interpreter, name);
        command.current_dir(folder.path().join("programs"));
        remove_what_would_mislead(&mut command);
        // A fresh home: the SDK remembers there what it has uploaded.
        command.env("HOME", folder.path().join("home")).env("SPANWISE_TEST_SCRATCH", folder.path().join("scratch"));
        command.env("SPANWISE_ENDPOINT", server.endpoint()).env("PYTHONUNBUFFERED", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Program { command, name: name.to_owned(), folder, deadline: DEADLINE }
    }

    pub(crate) fn arg(mut self, argument: &str) -> Program {
        self.command.arg(argument);
        self.name = format!("{} {argument}", self.name);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Program {
        self.command.env(name, value);
        self
    }

    /// One that takes longer hangs.
    pub(crate) fn within(mut self, deadline: Duration) -> Program {
        self.deadline = deadline;
        self
    }

    /// A file beside the programs.
    pub(crate) fn file(self, name: &str, content: &str) -> Program {
        std::fs::write(self.folder.path().join("programs").join(name), content).unwrap();
        self
    }

    pub(crate) fn start(mut self) -> Running {
        let mut child = self.command.spawn().unwrap();
        let stdout = Text::of(child.stdout.take().unwrap());
        let stderr = Text::of(child.stderr.take().unwrap());
        let deadline = Instant::now() + self.deadline;
        Running { child, name: self.name, folder: self.folder, stdout, stderr, deadline }
    }
}

/// Runs a case of a program to its end, which has to be a good one, and returns what it found.
pub(crate) fn run_case(server: &DevServer, name: &str, case: &str) -> Value {
    Program::new(server, name).arg(case).start().result(server)
}

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    name: String,
    folder: TempDir,
    stdout: Text,
    stderr: Text,
    deadline: Instant,
}

impl Running {
    /// The lines of a file that the program's tasks write to.
    pub(crate) fn marks(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("scratch").join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// True if its tasks have made a file.
    pub(crate) fn exists(&self, file: &str) -> bool {
        self.folder.path().join("scratch").join(file).exists()
    }

    /// Makes an empty file where its tasks look for it.
    pub(crate) fn touch(&self, file: &str) {
        std::fs::write(self.folder.path().join("scratch").join(file), "").unwrap();
    }

    /// The name of the run that it has said to have started.
    pub(crate) fn started_run(&self) -> String {
        let said = self.stdout.so_far();
        let name = said.lines().find_map(|line| line.strip_prefix("STARTED ")).expect("it has started a run");
        name.trim().to_owned()
    }

    /// Waits until its marks are as wanted; it must not end before.
    pub(crate) fn wait_for_marks(&mut self, file: &str, wanted: impl Fn(&[String]) -> bool, server: &DevServer) {
        self.wait_until(|running| wanted(&running.marks(file)), server);
    }

    /// Waits until something is as wanted; it must not end before.
    pub(crate) fn wait_until(&mut self, wanted: impl Fn(&Running) -> bool, server: &DevServer) {
        while !wanted(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended too early\n{}", self.name, self.story(server));
            self.check_deadline(server);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end, which has to be a good one, and returns what it printed behind `RESULT`.
    pub(crate) fn result(mut self, server: &DevServer) -> Value {
        self.finish(server)
    }

    /// The same, for those who look at its marks then.
    pub(crate) fn finish(&mut self, server: &DevServer) -> Value {
        let status = self.wait(server);
        self.stdout.finish();
        self.stderr.finish();
        assert!(status.success(), "{}: {status}\n{}", self.name, self.story(server));
        let stdout = self.stdout.so_far();
        let Some(result) = stdout.lines().rev().find_map(|line| line.strip_prefix("RESULT ")) else {
            panic!("{} printed no result\n{}", self.name, self.story(server));
        };
        serde_json::from_str(result).unwrap()
    }

    fn wait(&mut self, server: &DevServer) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            self.check_deadline(server);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn check_deadline(&mut self, server: &DevServer) {
        if Instant::now() > self.deadline {
            self.child.kill().unwrap();
            panic!("{} takes too long\n{}", self.name, self.story(server));
        }
    }

    /// Everything that helps to understand a failure.
    fn story(&self, server: &DevServer) -> String {
        let (stdout, stderr) = (self.stdout.so_far(), self.stderr.so_far());
        format!("--- output\n{stdout}\n--- errors\n{stderr}\n--- server\n{}", server.said())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipe that is read by a thread of its own.
struct Text {
    text: std::sync::Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Text {
    fn of(mut pipe: impl Read + Send + 'static) -> Text {
        let text = std::sync::Arc::new(Mutex::new(Vec::new()));
        let keep = text.clone();
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 8192];
            while let Ok(length @ 1..) = pipe.read(&mut piece) {
                keep.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..length]);
            }
        });
        Text { text, reader: Some(reader) }
    }

    /// Waits for the end of the pipe; the programs leave nobody behind who holds it.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}
