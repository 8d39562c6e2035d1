//! `spanwise demo`: a workflow, a service that it calls, and the one trace of both.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use opentelemetry::trace::{Status, TraceContextExt, Tracer};
use opentelemetry::{Context, global};
use spanwise::{ActionView, Client, Config, CustomContext, ErrorKind};
use url::Url;

use self::telemetry::Telemetry;
use self::workflow::Report;
use crate::terminal::{Line, Screen, Style};
use crate::trace_tree;

mod completeness;
mod http;
mod progress;
mod service;
mod telemetry;
mod workflow;

/// The journal is written within this time, or the process ends without.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(300);

/// Run a small workflow on this machine and show its trace.
///
/// Starts an HTTP service on the loopback, runs a workflow that calls it - a request, twenty tasks side by side, a task that
/// fails once and is retried - and prints the trace of it all as one tree. Nothing is left behind.
#[derive(Args)]
pub(crate) struct Options {
    /// Call this address (http or https) instead of the built-in service.
    #[arg(long, value_name = "URL", value_parser = web_address)]
    url: Option<Url>,
    /// Keep the run's journal in this directory.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Send the spans to this collector too (OTLP, http/protobuf), for instance http://localhost:4318.
    #[arg(long, value_name = "ENDPOINT", value_parser = web_address)]
    otlp: Option<Url>,
}

fn web_address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err("expected an address that begins with http:// or https://".to_owned()),
    }
}

/// Spanwise could not be set up, or the run could not be started.
#[derive(Debug)]
pub(crate) struct SetupError(spanwise::Error);

impl SetupError {
    /// True if a setting is wrong.
    pub(crate) fn is_usage(&self) -> bool {
        self.0.kind() == ErrorKind::Usage
    }
}

impl std::fmt::Display for SetupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for SetupError {}

/// Runs the demo until it is done, or until `stop` gives the exit code to end with; gives the exit code back.
pub(crate) async fn run(options: Options, stop: impl Future<Output = u8>) -> anyhow::Result<u8> {
    let directory = Directory::open(options.data_dir.clone())?;
    let client = Client::open(Config::new().data_dir(directory.path())).map_err(SetupError)?;
    let code = tokio::select! {
        biased;
        code = stop => {
            match &options.data_dir {
                Some(directory) => eprintln!("interrupted: what was done is kept in {}", directory.display()),
                None => eprintln!("interrupted"),
            }
            Ok(code)
        }
        code = show(&options, &client) => code,
    };
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, client.shutdown()).await;
    code
}

/// Where the journal is: a place that the user named, or one that is deleted at the end.
enum Directory {
    Named(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Directory {
    fn open(named: Option<PathBuf>) -> io::Result<Directory> {
        match named {
            Some(path) => Ok(Directory::Named(path)),
            None => Ok(Directory::Temporary(tempfile::Builder::new().prefix("spanwise-demo-").tempdir()?)),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Directory::Named(path) => path,
            Directory::Temporary(directory) => directory.path(),
        }
    }
}

/// A run that has ended.
struct Ended {
    report: spanwise::Result<Report>,
    actions: Vec<ActionView>,
    page: String,
}

/// The whole demo: what it prints, and its exit code.
async fn show(options: &Options, client: &Client) -> anyhow::Result<u8> {
    let telemetry = Telemetry::install();
    let mut screen = Screen::stdout();
    let url = match &options.url {
        Some(url) => url.clone(),
        None => service::start(&telemetry.service.provider).await?,
    };
    let heading = if options.url.is_some() { "calls" } else { "calls a service of its own at" };
    screen.print(&Line::new().add(Style::Plain, format!("A workflow that {heading} {url}")))?;
    screen.print(&Line::new())?;

    let ended = drive(client, &url, &mut screen).await?;
    let spans = telemetry.spans();
    screen.print(&Line::new())?;
    if let Ok(report) = &ended.report {
        for line in result(report) {
            screen.print(&line)?;
        }
        screen.print(&Line::new())?;
    }
    let trace = spans.first().map(|span| span.trace.to_string()).unwrap_or_default();
    screen.print(&Line::new().add(Style::Plain, format!("Trace {trace}")))?;
    screen.print_tree(&trace_tree::render(&spans, telemetry::PROGRAM))?;
    screen.print(&Line::new())?;

    let problems = completeness::problems(&spans, &completeness::promised(&ended.actions), options.url.is_none());
    for line in verdict(&spans, &problems) {
        screen.print(&line)?;
    }
    if let Some(directory) = &options.data_dir {
        let text =
            format!("The run is kept in {0}. Its page, with `spanwise dev --data-dir {0}`:", directory.display());
        screen.print(&Line::new().add(Style::Plain, text))?;
        screen.print(&Line::new().add(Style::Plain, &ended.page))?;
    }
    if let Some(endpoint) = &options.otlp {
        match telemetry.send(endpoint).await {
            Ok((url, count)) => screen.print(&Line::new().add(Style::Plain, format!("Sent {count} spans to {url}")))?,
            Err(error) => eprintln!("warning: the spans were not sent to {endpoint}: {error:#}"),
        }
    }
    match ended.report {
        Ok(_) => Ok(u8::from(!problems.is_empty())),
        Err(error) => {
            eprintln!("error: the run failed: {error:#}");
            Ok(1)
        }
    }
}

/// What a driver does: opens a root span, hands its context to the run, waits for the run's end.
async fn drive(client: &Client, url: &Url, screen: &mut Screen) -> anyhow::Result<Ended> {
    let tracer = global::tracer(env!("CARGO_PKG_NAME"));
    let context = Context::new().with_span(tracer.start("workflow_run"));
    let mut carrier = CustomContext::new();
    spanwise::otel::inject(&context, &mut carrier);
    let run = client.with_runcontext().custom_context(carrier).run(workflow::main(url.to_string()));
    let run = run.await.map_err(SetupError)?;
    let report = progress::follow(&run, screen).await?;
    if let Err(error) = &report {
        context.span().set_status(Status::error(error.message().to_owned()));
    }
    context.span().end();
    Ok(Ended { report, actions: run.actions().await.map_err(SetupError)?, page: run.url().to_string() })
}

fn result(report: &Report) -> Vec<Line> {
    let Report { status, page } = report;
    let result = format!("Result: HTTP {status}, and a page that says {:?}.", page.text);
    let step = format!("The step `render` made that page in attempt {}; later attempts replay it.", page.attempt);
    vec![Line::new().add(Style::Plain, result), Line::new().add(Style::Plain, step)]
}

fn verdict(spans: &[trace_tree::Span], problems: &[String]) -> Vec<Line> {
    if problems.is_empty() {
        let counts = format!(": one trace id, no orphan, {} spans.", spans.len());
        return vec![Line::new().add(Style::Good, "✓ The trace is whole").add(Style::Plain, counts)];
    }
    let title = Line::new().add(Style::Bad, "✗ The trace is not whole:");
    let each = problems.iter().map(|problem| Line::new().add(Style::Plain, format!("  {problem}")));
    std::iter::once(title).chain(each).collect()
}
