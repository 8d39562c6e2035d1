//! The tree with a bar for each span, all on one axis of time.

use std::time::SystemTime;

use super::document::ENGINE;
use super::{Row, Span, draw, human};
use crate::terminal::{Line, Style};

/// How wide the bars are, in columns: a third of what there is.
const NARROWEST: usize = 12;
const WIDEST: usize = 60;

/// The spans as lines, with their bars before them: from when to when the axis is, is said by whoever knows which of them set it.
pub(crate) fn waterfall(spans: &[Span], (begin, end): (SystemTime, SystemTime), width: usize) -> Vec<Line> {
    if spans.is_empty() {
        return Vec::new();
    }
    let columns = (width.min(200) / 3).clamp(NARROWEST, WIDEST);
    let axis = Axis { begin, seconds: end.duration_since(begin).unwrap_or_default().as_secs_f64(), columns };
    let mut lines = vec![axis.head()];
    lines.extend(
        draw(spans, ENGINE).into_iter().map(|Row { line, spans }| axis.bar(&spans).add(Style::Plain, "  ").join(line)),
    );
    lines
}

struct Axis {
    begin: SystemTime,
    seconds: f64,
    columns: usize,
}

impl Axis {
    fn head(&self) -> Line {
        let end = human(std::time::Duration::from_secs_f64(self.seconds));
        let gap = self.columns.saturating_sub(1 + end.chars().count());
        Line::new().add(Style::Dim, format!("0{}{end}", " ".repeat(gap)))
    }

    /// The column of a time, with its fraction.
    fn column(&self, at: SystemTime) -> f64 {
        let part = at.duration_since(self.begin).unwrap_or_default().as_secs_f64() / self.seconds.max(1e-9);
        part.clamp(0.0, 1.0) * self.columns as f64
    }

    fn bar(&self, spans: &[&Span]) -> Line {
        let from = spans.iter().map(|span| self.column(span.start)).fold(self.columns as f64, f64::min);
        let to = spans.iter().map(|span| self.column(span.end)).fold(from, f64::max);
        let first = (from as usize).min(self.columns - 1);
        let cells = ((to.ceil() as usize).min(self.columns)).saturating_sub(first).max(1);
        let bar = if to - from < 0.5 { "▏".to_owned() } else { "█".repeat(cells) };
        let rest = self.columns - first - bar.chars().count();
        Line::new().add(Style::Plain, " ".repeat(first)).add(style(spans), bar).add(Style::Plain, " ".repeat(rest))
    }
}

fn style(spans: &[&Span]) -> Style {
    match spans {
        spans if spans.iter().any(|span| span.error.is_some()) => Style::Bad,
        [span, ..] if span.service != ENGINE => Style::Good,
        [span, ..] if matches!(span.name.as_str(), "queued" | "starting" | "backoff" | "cache lookup") => Style::Dim,
        _ => Style::Busy,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use opentelemetry::trace::{SpanId, SpanKind, TraceId};

    use super::*;

    fn span(id: u64, parent: u64, name: &str, start: u64, end: u64) -> Span {
        Span {
            trace: TraceId::from(1),
            id: SpanId::from(id),
            parent: (parent != 0).then(|| SpanId::from(parent)),
            name: name.to_owned(),
            kind: SpanKind::Internal,
            service: ENGINE.into(),
            start: UNIX_EPOCH + Duration::from_millis(start),
            end: UNIX_EPOCH + Duration::from_millis(end),
            length: Duration::from_millis(end - start),
            error: None,
            notes: Vec::new(),
            remarks: Vec::new(),
        }
    }

    #[test]
    fn bars_stand_where_their_time_is_and_names_keep_their_columns() {
        let spans = [
            span(1, 0, "RUN 日本語", 0, 1200),
            span(2, 1, "queued", 0, 10),
            span(3, 1, "attempt 1", 600, 1200),
            span(4, 9, "lost", 300, 600),
        ];
        let axis = (UNIX_EPOCH, UNIX_EPOCH + Duration::from_millis(1200));
        let lines: Vec<String> = waterfall(&spans, axis, 36).iter().map(|line| line.paint(false, 80)).collect();
        let expected = [
            "0     1.20 s",
            "████████████  RUN 日本語  1.20 s",
            "▏             ├─ queued  10 ms",
            "      ██████  └─ attempt 1  600 ms",
            "   ███        lost  300 ms  ! its parent 0000000000000009 is missing",
        ];
        assert_eq!(lines, expected);
        assert!(waterfall(&[], axis, 80).is_empty());
        // What does not fit is at the edge, and sets no axis.
        let far = [Span {
            start: UNIX_EPOCH + Duration::from_secs(1 << 40),
            end: UNIX_EPOCH + Duration::from_secs(1 << 41),
            ..span(1, 0, "far", 0, 1)
        }];
        let lines: Vec<String> = waterfall(&far, axis, 36).iter().map(|line| line.paint(false, 80)).collect();
        assert_eq!(lines, ["0     1.20 s", "           ▏  far  1.0 ms"]);
    }
}
