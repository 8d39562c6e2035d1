//! `docs/compatibility.md` has the tables as they are; `SPANWISE_UPDATE=1` writes them there.

use std::fmt::Write as _;
use std::path::Path;

use super::*;

#[test]
fn the_documentation_has_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md");
    let committed = std::fs::read_to_string(&path).unwrap();
    let mut fresh = committed.clone();
    let tables = [
        ("methods", methods()),
        ("run", fields(RUN)),
        ("task", fields(TASK)),
        ("app", fields(APP)),
        ("settings", fields(SETTINGS)),
    ];
    for (name, table) in tables {
        fresh = replaced(&fresh, name, &table);
    }
    if std::env::var_os("SPANWISE_UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(&path, &fresh).unwrap();
    } else {
        assert!(
            fresh == committed,
            "docs/compatibility.md is not what the tables say: run this test with SPANWISE_UPDATE=1"
        );
    }
}

fn replaced(text: &str, name: &str, table: &str) -> String {
    let (from, to) = (format!("<!-- table: {name} -->\n"), format!("<!-- end of table: {name} -->"));
    let (before, rest) = text.split_once(&from).unwrap_or_else(|| panic!("no {from}"));
    let (_, after) = rest.split_once(&to).unwrap_or_else(|| panic!("no {to}"));
    format!("{before}{from}{table}{to}{after}")
}

fn methods() -> String {
    let mut text = "| service / RPC | state | shown by |\n|---|---|---|\n".to_owned();
    for row in METHODS {
        let names = row.names.join(", ");
        let shown_by = if row.shown_by.is_empty() { "-" } else { row.shown_by };
        writeln!(text, "| {}/{names} | {} | {shown_by} |", row.short_service(), state(row.support)).unwrap();
    }
    text
}

fn fields(rows: &[Row]) -> String {
    let mut text = "| field | state |\n|---|---|\n".to_owned();
    for row in rows {
        let called = if row.called.is_empty() { String::new() } else { format!(" (told as `{}`)", row.called) };
        writeln!(text, "| `{}`{called} | {} |", row.path, state(row.support)).unwrap();
    }
    text
}

fn state(support: Support) -> String {
    match support.sentence() {
        "" => support.word().to_owned(),
        sentence => format!("{}: {sentence}", support.word()),
    }
}
