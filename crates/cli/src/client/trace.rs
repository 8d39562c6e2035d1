//! `spanwise trace`: what happened in a run, on one axis of time, or as a file for other tools.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;

use super::{Target, TargetOptions, file, say};
use crate::terminal::Screen;
use crate::trace_tree::otlp::{self, Trace};
use crate::trace_tree::waterfall::waterfall;

/// Print the trace of a run: what the engine did for it, and the spans of its tasks if a collector has received them.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: TargetOptions,
    /// The run.
    run: String,
    /// Go on until the run has ended; then the exit code is 1 if it has not succeeded.
    #[arg(long, short)]
    follow: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Tree)]
    format: Format,
}

/// What is printed.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// For people: a waterfall.
    Tree,
    /// One OTLP document in JSON (TracesData).
    OtlpJson,
    /// What Jaeger's user interface loads.
    Jaeger,
}

/// The pause between two looks at a run.
const PAUSE: Duration = Duration::from_millis(500);

/// Prints the trace.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let Options { target, run, follow, format } = options;
    let target = target.resolve()?;
    let mut screen = Screen::stdout();
    let mut body = read(&target, &run).await?;
    let mut trace = parse(&body)?;
    while follow && trace.is_running {
        if format == Format::Tree && screen.is_live() {
            screen.draw(&waterfall(&trace.spans, screen.width()))?;
        }
        tokio::time::sleep(PAUSE).await;
        body = read(&target, &run).await?;
        trace = parse(&body)?;
    }
    match format {
        Format::Tree => {
            let lines = waterfall(&trace.spans, screen.width());
            if follow && screen.is_live() {
                screen.draw(&[])?;
                screen.settle()?;
            }
            screen.print_tree(&lines)?;
        }
        Format::OtlpJson => write(&body)?,
        Format::Jaeger => write(&file::read(&target, &run, "trace.json?format=jaeger").await?)?,
    }
    Ok(u8::from(follow && trace.has_failed))
}

async fn read(target: &Target, run: &str) -> anyhow::Result<Vec<u8>> {
    file::read(target, run, "trace.json").await
}

fn parse(body: &[u8]) -> anyhow::Result<Trace> {
    Ok(otlp::trace(&serde_json::from_slice(body).context("read the trace")?))
}

fn write(body: &[u8]) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(body)?;
    say("")
}
