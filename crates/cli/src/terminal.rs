//! Lines with styles, and the screen they are printed on: width, colour, redrawing in place, the cursor.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use spanwise_wire::is_bidi_control;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How a part of a line looks where colours are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Strong,
    Dim,
    Good,
    Bad,
    Busy,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Style::Plain => "",
            Style::Strong => "1",
            Style::Dim => "2",
            Style::Good => "32",
            Style::Bad => "31",
            Style::Busy => "36",
        }
    }
}

/// What others have written, fit for a terminal: lines and tabs are as they are, what would command the terminal or turn the text around
/// is shown by its code.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let may_stay = |c: char| matches!(c, '\n' | '\t') || !(c.is_control() || is_bidi_control(c));
    if text.chars().all(may_stay) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    // The end of a line on other systems, and how bars of progress go back to its beginning.
    for character in text.replace("\r\n", "\n").chars().map(|c| if c == '\r' { '\n' } else { c }) {
        if may_stay(character) { shown.push(character) } else { shown.extend(character.escape_unicode()) }
    }
    Cow::Owned(shown)
}

/// A JSON document that says the same and is fit for a terminal: such characters stand within its texts only.
pub(crate) fn harmless_json(document: &str) -> String {
    document.chars().fold(String::with_capacity(document.len()), |mut shown, c| {
        if c != '\n' && (c.is_control() || is_bidi_control(c)) {
            shown.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            shown.push(c);
        }
        shown
    })
}

/// One line of output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line(Vec<(Style, String)>);

impl Line {
    pub(crate) fn new() -> Line {
        Line::default()
    }

    /// Adds a part. What it says may come from a remote service: see [`harmless`].
    pub(crate) fn add(mut self, style: Style, text: impl AsRef<str>) -> Line {
        let in_line = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = text.as_ref().chars().map(in_line).collect();
        self.0.push((style, harmless(&text).into_owned()));
        self
    }

    /// This line with another one after it.
    pub(crate) fn join(mut self, other: Line) -> Line {
        self.0.extend(other.0);
        self
    }

    /// The line as text of at most `width` columns; what is cut off ends in `…`.
    pub(crate) fn paint(&self, color: bool, width: usize) -> String {
        let total: usize = self.0.iter().map(|(_, text)| text.width()).sum();
        let mut left = if total > width { width.saturating_sub(1) } else { total };
        let mut painted = String::new();
        for (style, text) in &self.0 {
            let fitting = fit(text, left);
            left -= fitting.width();
            match (color, style.code()) {
                (true, code) if !code.is_empty() && !fitting.is_empty() => {
                    painted.push_str(&format!("\x1b[{code}m{fitting}\x1b[0m"));
                }
                _ => painted.push_str(fitting),
            }
            if fitting.len() < text.len() {
                break;
            }
        }
        if total > width && width > 0 {
            painted.push('…');
        }
        painted
    }
}

/// As much of the text as fits into so many columns.
fn fit(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (index, character) in text.char_indices() {
        used += character.width().unwrap_or(0);
        if used > columns {
            return &text[..index];
        }
    }
    text
}

/// Standard output.
pub(crate) struct Screen {
    live: bool,
    color: bool,
    drawn: usize,
    hidden: bool,
}

impl Screen {
    /// Redraws in place on a terminal that can; colours there too, unless `NO_COLOR` is set.
    pub(crate) fn stdout() -> Screen {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let live = io::stdout().is_terminal() && !dumb;
        Screen { live, color: live && !is_set("NO_COLOR"), drawn: 0, hidden: false }
    }

    /// True if lines can be replaced.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Columns of the terminal; without one there is room for as much as people read.
    pub(crate) fn width(&self) -> usize {
        if self.live { size().0 } else { 120 }
    }

    /// Prints a line that stays.
    pub(crate) fn print(&self, line: &Line) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{}", line.paint(self.color, usize::MAX))
    }

    /// Prints lines that stay, on a terminal cut to its width: a tree whose lines wrap is no tree.
    pub(crate) fn print_tree(&self, lines: &[Line]) -> io::Result<()> {
        let width = if self.live { size().0 } else { usize::MAX };
        let mut stdout = io::stdout().lock();
        lines.iter().try_for_each(|line| writeln!(stdout, "{}", line.paint(self.color, width)))
    }

    /// Replaces the lines that were drawn before. A line less than the terminal has are shown, so that it does not scroll.
    pub(crate) fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let (columns, rows) = size();
        let mut frame = String::new();
        if !self.hidden {
            self.hidden = true;
            frame.push_str("\x1b[?25l");
        }
        if self.drawn > 0 {
            frame.push_str(&format!("\x1b[{}A", self.drawn));
        }
        let shown = &lines[..lines.len().min(rows.saturating_sub(1))];
        for line in shown {
            frame.push_str(&format!("\r{}\x1b[K\n", line.paint(self.color, columns.saturating_sub(1))));
        }
        frame.push_str("\x1b[J");
        self.drawn = shown.len();
        let mut stdout = io::stdout().lock();
        stdout.write_all(frame.as_bytes())?;
        stdout.flush()
    }

    /// Leaves the drawn lines where they are and gives the cursor back.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        self.drawn = 0;
        if std::mem::take(&mut self.hidden) {
            let mut stdout = io::stdout().lock();
            stdout.write_all(b"\x1b[?25h")?;
            stdout.flush()?;
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = self.settle();
    }
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    match terminal_size::terminal_size() {
        Some((columns, rows)) => (usize::from(columns.0), usize::from(rows.0)),
        None => (80, 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_written_does_not_command_the_terminal() {
        let cases = [
            ("plain\n\ttext \u{65e5}\u{672c} \u{5e9}\n", "plain\n\ttext \u{65e5}\u{672c} \u{5e9}\n"),
            ("\x1b[2J\x1b]0;title\x07", "\\u{1b}[2J\\u{1b}]0;title\\u{7}"),
            // The same commands in one character each, as UTF-8 has them.
            ("\u{9b}2J \u{9d}0;t\u{9c} \u{7f}", "\\u{9b}2J \\u{9d}0;t\\u{9c} \\u{7f}"),
            ("exe.\u{202e}txt \u{2066}x\u{2069}", "exe.\\u{202e}txt \\u{2066}x\\u{2069}"),
            ("10 %\r20 %\r\n", "10 %\n20 %\n"),
        ];
        for (text, expected) in cases {
            assert_eq!(harmless(text), expected, "{text:?}");
        }
        let value = serde_json::json!({ "a\u{9b}": ["\u{202e}\x1b[2J\n", "\u{7f}"] });
        let document = serde_json::to_string_pretty(&value).unwrap();
        let shown = harmless_json(&document);
        assert!(shown.contains(r"\u202e\u001b[2J\n") && shown.contains(r"\u009b"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        assert_eq!(Line::new().add(Style::Plain, "a\u{202e}b\u{9b}c").paint(false, 80), "a\\u{202e}b c");
    }

    #[test]
    fn a_line_is_cut_by_columns_not_by_bytes() {
        let line = Line::new().add(Style::Good, "✓ ").add(Style::Plain, "日本語 text");
        assert_eq!(line.paint(false, 80), "✓ 日本語 text");
        assert_eq!(line.paint(false, 7), "✓ 日本…");
        assert_eq!(line.paint(false, 6), "✓ 日…");
        assert_eq!(line.paint(false, 1), "…");
        assert_eq!(line.paint(false, 0), "");
    }

    #[test]
    fn colours_only_where_they_are_wanted_and_never_control_characters_of_others() {
        let line = Line::new().add(Style::Bad, "a\x1b[2Jb\n").add(Style::Plain, "c");
        assert_eq!(line.paint(false, 80), "a [2Jb c");
        assert_eq!(line.paint(true, 80), "\x1b[31ma [2Jb \x1b[0mc");
        assert_eq!(line.paint(true, 3), "\x1b[31ma \x1b[0m…");
    }
}
