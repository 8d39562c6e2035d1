//! The server as its users meet it: the release binary, real processes, the stock SDK. `cargo build --release`, then
//! `cargo bench -p spanwise-benches --bench server`; with `SPANWISE_BENCH_PYTHON`, an interpreter that has `flyte==2.12.1`, the figures of
//! Python tasks too.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use spanwise_benches::rounds::{Figure, head, row};

const ROUNDS: u32 = 9;

/// Children of a round, warm and cold.
const CHILDREN: u32 = 60;

fn main() -> anyhow::Result<()> {
    if std::env::args().any(|argument| argument == "--list") {
        return Ok(());
    }
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("release/spanwise");
    let size = std::fs::metadata(&binary).context("the release binary is not there: cargo build --release")?.len();
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    head();
    starts(&binary, directory.path())?;
    println!("    the binary has {:.1} MB", size as f64 / 1e6);
    match std::env::var_os("SPANWISE_BENCH_PYTHON") {
        Some(python) => python_tasks(&binary, Path::new(&python), directory.path())?,
        None => println!("    Python tasks are left out: SPANWISE_BENCH_PYTHON names no interpreter"),
    }
    Ok(())
}

/// A server that runs; dropping it kills it.
struct Server {
    child: Child,
    port: u16,
    ready: Duration,
}

impl Server {
    fn start(binary: &Path, data: &Path, arguments: &[&str]) -> anyhow::Result<Server> {
        let begin = Instant::now();
        let child = Command::new(binary)
            .args(["dev", "--port", "0", "--collector-port", "0", "--data-dir"])
            .arg(data)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut server = Server { child, port: 0, ready: Duration::ZERO };
        while server.port == 0 || ureq::get(format!("http://127.0.0.1:{}/readyz", server.port)).call().is_err() {
            anyhow::ensure!(begin.elapsed() < Duration::from_secs(30), "the server does not answer");
            anyhow::ensure!(server.child.try_wait()?.is_none(), "the server has ended");
            std::thread::sleep(Duration::from_millis(1));
            server.port = port_of(data, server.child.id()).unwrap_or(0);
        }
        server.ready = begin.elapsed();
        Ok(server)
    }

    /// A figure of the process's memory, in MB.
    fn memory(&self, field: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
        let kib: f64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
        kib * 1024.0 / 1e6
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port that a server of this process has noted in its data directory.
fn port_of(data: &Path, pid: u32) -> Option<u16> {
    let note = std::fs::read(data.join("server.json")).ok()?;
    let note: serde_json::Value = serde_json::from_slice(&note).ok()?;
    (note["pid"] == pid).then(|| note["port"].as_u64())?.and_then(|port| u16::try_from(port).ok())
}

fn starts(binary: &Path, directory: &Path) -> anyhow::Result<()> {
    let mut fresh = Figure::new("(h) start to first answer, new data");
    let mut again = Figure::new("(h) start to first answer, after kill -9");
    let mut idle = 0.0;
    for round in 0..ROUNDS {
        let data = directory.join(format!("start-{round}"));
        fresh.add(Server::start(binary, &data, &[])?.ready);
        let server = Server::start(binary, &data, &[])?;
        again.add(server.ready);
        std::thread::sleep(Duration::from_millis(200));
        idle = server.memory("VmRSS").max(idle);
    }
    row(&fresh, None);
    row(&again, Some(("new data", &fresh, 1.0)));
    println!("    {idle:.0} MB resident when idle");
    Ok(())
}

/// A parent and its children, which do nothing.
const PROGRAM: &str = r#"
import asyncio, os, sys
import flyte

env = flyte.TaskEnvironment(name="bench")

@env.task
async def leaf(number: int) -> int:
    return number

@env.task
async def fan_out(count: int) -> int:
    return len(await asyncio.gather(*(leaf(number) for number in range(count))))

if __name__ == "__main__":
    flyte.init(endpoint=sys.argv[1], insecure=True, project="flytesnacks", domain="development", image_builder="remote")
    for line in sys.stdin:
        run = flyte.with_runcontext(mode="remote").run(fan_out, count=int(line))
        run.wait(quiet=True)
        print("RESULT", run.outputs()[0], flush=True)
    os._exit(0)
"#;

fn python_tasks(binary: &Path, python: &Path, directory: &Path) -> anyhow::Result<()> {
    let program = directory.join("bench.py");
    std::fs::write(&program, PROGRAM)?;
    let mut warm = Figure::new("(i) a stock Python child of 60, warm");
    let mut cold = Figure::new("(i) a stock Python child of 60, cold");
    let python_option = python.display().to_string();
    for (figure, extra, rounds) in [(&mut warm, None, 3), (&mut cold, Some("--cold"), 1)] {
        let data: PathBuf = directory.join(extra.unwrap_or("warm").trim_start_matches('-'));
        let arguments: Vec<&str> = ["--python", &python_option].into_iter().chain(extra).collect();
        let server = Server::start(binary, &data, &arguments)?;
        let mut driver = Driver::start(python, &program, &server)?;
        driver.run(1)?;
        for _ in 0..rounds {
            figure.add(driver.run(CHILDREN)? / CHILDREN);
        }
        if extra.is_none() {
            let thousand = driver.run(1000)?;
            println!("    1,000 warm children in {thousand:.1?}, server at most {:.0} MB", server.memory("VmHWM"));
        }
    }
    row(&warm, Some(("cold", &cold, 1.0)));
    row(&cold, None);
    Ok(())
}

/// A program with the stock SDK that starts a run for each line that it is sent.
struct Driver(Child);

impl Driver {
    fn start(python: &Path, program: &Path, server: &Server) -> anyhow::Result<Driver> {
        let home = program.with_file_name(format!("home-{}", server.port));
        std::fs::create_dir_all(&home)?;
        let driver = Command::new(python)
            .arg(program)
            .arg(format!("localhost:{}", server.port))
            .env("HOME", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Driver(driver))
    }

    fn run(&mut self, children: u32) -> anyhow::Result<Duration> {
        use std::io::Write as _;
        let (stdin, stdout) = (self.0.stdin.as_mut(), self.0.stdout.as_mut());
        let (stdin, stdout) = stdin.zip(stdout).context("the driver has no pipes")?;
        let begin = Instant::now();
        writeln!(stdin, "{children}")?;
        let (mut line, mut byte) = (Vec::new(), [0]);
        while stdout.read(&mut byte)? == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        let line = String::from_utf8_lossy(&line);
        anyhow::ensure!(line.contains(&format!("RESULT {children}")), "the driver said: {line}");
        Ok(begin.elapsed())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
