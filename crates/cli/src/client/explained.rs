//! `spanwise explain`: where the time of a run went.

use std::time::Duration;

use anyhow::Context as _;
use comfy_table::CellAlignment;
use serde::Deserialize;

use super::table::table;
use super::{Output, TargetOptions, as_it_is, file, print_json, say};
use crate::terminal::{Line, Screen, Style, harmless};
use crate::trace_tree::human;

/// Say where the time of a run went: its critical path, split into your code, queue, start-up, backoff, cache and waiting.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: TargetOptions,
    /// The run.
    run: String,
    /// How to print.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Deserialize)]
struct Explanation {
    finished: bool,
    wall_us: u64,
    retried_us: u64,
    uses: Vec<Use>,
}

#[derive(Deserialize)]
struct Use {
    #[serde(rename = "use")]
    name: String,
    us: u64,
    largest: Vec<Contributor>,
}

#[derive(Deserialize)]
struct Contributor {
    action: String,
    task: String,
    us: u64,
}

/// Prints the explanation.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let Options { target, run, output } = options;
    let target = target.resolve()?;
    let body = file::read(&target, &run, "explain.json").await?;
    let value: serde_json::Value = serde_json::from_slice(&body).context("read the explanation")?;
    match output {
        Output::Json => print_json(&value)?,
        Output::Table => print(&run, &Explanation::deserialize(value).context("read the explanation")?)?,
    }
    Ok(0)
}

fn print(run: &str, explanation: &Explanation) -> anyhow::Result<()> {
    let screen = Screen::stdout();
    let so_far = if explanation.finished { "" } else { " so far" };
    let head =
        Line::new().add(Style::Strong, run).add(Style::Plain, format!("  {}{so_far}", time(explanation.wall_us)));
    screen.print(&head)?;
    screen.print(&bar(explanation, screen.width().min(100)))?;
    let mut table = table(&["USE", "TIME", "PART", "MOST OF IT"]);
    for used in explanation.uses.iter().filter(|used| used.us > 0) {
        let largest: Vec<String> = used
            .largest
            .iter()
            .map(|who| format!("{} ({}) {}", harmless(&who.task), who.action, time(who.us)))
            .collect();
        let part = format!("{:.1} %", 100.0 * used.us as f64 / explanation.wall_us.max(1) as f64);
        table.add_row(vec![words(&used.name).0.to_owned(), time(used.us), part, largest.join("\n")]);
    }
    for column in [1, 2] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    as_it_is(format!("\n{table}"))?;
    if explanation.retried_us > 0 {
        let time = time(explanation.retried_us);
        say(format!("\n{time} of it went into attempts that were repeated, and the pauses after them"))?;
    }
    Ok(())
}

fn time(micros: u64) -> String {
    human(Duration::from_micros(micros))
}

fn words(name: &str) -> (&str, Style, &'static str) {
    match name {
        "code" => ("your code", Style::Good, "█"),
        "queue" => ("queue", Style::Dim, "░"),
        "startup" => ("start-up", Style::Busy, "▒"),
        "backoff" => ("backoff", Style::Bad, "▚"),
        "cache" => ("cache", Style::Busy, "▤"),
        "waiting" => ("waiting", Style::Plain, "▥"),
        "engine" => ("engine", Style::Dim, "▓"),
        other => (other, Style::Plain, "█"),
    }
}

/// The uses side by side, each as wide as its part.
fn bar(explanation: &Explanation, width: usize) -> Line {
    let (mut line, mut done, mut drawn) = (Line::new(), 0u64, 0usize);
    for used in &explanation.uses {
        done += used.us;
        let until = (done as f64 / explanation.wall_us.max(1) as f64 * width as f64).round() as usize;
        let (_, style, character) = words(&used.name);
        line = line.add(style, character.repeat(until.saturating_sub(drawn)));
        drawn = until.max(drawn);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_wide_as_it_may_be() {
        let used = |name: &str, us| Use { name: name.into(), us, largest: Vec::new() };
        let uses = vec![used("code", 500), used("queue", 250), used("engine", 250)];
        let explanation = Explanation { finished: true, wall_us: 1000, retried_us: 0, uses };
        assert_eq!(bar(&explanation, 8).paint(false, 80), "████░░▓▓");
    }
}
