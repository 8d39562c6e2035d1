//! Values that no log shows: each of their bytes becomes a `*` where it stands, so that nothing moves and lines stay lines.
//!
//! A task writes its log itself, so a value is in the file until the next look at it, about a tenth of a second. Readers see nothing that was not
//! looked at, and not the beginning of a value whose rest may still come.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use memchr::memmem;

/// What is shorter is in every other word.
pub const SHORTEST: usize = 4;

/// A line of a value of several lines is looked for by itself if it is this long: whoever prints such a value may print each line apart.
const SHORTEST_LINE: usize = 8;

/// How much of a log is looked at in one piece.
const CHUNK: usize = 256 * 1024;

/// Values that are hidden.
#[derive(Clone, Debug, Default)]
pub struct Hidden {
    patterns: Vec<Pattern>,
    /// Why nothing is shown, if nobody can say what the values are.
    withheld: Option<String>,
}

#[derive(Clone)]
struct Pattern(Vec<u8>);

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Hidden {
    /// These values without the spaces around them, as they are and as they stand in JSON and in most programs' texts; of several lines each long
    /// one by itself. Values of fewer than [`SHORTEST`] bytes are not hidden.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Hidden {
        let mut patterns: Vec<Vec<u8>> = Vec::new();
        for value in values {
            let value = value.trim();
            let lines = value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
            for text in std::iter::once(value).chain(lines).filter(|text| text.len() >= SHORTEST) {
                patterns.push(text.as_bytes().to_vec());
                let forms = [in_json(text), in_ascii_json(text), in_repr(text, None), in_repr(text, Some('\''))];
                patterns.extend(forms.map(String::into_bytes));
            }
        }
        patterns.sort();
        patterns.dedup();
        Hidden { patterns: patterns.into_iter().map(Pattern).collect(), withheld: None }
    }

    /// Values that nobody can say any more, and why: where they may be, nothing is shown.
    pub fn withheld(why: impl Into<String>) -> Hidden {
        Hidden { patterns: Vec::new(), withheld: Some(why.into()) }
    }

    /// True if nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty() && self.withheld.is_none()
    }

    pub(super) fn why_withheld(&self) -> Option<&str> {
        self.withheld.as_deref()
    }

    /// The length of the longest value.
    pub(super) fn longest(&self) -> usize {
        self.patterns.iter().map(|Pattern(pattern)| pattern.len()).max().unwrap_or(0)
    }

    /// A text without the values.
    pub fn mask(&self, text: &str) -> String {
        if let Some(why) = &self.withheld {
            return format!("(not shown: {why})");
        }
        let mut bytes = text.as_bytes().to_vec();
        for range in self.found_in(text.as_bytes()) {
            bytes[range].iter_mut().for_each(hide);
        }
        // Values are whole characters: what is left is UTF-8.
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The beginning of a text without the values, also without what at its end is the beginning of one: whoever cut it may have cut one.
    pub fn mask_cut(&self, beginning: &[u8]) -> String {
        if self.withheld.is_some() {
            return self.mask("");
        }
        let mut bytes = beginning.to_vec();
        let open = bytes.len() - self.open_end(beginning);
        for range in self.found_in(beginning).into_iter().chain(std::iter::once(open..bytes.len())) {
            bytes[range].iter_mut().for_each(hide);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Where the values stand; ranges may overlap.
    fn found_in(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for Pattern(pattern) in &self.patterns {
            let finder = memmem::Finder::new(pattern);
            let mut from = 0;
            while let Some(at) = finder.find(&bytes[from..]) {
                let begin = from + at;
                found.push(begin..begin + pattern.len());
                // A value may begin within itself.
                from = begin + 1;
            }
        }
        found
    }

    /// The length of the end of a text that may be the beginning of a value.
    fn open_end(&self, bytes: &[u8]) -> usize {
        let of = |Pattern(pattern): &Pattern| {
            let most = (pattern.len() - 1).min(bytes.len());
            (1..=most).rev().find(|length| bytes.ends_with(&pattern[..*length])).unwrap_or(0)
        };
        self.patterns.iter().map(of).max().unwrap_or(0)
    }

    /// Hides the values in a file up to `length`, where it was not looked at yet; `last` says that nothing comes any more.
    pub(super) fn hide_in(&self, log: &Path, looked: &mut Looked, length: u64, last: bool) -> io::Result<()> {
        if self.patterns.is_empty() {
            *looked = Looked { at: length.max(looked.at), open: Vec::new() };
            return Ok(());
        }
        let file = OpenOptions::new().read(true).write(true).open(log)?;
        loop {
            // As it was written: what stands in the file may be hidden as a part of another value.
            let mut bytes = std::mem::take(&mut looked.open);
            let read_from = looked.at + bytes.len() as u64;
            let room = length.saturating_sub(read_from).min(CHUNK as u64);
            read_at(&file, &mut bytes, read_from, usize::try_from(room).unwrap_or(CHUNK))?;
            let end = looked.at + bytes.len() as u64;
            for range in self.found_in(&bytes) {
                let mut hidden = bytes[range.clone()].to_vec();
                hidden.iter_mut().for_each(hide);
                file.write_all_at(&hidden, looked.at + range.start as u64)?;
            }
            let is_end = end >= length || end == read_from;
            let open = if is_end && last { 0 } else { self.open_end(&bytes) };
            looked.open = bytes.split_off(bytes.len() - open);
            looked.at = end - open as u64;
            if is_end {
                return Ok(());
            }
        }
    }
}

/// How far a log was looked at.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Up to here nothing is shown that is to be hidden.
    pub(super) at: u64,
    /// What follows and may be the beginning of a value, as it was written.
    open: Vec<u8>,
}

/// Reads on at the end of what is there.
fn read_at(file: &File, bytes: &mut Vec<u8>, from: u64, most: usize) -> io::Result<()> {
    let before = bytes.len();
    bytes.resize(before + most, 0);
    let mut read = 0;
    while read < most {
        match file.read_at(&mut bytes[before + read..], from + read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    bytes.truncate(before + read);
    Ok(())
}

/// The ends of lines stay.
fn hide(byte: &mut u8) {
    if !matches!(byte, b'\n' | b'\r') {
        *byte = b'*';
    }
}

/// As JSON and Rust's `{:?}` have a text with quotes, backslashes and ends of lines in it.
fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// As Python's `json` writes it, unless it is told otherwise.
fn in_ascii_json(text: &str) -> String {
    let mut ascii = String::new();
    for letter in in_json(text).chars() {
        match letter.is_ascii() {
            true => ascii.push(letter),
            false => letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| ascii.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    ascii
}

/// As Python's `repr` has it, with or without a quote that has to be escaped because the other one is in the text too.
fn in_repr(text: &str, quote: Option<char>) -> String {
    let mut shown = String::new();
    for letter in text.chars() {
        match letter {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            letter if letter == '\\' || Some(letter) == quote => shown.extend(['\\', letter]),
            letter => shown.push(letter),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn s15_each_form_of_a_value_is_hidden() {
        let key = "{\"type\": \"it's\",\n \"private_key\": \"--BEGIN--\\nMIIEvQ\\n\"}";
        let hidden = Hidden::new([key, "größe-\u{1f680}-pass"]);
        for form in [
            key.to_owned(),
            in_json(key),
            "{\"type\": \"it\\'s\",\\n \"private_key\": \"--BEGIN--\\\\nMIIEvQ\\\\n\"}".to_owned(),
            "{\"type\": \"it's\",\\n \"private_key\": \"--BEGIN--\\\\nMIIEvQ\\\\n\"}".to_owned(),
            "größe-\u{1f680}-pass".to_owned(),
            "gr\\u00f6\\u00dfe-\\ud83d\\ude80-pass".to_owned(),
        ] {
            let left = hidden.mask(&form).replace(['*', '\n'], "");
            assert_eq!(left, "", "{form}");
        }
    }

    fn hidden(values: &[&str]) -> Hidden {
        Hidden::new(values.iter().copied())
    }

    #[test]
    fn s15_values_are_hidden_wherever_they_stand_and_nothing_else_is() {
        let key = "-----BEGIN KEY-----\nabcdefgh\n12\n-----END KEY-----\n";
        for (values, text, expected) in [
            (vec!["hunter2"], "a hunter2, hunter2", "a *******, *******"),
            (vec!["abc"], "abc abcd", "abc abcd"),
            (vec!["aaaa"], "aaaaaa b aaa", "****** b aaa"),
            (vec!["abcdef", "defghi"], "abcdefghi", "*********"),
            (vec!["größe!"], "«größe!»", "«********»"),
            (vec!["with\"quote"], r#"{"x": "with\"quote"}"#, r#"{"x": "***********"}"#),
            (vec!["  padded \n"], "is padded.", "is ******."),
            (
                vec![key],
                "-----BEGIN KEY-----\nabcdefgh\n12\n-----END KEY-----",
                "*******************\n********\n**\n*****************",
            ),
            (vec![key], "> abcdefgh\n> 12", "> ********\n> 12"),
            (vec![key], r"-----BEGIN KEY-----\nabcdefgh\n12\n-----END KEY-----", &"*".repeat(52)),
            (vec![], "anything", "anything"),
            (vec!["", "   "], "anything", "anything"),
        ] {
            assert_eq!(hidden(&values).mask(text), expected, "{values:?}");
        }
        assert!(!format!("{:?}", hidden(&["hunter2"])).contains("hunter"));
    }

    #[test]
    fn s15_a_value_that_comes_in_pieces_is_never_seen_in_part() {
        let values = ["s3cret-value", "abcabcabd", "größe\nzweite Zeile", "overlapping", "pingpong"];
        let hidden = hidden(&values);
        let text =
            format!("x {} y {}{} abcabc{} overlappingpong end s3cret", values[0], values[1], values[1], values[2]);
        let expected = hidden.mask(&text);
        for step in [1, 2, 3, 5, 7, 1000] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            let (mut looked, mut written) = (Looked::default(), 0);
            for piece in text.as_bytes().chunks(step) {
                file.write_all(piece).unwrap();
                written += piece.len() as u64;
                hidden.hide_in(file.path(), &mut looked, written, false).unwrap();
                let there = std::fs::read(file.path()).unwrap();
                let seen = &there[..usize::try_from(looked.at).unwrap()];
                assert_eq!(seen, &expected.as_bytes()[..seen.len()], "in steps of {step}");
            }
            assert_eq!(looked.at, written - "s3cret".len() as u64);
            hidden.hide_in(file.path(), &mut looked, written, true).unwrap();
            assert_eq!(looked.at, written);
            assert_eq!(std::fs::read_to_string(file.path()).unwrap(), expected);
        }
    }

    #[test]
    fn s15_a_long_log_is_looked_at_in_pieces() {
        let hidden = hidden(&["the-secret-value"]);
        let mut text = "x".repeat(CHUNK - 5);
        text.push_str("the-secret-value");
        text.push_str(&"y".repeat(3 * CHUNK));
        text.push_str("the-secret-value");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &text).unwrap();
        let (length, mut looked) = (text.len() as u64, Looked::default());
        hidden.hide_in(file.path(), &mut looked, length, false).unwrap();
        assert_eq!(looked.at, length);
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), hidden.mask(&text));
    }
}
