//! The built binary as `spanwise dev`: started, asked, killed and started again on the same port and data directory.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cargo;
use crate::python;

/// From the start to the answer on `/readyz`; far above what a slow machine needs.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// From SIGTERM to the end.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How much of what the server said a failure shows.
const SHOWN_LINES: usize = 200;

/// How a server is started, apart from its port.
#[derive(Clone)]
struct Settings {
    data: PathBuf,
    /// The command, and what it is given beside port, data directory and Python.
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// The interpreter of tasks; none leaves it to the server to find one.
    python: Option<PathBuf>,
    /// What is started; this workspace's own if it is none.
    binary: Option<PathBuf>,
    /// The data directory is on a small disk in memory, which only the server and its tasks see by its name.
    on_small_disk: bool,
    /// What becomes the server; empty for the server itself.
    becomes: Vec<String>,
}

/// Mounts a small disk and becomes the server.
const ON_SMALL_DISK: &str = r#"mount -t tmpfs -o size=24m,nr_inodes=4000 tmpfs "$0" && exec "$@""#;

/// A server that runs, or has been killed.
pub(crate) struct DevServer {
    settings: Settings,
    child: Child,
    /// The host of its addresses.
    host: String,
    port: u16,
    printed: Arc<Mutex<String>>,
    said: Arc<Mutex<String>>,
    /// What it had said before it was killed and started again.
    before: String,
    _owned: Option<TempDir>,
}

impl DevServer {
    /// Starts a server on a free port.
    pub(crate) fn start(data: &Path) -> DevServer {
        DevServer::start_with(data, &[])
    }

    /// Starts a server on a free port with more variables in its environment.
    pub(crate) fn start_with(data: &Path, environment: &[(&str, &str)]) -> DevServer {
        DevServer::start_by(data, Some(python::python()), environment)
    }

    /// The same with an interpreter of its own for tasks, or with none given.
    pub(crate) fn start_by(data: &Path, python: Option<&Path>, environment: &[(&str, &str)]) -> DevServer {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        launch(Settings { environment, python: python.map(Path::to_owned), ..Settings::dev(data) }, 0)
    }

    /// Starts a server that was installed somewhere, which finds an interpreter by itself.
    pub(crate) fn of_binary(binary: &Path, data: &Path) -> DevServer {
        launch(Settings { binary: Some(binary.to_owned()), python: None, ..Settings::dev(data) }, 0)
    }

    /// Starts a server that may set a lost journal aside.
    pub(crate) fn start_repairing(data: &Path) -> DevServer {
        let arguments = vec!["dev".to_owned(), "--repair".to_owned()];
        launch(Settings { arguments, ..Settings::dev(data) }, 0)
    }

    /// Starts a server with its data directory on a disk of 24 MiB and 4000 files; see [`DevServer::disk`].
    pub(crate) fn on_small_disk(mounted_at: &Path) -> DevServer {
        launch(Settings { on_small_disk: true, ..Settings::dev(&mounted_at.join("data")) }, 0)
    }

    /// Starts a server as a user without any rights; none if this is not root, who alone can, or if that user cannot run the interpreter.
    pub(crate) fn as_nobody(data: &Path, environment: &[(&str, &str)]) -> Option<DevServer> {
        const NOBODY: u32 = 65534;
        if !is_root() {
            return None;
        }
        std::os::unix::fs::chown(data, Some(NOBODY), Some(NOBODY)).unwrap();
        let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        // By a shell, as whoever becomes that user has root's rights for a moment longer.
        let run = ["/bin/sh", "-c", r#"exec "$0" -c """#];
        let runs = Command::new(user[0]).args(&user[1..]).args(run).arg(python::python()).status();
        if !runs.is_ok_and(|status| status.success()) {
            return None;
        }
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let becomes = user.map(str::to_owned).to_vec();
        Some(launch(Settings { becomes, environment, ..Settings::dev(data) }, 0))
    }

    /// Starts a server as root without a capability; none if this is not root.
    pub(crate) fn as_root_without(data: &Path, capability: &str) -> Option<DevServer> {
        let without = ["setpriv".to_owned(), format!("--bounding-set=-{capability}")];
        is_root().then(|| launch(Settings { becomes: without.to_vec(), ..Settings::dev(data) }, 0))
    }

    /// Where this process sees the small disk.
    pub(crate) fn disk(&self) -> PathBuf {
        let mounted_at = self.settings.data.parent().unwrap();
        Path::new("/proc").join(self.pid().to_string()).join("root").join(mounted_at.strip_prefix("/").unwrap())
    }

    /// Starts `spanwise serve` on a free port with more arguments.
    pub(crate) fn serve(data: &Path, arguments: &[&str]) -> DevServer {
        let arguments = ["serve"].iter().chain(arguments).map(|argument| (*argument).to_owned()).collect();
        launch(Settings { arguments, ..Settings::dev(data) }, 0)
    }

    /// A server with a data directory of its own that all tests share which run at the same time; the last one ends it.
    pub(crate) fn shared() -> Arc<DevServer> {
        static SHARED: Mutex<Weak<DevServer>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let data = tempfile::tempdir().unwrap();
        let mut server =
            DevServer::start_with(data.path(), &[("SPANWISE_SECRET_SPANWISE_TEST_GIVEN", "given \u{1f680}")]);
        server._owned = Some(data);
        let server = Arc::new(server);
        *shared = Arc::downgrade(&server);
        server
    }

    /// `localhost:PORT`, which is what `flyte.init` takes.
    pub(crate) fn endpoint(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The tail of what it has written to its standard error so far.
    pub(crate) fn said(&self) -> String {
        tail(&format!("{}{}", self.before, self.said.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// What it has written to its standard output so far.
    pub(crate) fn printed(&self) -> String {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// SIGTERM, without waiting for what becomes of it.
    pub(crate) fn tell_to_end(&self) {
        let told = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// Its end within the limit, however it came about.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + STOP_LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server did not end within {STOP_LIMIT:?}:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// True if it has ended, however.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL: nothing is written any more, nobody is told.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its end within the limit, which has to be an orderly one.
    pub(crate) fn stop(mut self) {
        assert!(self.terminate(), "the server did not end within {STOP_LIMIT:?} of SIGTERM:\n{}", self.said());
        let status = self.child.wait().unwrap();
        assert!(matches!(status.code(), Some(0 | 143)), "{status}:\n{}", self.said());
    }

    /// Starts it again where it was; it must have been killed.
    pub(crate) fn restart(&mut self) {
        let (owned, before) = (self._owned.take(), format!("{}\n-- started again\n", self.said()));
        *self = launch(self.settings.clone(), self.port);
        (self._owned, self.before) = (owned, before);
    }

    /// Asks it to end; false if it goes on.
    fn terminate(&mut self) -> bool {
        let asked =
            Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).stderr(Stdio::null()).status();
        let deadline = Instant::now() + STOP_LIMIT;
        while asked.as_ref().is_ok_and(|status| status.success()) && Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for DevServer {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && !self.terminate() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the server on port {} said:\n{}", self.port, self.said());
        }
    }
}

impl Settings {
    fn dev(data: &Path) -> Settings {
        let (arguments, environment) = (vec!["dev".to_owned()], Vec::new());
        let python = Some(python::python().to_owned());
        let (binary, becomes) = (None, Vec::new());
        Settings { data: data.to_owned(), arguments, environment, python, binary, on_small_disk: false, becomes }
    }

    fn command(&self) -> Command {
        if let Some((program, arguments)) = self.becomes.split_first() {
            let mut command = Command::new(program);
            command.args(arguments).arg(binary());
            return command;
        }
        if !self.on_small_disk {
            return Command::new(self.binary.as_deref().unwrap_or_else(|| binary()));
        }
        let mut command = Command::new("unshare");
        // Who is not root is so in a name space of their own.
        if !is_root() {
            command.arg("--map-root-user");
        }
        command.args(["--mount", "sh", "-c", ON_SMALL_DISK]).arg(self.data.parent().unwrap()).arg(binary());
        command
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn launch(settings: Settings, port: u16) -> DevServer {
    let mut command = settings.command();
    command.args(&settings.arguments).args(["--port", &port.to_string()]).arg("--data-dir").arg(&settings.data);
    command.args(settings.python.iter().flat_map(|python| [OsStr::new("--python"), python.as_os_str()]));
    python::remove_what_would_mislead(&mut command);
    // Tasks inherit it: nothing of the user's own settings of the SDK may reach them.
    command.env("HOME", &settings.data).env("SPANWISE_COLLECTOR_PORT", "0").envs(settings.environment.iter().cloned());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let said = collect(child.stderr.take().unwrap());
    let printed = Arc::new(Mutex::new(String::new()));
    let urls = api_lines(child.stdout.take().unwrap(), Arc::clone(&printed));
    let (host, before) = (String::new(), String::new());
    let mut server = DevServer { settings, child, host, port, said, printed, before, _owned: None };
    (server.host, server.port) = match urls.recv_timeout(READY_LIMIT) {
        Ok(place) => place,
        Err(_) => panic!("`spanwise dev` did not print where its API is:\n{}", server.said()),
    };
    wait_until_ready(&mut server);
    server
}

fn wait_until_ready(server: &mut DevServer) {
    let deadline = Instant::now() + READY_LIMIT;
    let url = format!("http://{}/readyz", server.endpoint());
    while status_of(&url) != Some(200) {
        let ended = server.child.try_wait().unwrap();
        assert!(ended.is_none(), "the server ended, {ended:?}:\n{}", server.said());
        assert!(Instant::now() < deadline, "the server was not ready within {READY_LIMIT:?}:\n{}", server.said());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The status of a GET, redirects followed; nothing if nobody answers.
pub(crate) fn status_of(url: &str) -> Option<u16> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(10)))
        .http_status_as_error(false)
        .build()
        .into();
    agent.get(url).call().ok().map(|answer| answer.status().as_u16())
}

/// What a GET answers, which has to be a good answer.
pub(crate) fn body_of(url: &str) -> String {
    ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap()
}

/// Reads a pipe to its end, which can be after the end of the server if a task holds it.
fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let said = Arc::new(Mutex::new(String::new()));
    let keep = said.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            let mut said = keep.lock().unwrap_or_else(PoisonError::into_inner);
            said.push_str(&line);
            said.push('\n');
        }
    });
    said
}

/// Host and port on each line of the output that begins with `API`. All of it is noted in `printed`.
fn api_lines(pipe: impl Read + Send + 'static, printed: Arc<Mutex<String>>) -> mpsc::Receiver<(String, u16)> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
            printed.push_str(&line);
            printed.push('\n');
            drop(printed);
            if let Some(place) = place_of(&line) {
                let _ = sender.send(place);
            }
        }
    });
    receiver
}

/// `API       http://localhost:8093` -> localhost, 8093.
fn place_of(line: &str) -> Option<(String, u16)> {
    let (_, address) = line.trim_start().strip_prefix("API")?.split_once("://")?;
    let (host, port) = address.split_once(':')?;
    let digits = port.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((host.to_owned(), digits.parse().ok()?))
}

#[test]
fn the_line_with_the_api_is_understood() {
    assert_eq!(place_of("API       http://localhost:8093"), Some(("localhost".to_owned(), 8093)));
    assert_eq!(place_of("  API endpoint: http://127.0.0.1:41/"), Some(("127.0.0.1".to_owned(), 41)));
    assert_eq!(place_of("Console   http://localhost:8093/"), None);
}

fn tail(said: &str) -> String {
    let lines: Vec<_> = said.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// The binary of this workspace, built if it is not: cargo gives a test the programs of its own package only.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("SPANWISE_TEST_BINARY") {
        Some(given) => given.into(),
        None => cargo::build("spanwise"),
    })
}
