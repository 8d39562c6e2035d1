//! How files and functions look: short, and with a line that says what they are for.

use std::path::Path;

use crate::{assert_none, rust_files};

/// A file has one job.
const LINES_OF_A_FILE: usize = 500;

/// Tests are read one by one, and not from the beginning to the end.
const LINES_OF_TESTS: usize = 650;

/// From `fn` to the brace that closes it.
const LINES_OF_A_FUNCTION: usize = 60;

/// A function of tests may be a table of cases.
const LINES_OF_A_TEST: usize = 90;

fn is_source(file: &Path) -> bool {
    file.starts_with("crates") && file.components().any(|part| part.as_os_str() == "src")
}

fn is_of_tests(file: &Path) -> bool {
    let named = |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs" || part == "benches";
    file.components().any(|part| named(part.as_os_str()))
}

/// The name and the lines of each function of a formatted file, and whether it is among the tests of the file.
fn functions(text: &str) -> impl Iterator<Item = (&str, usize, bool)> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.iter().position(|line| line.trim() == "mod tests {").unwrap_or(lines.len());
    let starts = (0..lines.len()).filter_map({
        let lines = lines.clone();
        move |at| Some((at, name(lines[at])?))
    });
    starts.map(move |(at, name)| (name, length(&lines[at..]), at > tests)).collect::<Vec<_>>().into_iter()
}

/// The name of the function that begins in a line.
fn name(line: &str) -> Option<&str> {
    let before_name =
        |word: &str| word.starts_with("pub") || ["async", "const", "in", "super)", "unsafe"].contains(&word);
    let mut words = line.trim_start().split(' ');
    words.by_ref().find(|word| !before_name(word)).filter(|word| *word == "fn")?;
    words.next()?.split(['(', '<']).next()
}

/// The lines up to the one that closes what the first one opens: it is as far from the margin.
fn length(lines: &[&str]) -> usize {
    let margin = |line: &str| line.len() - line.trim_start().len();
    let closes = |line: &&str| margin(line) == margin(lines[0]) && line.trim_start().starts_with('}');
    if lines[0].ends_with([';', '}']) { 1 } else { lines.iter().position(closes).map_or(1, |end| end + 1) }
}

#[test]
fn the_lines_of_a_function_are_counted_as_they_are_written() {
    let text = "pub(super) async fn one(\n    a: u8,\n) {\n    if a {\n    }\n}\nfn two() {}\nimpl A {\n    const fn three<T>() {\n    }\n}\n";
    assert_eq!(functions(text).collect::<Vec<_>>(), [("one", 6, false), ("two", 1, false), ("three", 2, false)]);
    assert_eq!(functions("mod tests {\n    fn a() {\n    }\n}\n").collect::<Vec<_>>(), [("a", 2, true)]);
    assert_eq!(functions("// fn a() {\nlet f: fn() = a;\n").count(), 0);
}

#[test]
fn files_say_what_they_are() {
    let silent = rust_files().filter(|(file, text)| is_source(file) && !text.starts_with("//!"));
    assert_none(&silent.map(|(file, _)| format!("{}: begins without `//!`", file.display())).collect::<Vec<_>>());
}

#[test]
fn files_and_functions_are_short() {
    let mut problems = Vec::new();
    for (file, text) in rust_files() {
        let of_tests = is_of_tests(&file);
        let limit = if of_tests { LINES_OF_TESTS } else { LINES_OF_A_FILE };
        let whole = ("", text.lines().count(), limit);
        let parts = functions(&text).map(|(name, lines, is_test)| {
            (name, lines, if is_test || of_tests { LINES_OF_A_TEST } else { LINES_OF_A_FUNCTION })
        });
        let long = std::iter::once(whole).chain(parts).filter(|(_, lines, limit)| lines > limit);
        let problem = |(name, lines, limit)| format!("{} {name}: {lines} lines, {limit} are the limit", file.display());
        problems.extend(long.map(problem));
    }
    assert_none(&problems);
}
