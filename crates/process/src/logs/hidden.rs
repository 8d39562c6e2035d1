//! Values that no log shows: each of their bytes becomes a `*` where it stands, so that nothing moves and lines stay lines.
//!
//! A task writes its log itself, so a value is in the file until the next look at it, about a tenth of a second. Readers see nothing that was not
//! looked at, and not the beginning of a value whose rest may still come.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use aho_corasick::Anchored;
use aho_corasick::automaton::Automaton as _;
use aho_corasick::nfa::contiguous::NFA;

/// What is shorter is in every other word.
pub const SHORTEST: usize = 4;

/// A line of a value of several lines is looked for by itself if it is this long: whoever prints such a value may print each line apart.
const SHORTEST_LINE: usize = 8;

/// How much of a log is looked at in one piece.
const CHUNK: usize = 256 * 1024;

/// Values that are hidden. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Hidden {
    patterns: Option<Arc<Patterns>>,
    /// Why nothing is shown, if nobody can say what the values are.
    withheld: Option<String>,
}

/// What is looked for, all at once: one look costs the same however many there are, and however often they repeat themselves or each other.
struct Patterns {
    search: NFA,
    each: Vec<Pattern>,
}

struct Pattern {
    bytes: Vec<u8>,
    /// Of each of its beginnings, how much of it ends what is before: of `abcab` the last has 2.
    borders: Vec<u32>,
}

impl std::fmt::Debug for Patterns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} patterns", self.each.len())
    }
}

impl Pattern {
    fn new(bytes: Vec<u8>) -> Pattern {
        let mut borders = vec![0; bytes.len()];
        let mut matched = 0;
        for at in 1..bytes.len() {
            matched = goes_on(&bytes, &borders, matched, bytes[at]);
            borders[at] = u32::try_from(matched).unwrap_or(u32::MAX);
        }
        Pattern { bytes, borders }
    }

    /// How much of its beginning ends a text, if it is not the whole.
    fn at_end_of(&self, text: &[u8]) -> usize {
        let tail = &text[text.len().saturating_sub(self.bytes.len() - 1)..];
        tail.iter().fold(0, |matched, byte| goes_on(&self.bytes, &self.borders, matched, *byte))
    }
}

/// How much of a pattern is there, where so much was before a byte.
fn goes_on(bytes: &[u8], borders: &[u32], mut matched: usize, byte: u8) -> usize {
    while matched > 0 && bytes[matched] != byte {
        matched = borders[matched - 1] as usize;
    }
    if bytes[matched] == byte { matched + 1 } else { matched }
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
        if patterns.is_empty() {
            return Hidden::default();
        }
        match NFA::new(&patterns) {
            Ok(search) => {
                let each = patterns.into_iter().map(Pattern::new).collect();
                Hidden { patterns: Some(Arc::new(Patterns { search, each })), withheld: None }
            }
            Err(error) => Hidden::withheld(format!("its secrets are too long to be looked for: {error}")),
        }
    }

    /// Values that nobody can say any more, and why: where they may be, nothing is shown.
    pub fn withheld(why: impl Into<String>) -> Hidden {
        Hidden { patterns: None, withheld: Some(why.into()) }
    }

    /// True if nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_none() && self.withheld.is_none()
    }

    pub(super) fn why_withheld(&self) -> Option<&str> {
        self.withheld.as_deref()
    }

    /// The length of the longest value.
    pub(super) fn longest(&self) -> usize {
        self.each().map(|pattern| pattern.bytes.len()).max().unwrap_or(0)
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

    fn each(&self) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter().flat_map(|patterns| &patterns.each)
    }

    /// Where the values stand, in order; what overlaps is one.
    fn found_in(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        let Some(patterns) = &self.patterns else { return found };
        let search = &patterns.search;
        let Ok(mut state) = search.start_state(Anchored::No) else { return found };
        for (end, byte) in (1..).zip(bytes) {
            state = search.next_state(Anchored::No, state, *byte);
            if !search.is_match(state) {
                continue;
            }
            // Of those that end here the first is the longest, and has the others in it.
            let mut begin = end - search.pattern_len(search.match_pattern(state, 0));
            while let Some(before) = found.pop_if(|before| before.end >= begin) {
                begin = begin.min(before.start);
            }
            found.push(begin..end);
        }
        found
    }

    /// The length of the end of a text that may be the beginning of a value.
    fn open_end(&self, bytes: &[u8]) -> usize {
        self.each().map(|pattern| pattern.at_end_of(bytes)).max().unwrap_or(0)
    }

    /// Hides the values in a file up to `length`, where it was not looked at yet; `last` says that nothing comes any more.
    pub(super) fn hide_in(&self, log: &Path, looked: &mut Looked, length: u64, last: bool) -> io::Result<()> {
        if self.patterns.is_none() {
            *looked = Looked { at: length.max(looked.at), ..Looked::default() };
            return Ok(());
        }
        let file = OpenOptions::new().read(true).write(true).open(log)?;
        loop {
            let (mut bytes, mut shown) = (std::mem::take(&mut looked.open), std::mem::take(&mut looked.open_as_shown));
            let read_from = looked.at + bytes.len() as u64;
            let room = length.saturating_sub(read_from).min(CHUNK as u64);
            read_at(&file, &mut bytes, read_from, usize::try_from(room).unwrap_or(CHUNK))?;
            shown.extend_from_slice(&bytes[shown.len()..]);
            let end = looked.at + bytes.len() as u64;
            let found = self.found_in(&bytes);
            for range in &found {
                shown[range.clone()].iter_mut().for_each(hide);
            }
            // In one piece, however many there are.
            if let (Some(first), Some(last)) = (found.first(), found.last()) {
                file.write_all_at(&shown[first.start..last.end], looked.at + first.start as u64)?;
            }
            let is_end = end >= length || end == read_from;
            let open = if is_end && last { 0 } else { self.open_end(&bytes) };
            looked.open_as_shown = shown.split_off(bytes.len() - open);
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
    /// What follows and may be the beginning of a value, as it was written: in the file it may be hidden as a part of another value.
    open: Vec<u8>,
    open_as_shown: Vec<u8>,
}

impl Looked {
    /// What follows is another text from now on.
    pub(super) fn forget_open(&mut self) {
        (self.open, self.open_as_shown) = Default::default();
    }
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
            (vec!["3456", "123456", "23456"], "0123456 23456 3456 456", "0****** ***** **** 456"),
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
    fn s15_3_values_that_repeat_themselves_and_each_other_cost_no_more_than_others() {
        let lines: String = (8..400).map(|length| "a".repeat(length) + "\n").collect();
        let many: String = (0..10_000).map(|number| format!("line-{number}\n")).collect();
        let ab = "ab".repeat(50_000);
        for (value, piece) in
            [("a".repeat(100_000), "a"), (ab, "ab"), (lines, "a"), (many, "line-123 "), ("abcd".to_owned(), "abcd ")]
        {
            let text = piece.repeat((1 << 20) / piece.len());
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &text).unwrap();
            let begun = std::time::Instant::now();
            let (hidden, mut looked) = (hidden(&[value.as_str()]), Looked::default());
            // As it comes, in pieces.
            for end in 1..=16 {
                hidden.hide_in(file.path(), &mut looked, end * text.len() as u64 / 16, end == 16).unwrap();
            }
            let took = begun.elapsed();
            let seen = std::fs::read_to_string(file.path()).unwrap();
            assert_eq!((seen.len(), seen.replace([' ', '*'], "").as_str()), (text.len(), ""), "{} bytes", value.len());
            assert!(took.as_secs() < 20, "{took:?} for {} bytes", value.len());
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
