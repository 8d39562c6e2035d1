//! `spanwise trace`: what happened in a run, on one axis of time, or as a file for other tools.

use std::time::Duration;

use super::{Target, TargetOptions, as_it_is, file};
use crate::terminal::{Line, Screen, Style, harmless_json};
use crate::trace_tree::document::{self, Trace};
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
    let mut trace = read(&target, &run).await?;
    while follow && trace.is_running {
        if format == Format::Tree && screen.is_live() {
            screen.draw(&lines(&trace, &target, screen.width()))?;
        }
        tokio::time::sleep(PAUSE).await;
        trace = read(&target, &run).await?;
    }
    match format {
        Format::Tree => {
            let lines = lines(&trace, &target, screen.width());
            if follow && screen.is_live() {
                screen.draw(&[])?;
                screen.settle()?;
            }
            screen.print_tree(&lines)?;
        }
        Format::OtlpJson => write(&target, &run, "trace.json").await?,
        Format::Jaeger => write(&target, &run, "trace.json?format=jaeger").await?,
    }
    Ok(u8::from(follow && trace.has_failed))
}

async fn read(target: &Target, run: &str) -> anyhow::Result<Trace> {
    document::trace(&file::read(target, run, "trace.json?format=tree").await?)
}

/// The tree, and what is not in it.
fn lines(trace: &Trace, target: &Target, width: usize) -> Vec<Line> {
    let mut lines = waterfall(&trace.spans, trace.axis, width);
    let said = trace.left_out.iter().map(|said| Line::new().add(Style::Bad, format!("Not shown: {said}")));
    lines.extend(said);
    if !trace.left_out.is_empty() {
        lines.push(Line::new().add(Style::Dim, format!("All spans of the trace: {}{}", target.url(), trace.all)));
    }
    lines
}

/// Writes a file. What is not in it is said beside it: the file's form has no word for it.
async fn write(target: &Target, run: &str, name: &str) -> anyhow::Result<()> {
    let (body, left_out) = file::read_noting(target, run, name).await?;
    if let Some(said) = left_out {
        eprintln!("spanwise: not in the file: {said}");
    }
    as_it_is(harmless_json(&String::from_utf8_lossy(&body)))
}
