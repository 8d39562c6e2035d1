//! Each invariant of `ARCHITECTURE.md` names the check that would fail, and what it names is there. Those that are read off the code are here.

use spanwise_e2e::cargo;

use crate::{assert_none, rust_files};

/// The invariants, each in one line.
fn invariants() -> Vec<String> {
    let text = std::fs::read_to_string(cargo::root().join("ARCHITECTURE.md")).unwrap();
    let mut invariants: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in text.lines() {
        if let Some(begin) = line.strip_prefix("- *Invariant:* ") {
            invariants.push(begin.to_owned());
            is_open = true;
        } else if let Some(rest) = line.strip_prefix("  ").filter(|_| is_open) {
            let last = invariants.last_mut().unwrap();
            last.push(' ');
            last.push_str(rest);
        } else {
            is_open = false;
        }
    }
    invariants
}

/// The files and directories that a check names: `a/b.rs`, `tests/it/a`, `Cargo.toml`.
fn named(check: &str) -> impl Iterator<Item = &str> {
    let quoted = check.split('`').skip(1).step_by(2);
    quoted.filter(|name| (name.contains('/') || name.ends_with(".rs")) && !name.contains([' ', ':']))
}

#[test]
fn every_invariant_names_a_check_that_exists() {
    let invariants = invariants();
    assert!(invariants.len() > 30, "{} invariants are read", invariants.len());
    let files: Vec<String> = cargo::files().iter().map(|file| format!("/{}", file.display())).collect();
    let mut problems = Vec::new();
    for invariant in &invariants {
        let Some((what, check)) = invariant.split_once("Check: ") else {
            problems.push(format!("without a check: {invariant}"));
            continue;
        };
        let is_there = |name: &str| {
            let (file, folder) = (format!("/{name}"), format!("/{}/", name.trim_end_matches('/')));
            files
                .iter()
                .any(|path| path.ends_with(&file) || path.contains(&folder) || path.ends_with(&format!("{file}.rs")))
        };
        let missing = named(check).filter(|name| !is_there(name));
        problems.extend(missing.map(|name| format!("`{name}` is not there: {what}")));
    }
    assert_none(&problems);
}

#[test]
fn recipes_lead_to_files_that_exist() {
    let text = std::fs::read_to_string(cargo::root().join("docs/recipes.md")).unwrap();
    let is_path = |name: &&str| name.starts_with("crates/") && !name.contains("..") && !name.contains(' ');
    let paths: Vec<&str> = text.split('`').skip(1).step_by(2).filter(is_path).collect();
    assert!(paths.len() > 15, "{paths:?}");
    let files = cargo::files();
    let is_there = |path: &&&str| files.iter().any(|file| file.starts_with(path));
    let missing = paths.iter().filter(|path| !is_there(path));
    assert_none(&missing.map(|path| format!("docs/recipes.md: `{path}` is not there")).collect::<Vec<_>>());
}

/// What would install something of OpenTelemetry for the whole process.
const INSTALLS: [&str; 4] =
    ["set_tracer_provider", "set_text_map_propagator", "set_meter_provider", "set_logger_provider"];

#[test]
fn the_sdk_installs_nothing_of_opentelemetry() {
    let mut problems = Vec::new();
    for (file, text) in rust_files().filter(|(file, _)| file.starts_with("crates/sdk/src")) {
        let is_its_own = file.starts_with("crates/sdk/src/otel") || file.ends_with("otel.rs");
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let installs = INSTALLS.iter().any(|name| line.contains(name));
            let names = !is_its_own && line.contains("opentelemetry::");
            if installs || names {
                problems.push(format!("{}:{}: {}", file.display(), at + 1, line.trim()));
            }
        }
    }
    assert_none(&problems);
}
