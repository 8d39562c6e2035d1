//! What is drawn in a row: the parts of an action, a span, and what of it is on the critical path.

use spanwise_core::lifecycle::{Part, Span};
use spanwise_core::{Phase, Timestamp};
use spanwise_engine::ActionView;

use super::Tree;
use crate::pages::format::{badge, result_of};

/// Width of the axis of time, in units of the drawing.
const AXIS: f64 = 1000.0;

/// The narrowest bar that is seen.
const NARROWEST: f64 = 3.0;

/// Pieces in one row at most: what is between them cannot be told apart any more.
const MOST_PIECES: usize = 40;

/// Rectangles on the axis, and lines under them where the critical path goes.
#[derive(Default)]
pub(in crate::pages) struct Bar {
    pub(in crate::pages) pieces: Vec<Piece>,
    pub(in crate::pages) critical: Vec<Piece>,
}

pub(in crate::pages) struct Piece {
    pub(in crate::pages) class: &'static str,
    pub(in crate::pages) x: String,
    pub(in crate::pages) width: String,
}

impl Piece {
    pub(in crate::pages) fn is_thin(&self) -> bool {
        matches!(self.class, "w" | "f-backoff")
    }
}

impl Tree<'_> {
    fn x(&self, at: Timestamp) -> f64 {
        let whole = (self.end.0 - self.begin.0).max(1) as f64;
        (at.0.saturating_sub(self.begin.0) as f64 / whole * AXIS).clamp(0.0, AXIS)
    }

    fn piece(&self, class: &'static str, from: Timestamp, to: Timestamp) -> Piece {
        let width = (self.x(to) - self.x(from)).max(NARROWEST);
        let x = self.x(from).min(AXIS - width);
        Piece { class, x: format!("{x:.1}"), width: format!("{width:.1}") }
    }

    /// Waiting and running.
    pub(super) fn plain_bar(
        &self,
        begin: Timestamp,
        started: Option<Timestamp>,
        ended: Option<Timestamp>,
        class: &'static str,
    ) -> Bar {
        let end = ended.unwrap_or(self.end);
        let run = started.unwrap_or(if ended.is_some() { begin } else { end });
        let class = class_of(class);
        let waits = self.x(run) > self.x(begin);
        let wait = waits.then(|| self.piece("w", begin, run));
        Bar { pieces: wait.into_iter().chain([self.piece(class, run, end)]).collect(), critical: Vec::new() }
    }

    /// The parts of an action.
    pub(super) fn action_bar(&self, action: &ActionView) -> Bar {
        let parts = self.timeline.parts(&action.name);
        let class = badge(action.phase).class;
        let mut bar = if parts.is_empty() || parts.len() > MOST_PIECES {
            self.plain_bar(action.enqueued_at, action.started_at, action.ended_at, class)
        } else {
            let last = parts.iter().rev().find(|part| self.timeline.lifecycle_span(**part).part == Part::Attempt);
            let spans = parts.iter().map(|part| (self.timeline.lifecycle_span(*part), Some(part) == last));
            Bar {
                pieces: spans.flat_map(|(span, is_last)| self.pieces(span, action, is_last)).collect(),
                critical: Vec::new(),
            }
        };
        bar.critical = self.critical(self.timeline.critical(&action.name), (action.enqueued_at, self.end));
        bar
    }

    fn pieces(&self, span: &Span, action: &ActionView, is_last: bool) -> Vec<Piece> {
        // What is too short to be seen would be drawn over what comes after it.
        let is_seen = self.x(span.end) - self.x(span.start) >= 0.5;
        if span.part != Part::Attempt {
            return if is_seen { vec![self.piece(class_of_part(span), span.start, span.end)] } else { Vec::new() };
        }
        let starting = span.attempt.and_then(|attempt| self.timeline.starting(&span.action, attempt));
        let alive = starting.map_or(span.start, |at| self.timeline.lifecycle_span(at).end);
        let class = if is_last { class_of(badge(action.phase).class) } else { class_of_part(span) };
        let mut pieces = Vec::new();
        if self.x(alive) - self.x(span.start) >= 0.5 {
            pieces.push(self.piece("f-start", span.start, alive));
        }
        pieces.push(self.piece(class, alive, span.end));
        pieces
    }

    /// A span by itself.
    pub(super) fn span_bar(&self, class: &'static str, from: Timestamp, to: Timestamp) -> Bar {
        Bar { pieces: vec![self.piece(class, from, to)], critical: Vec::new() }
    }

    /// A part of an action, with what of the action's critical time is in it.
    pub(super) fn part_bar(&self, span: &Span) -> Bar {
        let mut bar = self.span_bar(class_of_part(span), span.start, span.end);
        bar.critical = self.critical(self.timeline.critical(&span.action), (span.start, span.end));
        bar
    }

    /// Lines under a bar, those that cannot be told apart made one.
    fn critical(&self, times: &[(Timestamp, Timestamp)], (from, to): (Timestamp, Timestamp)) -> Vec<Piece> {
        let mut lines: Vec<(f64, f64)> = Vec::new();
        for (begin, end) in times {
            let (begin, end) = (self.x((*begin).max(from)), self.x((*end).min(to)));
            if end <= begin {
                continue;
            }
            let is_full = lines.len() >= MOST_PIECES;
            match lines.last_mut().filter(|last| is_full || begin - last.1 < 2.0) {
                Some(last) => last.1 = end,
                None => lines.push((begin, end)),
            }
        }
        let line = |(begin, end): &(f64, f64)| {
            let width = (end - begin).max(1.0);
            Piece { class: "cp", x: format!("{:.1}", begin.min(AXIS - width)), width: format!("{width:.1}") }
        };
        lines.iter().map(line).collect()
    }
}

/// The class of a bar from that of a phase.
fn class_of(phase: &str) -> &'static str {
    match phase {
        "succeeded" => "f-succeeded",
        "failed" => "f-failed",
        "running" | "starting" => "f-running",
        "paused" => "f-paused",
        "aborted" => "f-aborted",
        _ => "f-queued",
    }
}

fn class_of_part(span: &Span) -> &'static str {
    match span.part {
        Part::Queued => "w",
        Part::Lookup => "f-cache",
        Part::Backoff => "f-backoff",
        Part::Starting => "f-start",
        Part::Wait => "f-paused",
        _ => class_of(result_of(span).map_or(badge(Phase::Succeeded).class, |badge| badge.class)),
    }
}
