//! The server as a process of its own: the binary that is handed out, of `cargo build --profile dist`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The binary of the profile `dist`, beside the target folder of the benchmarks.
///
/// # Errors
/// If it has not been built.
pub fn binary(target_tmp: &str) -> anyhow::Result<PathBuf> {
    let binary = Path::new(target_tmp).with_file_name("dist/spanwise");
    anyhow::ensure!(binary.exists(), "the binary is not there: cargo build --profile dist");
    Ok(binary)
}

/// A server that runs; dropping it kills it.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub port: u16,
    /// From its start to its first answer.
    pub ready: Duration,
}

impl Server {
    /// Starts it on these data, with further arguments of `spanwise dev`, and waits for its first answer.
    ///
    /// # Errors
    /// If it ends, or does not answer in half a minute.
    pub fn start(binary: &Path, data: &Path, arguments: &[&str]) -> anyhow::Result<Server> {
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

    /// The processor time that it has taken so far.
    ///
    /// # Errors
    /// If the process has gone.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        // Linux counts in hundredths of a second wherever programs can see it.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// A figure of the process's memory, in MB: a field of `/proc/PID/status`.
    pub fn memory(&self, field: &str) -> f64 {
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
