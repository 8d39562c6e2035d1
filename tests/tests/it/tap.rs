//! A receiver of somebody else's making (`oteltap` from PyPI): what arrives there is what any receiver would see.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::python::{python, remove_what_would_mislead};

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A span as the receiver prints it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Span {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) parent_span_id: String,
    pub(crate) name: String,
    pub(crate) kind: i64,
    pub(crate) flags: u32,
    #[serde(default)]
    pub(crate) trace_state: String,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Value>,
    pub(crate) events: Vec<Value>,
    pub(crate) links: Vec<Value>,
    pub(crate) status: Value,
}

impl Span {
    /// The value of an attribute as text, empty if it is not there.
    pub(crate) fn text(&self, key: &str) -> String {
        let found = self.attributes.iter().find(|attribute| attribute["key"] == key);
        let value = found.and_then(|attribute| attribute["value"].as_object()?.values().next().cloned());
        value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default()
    }

    /// Microseconds since the epoch, which is what lifecycle spans are made of.
    pub(crate) fn start(&self) -> i64 {
        self.start_time_unix_nano.parse::<i64>().unwrap() / 1000
    }

    pub(crate) fn end(&self) -> i64 {
        self.end_time_unix_nano.parse::<i64>().unwrap() / 1000
    }

    pub(crate) fn is_lifecycle(&self) -> bool {
        !self.text("spanwise.part").is_empty()
    }

    pub(crate) fn part(&self) -> String {
        self.text("spanwise.part")
    }
}

/// The receiver, and what it has printed.
pub(crate) struct Tap {
    child: Child,
    port: u16,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Tap {
    pub(crate) fn start() -> Tap {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Tap::start_on(free)
    }

    pub(crate) fn start_on(port: u16) -> Tap {
        let mut command = Command::new(python());
        remove_what_would_mislead(&mut command);
        command.args(["-m", "oteltap", "--port", &port.to_string()]).env("PYTHONUNBUFFERED", "1");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (spans, stdout) = (Arc::new(Mutex::new(Vec::new())), child.stdout.take().unwrap());
        let keep = Arc::clone(&spans);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(span) = serde_json::from_str::<Span>(&line) {
                    keep.lock().unwrap_or_else(PoisonError::into_inner).push(span);
                }
            }
        });
        let tap = Tap { child, port, spans };
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the receiver does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        tap
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Everything that has arrived so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the lifecycle span of a run, which is exported as its last one, and returns all that have arrived by then.
    pub(crate) fn wait_for_run(&self, run: &str) -> Vec<Span> {
        let is_it = |span: &Span| span.part() == "run" && span.text("flyte.run_name") == run;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let spans = self.spans();
            if spans.iter().any(is_it) {
                // Printed one by one: what came in the same request may still be on its way.
                std::thread::sleep(Duration::from_millis(300));
                return self.spans();
            }
            assert!(Instant::now() < deadline, "the span of run {run} has not arrived");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
