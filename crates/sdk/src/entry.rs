//! The entry of a program: a runtime, signals, and a flush at the end.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{Signal as UnixSignal, SignalKind, signal};
use tokio::sync::Notify;

use crate::client;
use crate::error::{ErrorKind, Result};
use crate::purpose::Purpose;

pub use std::process::ExitCode;

type Hook = Box<dyn FnOnce() + Send>;

static AT_EXIT: Mutex<Vec<Hook>> = Mutex::new(Vec::new());

/// Hooks have this long in all: a trace backend that does not answer must not keep the program.
const EXIT_GRACE: Duration = Duration::from_secs(10);

/// Bodies that were cut have this long to drop what they hold, open spans above all; one that nobody can cut is left behind.
const BODIES_GRACE: Duration = Duration::from_secs(1);

/// True once [`main`] runs the program: then it also ends it.
static IN_CHARGE: AtomicBool = AtomicBool::new(false);

/// The exit code, once the program has done what it was started for.
static CODE: AtomicU8 = AtomicU8::new(0);
static ENDED: Notify = Notify::const_new();

/// Ends a program that has done what it was started for, from within it; does not return.
pub(crate) async fn end(code: u8) {
    CODE.store(code, Ordering::Release);
    if IN_CHARGE.load(Ordering::Acquire) {
        ENDED.notify_one();
        return std::future::pending().await;
    }
    end_orderly().await;
    std::process::exit(code.into())
}

/// Adds something that [`main`] does before the program ends, whether it succeeds, fails, panics or is interrupted: the place
/// to flush a tracer provider. Hooks run in the reverse of the order in which they were added, on a thread that may block.
///
/// ```no_run
/// # let provider = opentelemetry_sdk::trace::SdkTracerProvider::default();
/// spanwise::at_exit(move || {
///     let _ = provider.shutdown();
/// });
/// ```
pub fn at_exit(hook: impl FnOnce() + Send + 'static) {
    AT_EXIT.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
}

/// Runs a program on a multi-threaded runtime. The attribute `#[spanwise::main]` on an `async fn main` calls it.
///
/// On SIGINT or SIGTERM attempts that are under way are given back and their runs go on when they are resumed; a second signal
/// ends the program at once. Whatever happens, the hooks of [`at_exit`] run at the end.
///
/// The exit code is 0, or 1 after an error or a panic, or 128 + the signal.
///
/// A program that is started with `describe` as its only argument prints its tasks as JSON instead: their names, documentation,
/// inputs and outputs. `spanwise run PROGRAM TASK` starts one of them: the program then runs up to [`init`](crate::init) too.
///
/// In a process that a server has started for one attempt of a task, the program runs up to [`init`](crate::init) and ends
/// there: see [`init_with`](crate::init_with).
pub fn main(program: impl Future<Output = Result<()>>) -> ExitCode {
    let purpose = Purpose::of_process();
    if purpose == Purpose::Describe {
        return describe();
    }
    IN_CHARGE.store(true, Ordering::Release);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let end = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(until_signal(program))));
    runtime.block_on(wind_up());
    runtime.shutdown_timeout(Duration::from_millis(100));
    match end {
        Ok(End::Done(Ok(()))) => done(purpose),
        Ok(End::Done(Err(error))) => {
            eprintln!("error: {error:?}");
            if error.kind() == ErrorKind::Interrupted { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
        Ok(End::Over(code)) => ExitCode::from(code),
        Ok(End::Signalled(Signal { number, name })) => {
            match purpose {
                Purpose::Attempt => eprintln!("the attempt was cut short by {name}"),
                _ => eprintln!("interrupted by {name}: unfinished runs go on when they are resumed"),
            }
            ExitCode::from(128 + number)
        }
        // The panic hook has already said what happened.
        Err(_) => ExitCode::FAILURE,
    }
}

/// The exit code of a program that has returned: what it was started for instead is done in [`init`](crate::init), and ends it there.
fn done(purpose: Purpose) -> ExitCode {
    let missed = match purpose {
        Purpose::Attempt => "runs",
        Purpose::Launch => "starts",
        Purpose::Program | Purpose::Describe => return ExitCode::SUCCESS,
    };
    eprintln!("error: the program ended before `spanwise::init`, which {missed} the task");
    ExitCode::FAILURE
}

fn describe() -> ExitCode {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{:#}", crate::describe::tasks()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

enum End {
    Done(Result<()>),
    /// The process has done what it was started for, an attempt for instance; its exit code.
    Over(u8),
    Signalled(Signal),
}

/// A signal that asks the program to end.
struct Signal {
    number: u8,
    name: &'static str,
}

/// Listens for SIGINT and SIGTERM from when it is made.
struct Signals(Option<(UnixSignal, UnixSignal)>);

impl Signals {
    fn listen() -> Signals {
        Signals(signal(SignalKind::interrupt()).ok().zip(signal(SignalKind::terminate()).ok()))
    }

    /// The next signal; never, if the system refuses to tell.
    async fn next(&mut self) -> Signal {
        let Some((interrupt, terminate)) = &mut self.0 else { return std::future::pending().await };
        tokio::select! {
            biased;
            _ = interrupt.recv() => Signal { number: 2, name: "SIGINT" },
            _ = terminate.recv() => Signal { number: 15, name: "SIGTERM" },
        }
    }
}

async fn until_signal(program: impl Future<Output = Result<()>>) -> End {
    let mut signals = Signals::listen();
    tokio::select! {
        biased;
        done = program => End::Done(done),
        () = ENDED.notified() => End::Over(CODE.load(Ordering::Acquire)),
        signal = signals.next() => End::Signalled(signal),
    }
}

/// Gives attempts back, writes the journal and runs the hooks; a signal during that ends the program at once.
async fn wind_up() {
    let mut signals = Signals::listen();
    tokio::select! {
        biased;
        () = end_orderly() => {}
        signal = signals.next() => std::process::exit(128 + i32::from(signal.number)),
    }
}

/// Gives attempts back, writes the journal and runs the hooks.
async fn end_orderly() {
    if let Some(client) = client::take_default() {
        client.shutdown().await;
    }
    let _ = tokio::time::timeout(BODIES_GRACE, crate::body::bodies_gone()).await;
    let hooks = std::mem::take(&mut *AT_EXIT.lock().unwrap_or_else(PoisonError::into_inner));
    if hooks.is_empty() {
        return;
    }
    let run_hooks = tokio::task::spawn_blocking(|| hooks.into_iter().rev().for_each(|hook| hook()));
    if tokio::time::timeout(EXIT_GRACE, run_hooks).await.is_err() {
        eprintln!("the hooks of at_exit took longer than {EXIT_GRACE:?} and were left behind");
    }
}
