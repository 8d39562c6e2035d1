//! Names say one thing each: what `ARCHITECTURE.md` lists under "Words that say too little" names no type, function or module.

use std::path::Path;

use spanwise_e2e::cargo;

use crate::{assert_none, rust_files};

/// Names of the public interface that stay, each with the reason. A line that is no longer needed fails.
const STAY: [(&str, &str, &str); 1] =
    [("crates/sdk/src/error.rs", "place", "users read where in their program an error arose with it")];

/// A word that no name consists of, or that stands in none if it is a noun of many meanings; and what to say instead.
struct Word {
    text: String,
    is_in_no_name: bool,
    instead: String,
}

/// The rows of the table: `Told` alone is a whole name, `*place*` a word in a name.
fn words() -> Vec<Word> {
    let text = std::fs::read_to_string(cargo::root().join("ARCHITECTURE.md")).unwrap();
    let table = text.split("### Words that say too little").nth(1).unwrap_or_default();
    let rows = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let (names, instead) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default().to_owned());
        let names: Vec<&str> = names.split(", ").map(|name| name.trim_matches('`')).collect();
        names.into_iter().map(move |name| Word {
            text: name.trim_matches('*').to_owned(),
            is_in_no_name: name.starts_with('*'),
            instead: instead.clone(),
        })
    })
    .collect::<Vec<_>>()
}

/// The name that a line declares: of a type, a function, a module or a constant.
fn declared(line: &str) -> Option<&str> {
    let kinds = ["struct", "enum", "trait", "type", "fn", "mod", "const", "static", "union"];
    let is_before =
        |word: &str| word.starts_with("pub") || ["async", "unsafe", "in", "super)", "crate)"].contains(&word);
    let mut words = line.trim_start().split(' ').skip_while(|word| is_before(word)).peekable();
    let kind = words.next().filter(|word| kinds.contains(word))?;
    // `const fn`
    let named = words.next().filter(|word| !(kind == "const" && *word == "fn")).or_else(|| words.next())?;
    let end = named.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(named.len());
    Some(&named[..end]).filter(|name| !name.is_empty())
}

/// The words of a name: `place_of`, `AttemptPlace` and `PLACES` are two, two and one.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut was_small = false;
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && was_small) {
            parts.push(String::new());
        }
        was_small = c.is_lowercase();
        parts.last_mut().unwrap().extend(c.to_lowercase().filter(|c| *c != '_'));
    }
    parts
}

impl Word {
    fn is_used_by(&self, name: &str) -> bool {
        if self.is_in_no_name { parts(name).contains(&self.text) } else { name == self.text }
    }
}

fn is_code(file: &Path) -> bool {
    let is_of_tests = |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs";
    file.starts_with("crates") && !file.components().any(|part| is_of_tests(part.as_os_str()))
}

#[test]
fn a_name_is_read_and_taken_apart() {
    assert_eq!(declared("    pub(crate) async fn place_of(&self) {"), Some("place_of"));
    assert_eq!(declared("pub(in crate::run) const fn at() {}"), None);
    assert_eq!(declared("const fn at<T>() {}"), Some("at"));
    assert_eq!(declared("struct Told;"), Some("Told"));
    assert_eq!(declared("// struct Told;"), None);
    assert_eq!(declared("let place = 1;"), None);
    assert_eq!(parts("AttemptPlace"), ["attempt", "place"]);
    assert_eq!(parts("replace_of"), ["replace", "of"]);
    assert_eq!(parts("PLACES"), ["places"]);
}

#[test]
fn names_say_one_thing_each() {
    let words = words();
    assert!(words.len() > 10, "the table is not read");
    let mut stay = STAY.to_vec();
    let mut problems = Vec::new();
    for (file, text) in rust_files().filter(|(file, _)| is_code(file)) {
        let code = text.lines().take_while(|line| line.trim() != "mod tests {").enumerate();
        for (at, name) in code.filter_map(|(at, line)| Some((at, declared(line)?))) {
            let Some(word) = words.iter().find(|word| word.is_used_by(name)) else { continue };
            match stay.iter().position(|(of, stays, _)| file == Path::new(of) && name == *stays) {
                Some(excused) => drop(stay.remove(excused)),
                None => problems.push(format!("{}:{}: `{name}`: say {}", file.display(), at + 1, word.instead)),
            }
        }
    }
    problems.extend(stay.iter().map(|(file, name, _)| format!("{file} {name}: is not there, take it off the list")));
    assert_none(&problems);
}
