//! Tables for people: columns as wide as they must be, no lines around them.

use comfy_table::{Cell, Color, Table, presets};
use spanwise::Phase;

use crate::terminal::harmless;

/// A table with these headings.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(headings.iter().map(Cell::new));
    table
}

/// A cell with what somebody has written.
pub(crate) fn text(text: &str) -> Cell {
    Cell::new(harmless(text))
}

/// A run in which a condition waits for somebody.
pub(super) fn waiting_cell() -> Cell {
    Cell::new("RUNNING, waits for you").fg(Color::Yellow)
}

/// A phase by its word, in its colour; without a terminal there are no colours. None is a phase that this program does not know.
pub(super) fn phase_cell(word: &str, phase: Option<Phase>) -> Cell {
    Cell::new(word).fg(match phase {
        Some(Phase::Succeeded | Phase::Recovered) => Color::Green,
        Some(Phase::Failed | Phase::TimedOut | Phase::Aborted) => Color::Red,
        Some(Phase::Running | Phase::Initializing) => Color::Cyan,
        Some(Phase::Paused) => Color::Yellow,
        Some(Phase::Queued | Phase::WaitingForResources) | None => Color::DarkGrey,
    })
}
