//! Names say one thing each: what `ARCHITECTURE.md` lists under "Words that say too little" names nothing.

use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use spanwise_e2e::cargo;

use crate::{assert_none, rust_files};

/// Names that stay in a file, each with the reason. A line that is no longer needed fails.
const STAY: [(&str, &str, &str); 4] = [
    ("crates/sdk/src/error.rs", "place", "users read where in their program an error arose with it"),
    ("crates/sdk/src/blocking.rs", "block_in_place", "it is tokio's"),
    ("crates/server/src/secrets/seal.rs", "open_in_place", "it is ring's"),
    ("crates/server/src/secrets/seal.rs", "seal_in_place_append_tag", "it is ring's"),
];

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

/// The names in the code of a file, each with its line, whatever they are of: types, functions, fields, variants, variables. Comments, texts and
/// `mod tests` have none.
fn names(code: TokenStream) -> Vec<(usize, String)> {
    let (mut names, mut before) = (Vec::new(), [String::new(), String::new()]);
    for token in code {
        let mut word = String::new();
        match token {
            TokenTree::Group(_) if before == ["mod", "tests"] => {}
            TokenTree::Group(group) => names.extend(self::names(group.stream())),
            TokenTree::Ident(name) => {
                word = name.to_string();
                names.push((name.span().start().line, word.clone()));
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        let [_, last] = before;
        before = [last, word];
    }
    names
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
    let code = r#"
        struct Held { place: u8 } // told
        /// known
        fn told(asked: u8) { let kept = |life| assert!(wheel, "{turn}"); }
        mod tests { fn place() {} }
    "#;
    let names: Vec<(usize, String)> = names(code.parse().unwrap());
    let found = |name: &str| names.iter().find(|(_, found)| found == name).map(|(line, _)| *line);
    let lines = ["Held", "place", "told", "asked", "kept", "life", "wheel"].map(found);
    assert_eq!(lines, [2, 2, 4, 4, 4, 4, 4].map(Some));
    assert_eq!((found("known"), found("turn")), (None, None));
    assert_eq!(names.iter().filter(|(_, name)| name == "place").count(), 1);
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
        for (line, name) in names(text.parse().unwrap()) {
            let Some(word) = words.iter().find(|word| word.is_used_by(&name)) else { continue };
            match STAY.iter().find(|(of, stays, _)| file == Path::new(of) && name == *stays) {
                Some(excused) => stay.retain(|other| other != excused),
                None => problems.push(format!("{}:{line}: `{name}`: say {}", file.display(), word.instead)),
            }
        }
    }
    problems.extend(stay.iter().map(|(file, name, _)| format!("{file} {name}: is not there, take it off the list")));
    assert_none(&problems);
}
