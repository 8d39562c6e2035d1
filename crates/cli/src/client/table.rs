//! Tables for people: columns as wide as they must be, no lines around them.

use comfy_table::{Cell, Color, Table, presets};

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

/// A phase in its colour; without a terminal there are no colours.
pub(super) fn phase_cell(phase: &str) -> Cell {
    let cell = Cell::new(phase);
    match phase {
        "SUCCEEDED" | "RECOVERED" => cell.fg(Color::Green),
        "FAILED" | "TIMED_OUT" | "ABORTED" => cell.fg(Color::Red),
        "RUNNING" | "INITIALIZING" => cell.fg(Color::Cyan),
        "PAUSED" => cell.fg(Color::Yellow),
        _ => cell.fg(Color::DarkGrey),
    }
}
