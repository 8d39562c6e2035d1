//! The server as its users meet it: the binary that is handed out, real processes, the stock SDK. `cargo build --profile dist`, then
//! `cargo bench -p spanwise-benches --bench server`; with `SPANWISE_BENCH_PYTHON`, an interpreter that has `flyte==2.12.1`, the figures of
//! Python tasks too.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use spanwise_benches::rounds::{Figure, head, row};
use spanwise_benches::server::{Server, binary};

const ROUNDS: u32 = 9;

/// Rust children of a round.
const PROCESSES: u32 = 1_000;

/// Children of a round, warm and cold.
const CHILDREN: u32 = 60;

fn main() -> anyhow::Result<()> {
    if std::env::args().any(|argument| argument == "--list") {
        return Ok(());
    }
    let binary = binary(env!("CARGO_TARGET_TMPDIR"))?;
    let size = std::fs::metadata(&binary)?.len();
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    head();
    starts(&binary, directory.path())?;
    println!("    the binary has {:.1} MB", size as f64 / 1e6);
    rust_tasks(&binary, directory.path())?;
    match std::env::var_os("SPANWISE_BENCH_PYTHON") {
        Some(python) => python_tasks(&binary, Path::new(&python), directory.path())?,
        None => println!("    Python tasks are left out: SPANWISE_BENCH_PYTHON names no interpreter"),
    }
    Ok(())
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

/// Children that are processes of a Rust program, beside programs that do nothing at all.
fn rust_tasks(binary: &Path, directory: &Path) -> anyhow::Result<()> {
    let mut tasks = Figure::new("(l) a Rust child of 1,000, a process each");
    let mut starts = Figure::new("    start and end of a process that does nothing");
    let server = Server::start(binary, &directory.join("rust"), &[])?;
    for _ in 0..3 {
        let program = Command::new(env!("CARGO_BIN_EXE_fan_out"))
            .arg(PROCESSES.to_string())
            .env("SPANWISE_ENDPOINT", format!("localhost:{}", server.port))
            .stderr(Stdio::inherit())
            .output()?;
        let seconds: f64 = String::from_utf8(program.stdout)?.trim().parse().context("the program has failed")?;
        tasks.add(Duration::from_secs_f64(seconds) / PROCESSES);
        let begin = Instant::now();
        for _ in 0..PROCESSES {
            Command::new("/bin/true").status()?;
        }
        starts.add(begin.elapsed() / PROCESSES);
    }
    row(&tasks, Some(("a process", &starts, 1.0)));
    row(&starts, None);
    println!(
        "    {:.0} Rust children/s, server at most {:.0} MB",
        1.0 / tasks.median().as_secs_f64(),
        server.memory("VmHWM")
    );
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
