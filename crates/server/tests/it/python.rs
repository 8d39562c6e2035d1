//! A Python environment with the stock SDK.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const PACKAGES: [&str; 6] = [
    "flyte==2.12.1",
    "flyteplugins-otel==2.12.1",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-instrumentation-httpx",
    "httpx",
];

/// The same folder as that of the end-to-end tests, which has these packages too.
const FOLDER: &str = "test-venv-flyte-2.12.1-v1";

/// The interpreter of an environment with the stock SDK: that of `SPANWISE_TEST_PYTHON`, or of one that is made once
/// under the target directory.
pub(crate) fn with_flyte() -> PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| std::env::var_os("SPANWISE_TEST_PYTHON").map_or_else(made, PathBuf::from)).clone()
}

fn made() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let venv = target.join(FOLDER);
    // Test binaries run side by side.
    let lock = File::create(target.join(format!("{FOLDER}.lock"))).unwrap();
    lock.lock().unwrap();
    let python = venv.join("bin/python");
    let complete = venv.join("complete");
    if !complete.exists() {
        succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES));
        File::create(complete).unwrap();
    }
    python
}

fn succeed(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
