//! The rules that tests and comments cite stand in `docs/semantics.md`.

use std::collections::BTreeSet;

use spanwise_e2e::cargo;

use crate::{assert_none, rust_files};

/// The numbers of the rules: `S4` of a heading, `S1.6` and `T10` of a table.
fn written() -> BTreeSet<String> {
    let text = std::fs::read_to_string(cargo::root().join("docs/semantics.md")).unwrap();
    let starts = text.lines().filter_map(|line| line.strip_prefix("## ").or_else(|| line.strip_prefix("| ")));
    let first = starts.filter_map(|line| line.split([':', ' ']).next());
    first.filter(|word| number(word)).map(str::to_owned).collect()
}

/// `S4`, `S1.6`, `T10`.
fn number(word: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    word.strip_prefix(['S', 'T']).is_some_and(|rest| rest.split('.').all(is_number) && rest.split('.').count() <= 2)
}

/// The rule that the name of a test begins with: `s1_6_a_rerun_..` is S1.6.
fn of_test(line: &str) -> Option<String> {
    let name = line.trim_start().trim_start_matches("async ").strip_prefix("fn ")?;
    let mut parts = name.split('_');
    let rule = parts.next().filter(|part| number(&part.to_uppercase()))?.to_uppercase();
    let below = parts.next().filter(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    Some(below.map_or_else(|| rule.clone(), |below| format!("{rule}.{below}")))
}

/// The rules that a comment cites, as "semantics S4".
fn of_comment(line: &str) -> impl Iterator<Item = String> {
    let cited = line.split("semantics ").skip(1).filter(|_| line.contains("//"));
    let words = cited.filter_map(|rest| rest.split([' ', ')', ',', ':', ';']).next());
    words.map(|word| word.trim_end_matches('.').to_owned()).filter(|word| number(word))
}

#[test]
fn a_rule_is_read_from_a_name_and_from_a_comment() {
    assert_eq!(of_test("    async fn s1_10_flags()"), Some("S1.10".to_owned()));
    assert_eq!(of_test("fn t3_a_span()"), Some("T3".to_owned()));
    assert_eq!(of_test("fn s4_30_kills()"), Some("S4.30".to_owned()));
    assert_eq!(of_test("fn sums()"), None);
    assert_eq!(of_comment("/// Waits (semantics S4).").collect::<Vec<_>>(), ["S4"]);
    assert_eq!(of_comment("// As semantics S1.6, and semantics S3 say.").collect::<Vec<_>>(), ["S1.6", "S3"]);
}

#[test]
fn every_rule_that_is_cited_is_written_down() {
    let written = written();
    assert!(written.len() > 30, "{written:?}");
    let mut problems = Vec::new();
    for (file, text) in rust_files() {
        for (at, line) in text.lines().enumerate() {
            let cited = of_test(line).into_iter().chain(of_comment(line));
            let missing = cited.filter(|rule| !written.contains(rule));
            problems.extend(missing.map(|rule| format!("{}:{}: {rule}", file.display(), at + 1)));
        }
    }
    assert_none(&problems);
}
