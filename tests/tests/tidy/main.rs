//! The state of the repository: who uses whom, what is depended on, and how files look.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

mod checks;
mod glossary;
mod messages;
mod rules;
mod shape;
mod systems;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use spanwise_e2e::cargo;

mod circles;

/// Which crates of the workspace a crate may use; tests, examples and benches may use all.
const EDGES: [(&str, &[&str]); 14] = [
    ("spanwise-core", &[]),
    ("spanwise-proto", &[]),
    ("spanwise-macros", &["spanwise-core"]),
    ("spanwise-wire", &["spanwise-core", "spanwise-proto"]),
    ("spanwise-sqlite", &["spanwise-core"]),
    ("spanwise-store", &["spanwise-core", "spanwise-sqlite"]),
    ("spanwise-blobs", &["spanwise-core"]),
    ("spanwise-process", &["spanwise-core"]),
    ("spanwise-collector", &["spanwise-core", "spanwise-sqlite"]),
    ("spanwise-engine", &["spanwise-core", "spanwise-store"]),
    ("spanwise-otel", &["spanwise-core", "spanwise-engine"]),
    (
        "spanwise",
        &["spanwise-core", "spanwise-engine", "spanwise-macros", "spanwise-otel", "spanwise-proto", "spanwise-wire"],
    ),
    (
        "spanwise-server",
        &[
            "spanwise-blobs",
            "spanwise-collector",
            "spanwise-core",
            "spanwise-engine",
            "spanwise-otel",
            "spanwise-process",
            "spanwise-proto",
            "spanwise-store",
            "spanwise-wire",
        ],
    ),
    ("spanwise-cli", &["spanwise", "spanwise-otel", "spanwise-proto", "spanwise-server", "spanwise-wire"]),
];

const USE_ALL: [&str; 3] = ["spanwise-benches", "spanwise-e2e", "spanwise-examples"];

/// Two versions of one of these do not understand each other's types.
const ONE_VERSION: [&str; 9] =
    ["axum", "http", "hyper", "opentelemetry", "opentelemetry_sdk", "prost", "time", "tokio", "tonic"];

const LICENCES: [&str; 10] =
    ["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT", "Unicode-3.0", "Zlib"];

/// Licences that are fine for these crates only, with the reason.
const LICENCE_EXCEPTIONS: [(&str, &str, &str); 1] =
    [("webpki-roots", "CDLA-Permissive-2.0", "certificates are data, and the licence asks for nothing but its text")];

/// The feature `remote` of the crate `spanwise` chooses between two modules. Where else it is asked for, the crate begins to be two programs in
/// one text.
const MAX_CFG_REMOTE: usize = 8;

/// Made by a program; looked at by nobody.
fn is_generated(file: &Path) -> bool {
    file.starts_with("crates/proto/src/generated")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

fn packages() -> impl Iterator<Item = &'static Value> {
    list(cargo::metadata(), "packages").iter()
}

fn members() -> impl Iterator<Item = &'static Value> {
    let members = list(cargo::metadata(), "workspace_members");
    packages().filter(|package| members.contains(&package["id"]))
}

#[test]
fn crates_use_only_whom_they_may() {
    let mut problems = Vec::new();
    for member in members() {
        let name = word(member, "name");
        let Some((_, allowed)) = EDGES.iter().find(|(of, _)| *of == name) else {
            if !USE_ALL.contains(&name) {
                problems.push(format!("{name} is new: say in this file whom it may use"));
            }
            continue;
        };
        let ours = list(member, "dependencies").iter().filter(|to| to["path"].is_string() && word(to, "kind") != "dev");
        let forbidden = ours.map(|to| word(to, "name")).filter(|to| !allowed.contains(to));
        problems.extend(forbidden.map(|to| format!("{name} may not use {to}")));
    }
    assert_none(&problems);
}

#[test]
fn no_two_versions_of_what_must_be_one() {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages() {
        versions.entry(word(package, "name")).or_default().insert(word(package, "version"));
    }
    let twice = versions.iter().filter(|(name, versions)| ONE_VERSION.contains(name) && versions.len() > 1);
    assert_none(&twice.map(|(name, versions)| format!("{name} has versions {versions:?}")).collect::<Vec<_>>());
}

/// The packages that end up in a program or build it: not those that only test it.
fn normal_dependencies() -> BTreeSet<&'static str> {
    let nodes = list(&cargo::metadata()["resolve"], "nodes").iter();
    let nodes: BTreeMap<&str, &Value> = nodes.map(|node| (word(node, "id"), node)).collect();
    let mut pending: Vec<&str> = members().map(|member| word(member, "id")).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = pending.pop() {
        if seen.insert(id) {
            let is_normal = |to: &&Value| list(to, "dep_kinds").iter().any(|kind| word(kind, "kind") != "dev");
            pending.extend(list(nodes[id], "deps").iter().filter(is_normal).map(|to| word(to, "pkg")));
        }
    }
    seen
}

#[test]
fn licences_are_permissive() {
    let normal = normal_dependencies();
    let mut problems = Vec::new();
    for package in packages().filter(|package| normal.contains(word(package, "id"))) {
        let (name, licence) = (word(package, "name"), word(package, "license"));
        let excepted = LICENCE_EXCEPTIONS.iter().any(|(of, fine, _)| *of == name && *fine == licence);
        if !excepted && !is_allowed(licence) {
            problems.push(format!("{name}: `{licence}`"));
        }
    }
    assert_none(&problems);
}

/// Reads `(MIT OR Apache-2.0) AND Unicode-3.0` and its like; `/` is an old way to write OR.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    expression.split(" AND ").all(|part| {
        let alternatives = part.split(" OR ").map(|licence| licence.trim_matches(['(', ')', ' ']));
        alternatives.into_iter().any(|licence| LICENCES.contains(&licence))
    })
}

#[test]
fn licence_expressions_are_understood() {
    assert!(is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(is_allowed("MIT/GPL-3.0"));
    assert!(!is_allowed("Apache-2.0 AND GPL-3.0"));
    assert!(!is_allowed(""));
}

fn rust_files() -> impl Iterator<Item = (std::path::PathBuf, String)> {
    let rust = cargo::files().into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    rust.filter(|file| !is_generated(file)).map(|file| {
        let text = std::fs::read_to_string(cargo::root().join(&file)).unwrap();
        (file, text)
    })
}

#[test]
fn the_feature_remote_is_asked_for_in_few_places() {
    let sources = rust_files().filter(|(file, _)| file.starts_with("crates/sdk/src"));
    let count: usize = sources.map(|(_, text)| text.matches("feature = \"remote\"").count()).sum();
    assert!(
        count <= MAX_CFG_REMOTE,
        "`cfg(feature = \"remote\")` stands in {count} places, {MAX_CFG_REMOTE} are the limit"
    );
}

#[test]
fn no_line_is_left_for_later_or_names_a_place_of_ours() {
    // Put together here, so that this file has none of them.
    let for_later = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["HA", "CK"].concat()];
    let places = [["/wo", "rk/"].concat(), ["shared", "/spec"].concat()];
    let mut problems = Vec::new();
    for file in cargo::files() {
        let Ok(text) = std::fs::read_to_string(cargo::root().join(&file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let later = for_later.iter().any(|mark| is_unowned(line, mark));
            if later || places.iter().any(|place| line.contains(place)) {
                problems.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    assert_none(&problems);
}

/// True if a line has the mark as a word with no issue's number behind it.
fn is_unowned(line: &str, mark: &str) -> bool {
    line.match_indices(mark).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + mark.len()..]);
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_word = !before.ends_with(is_part) && !after.starts_with(is_part);
        is_word && !after.strip_prefix("(#").is_some_and(|issue| issue.starts_with(|c: char| c.is_ascii_digit()))
    })
}

#[test]
fn processes_know_nothing_of_flyte() {
    let mut problems = Vec::new();
    for file in cargo::files().into_iter().filter(|file| file.starts_with("crates/process/src")) {
        let text = std::fs::read_to_string(cargo::root().join(&file)).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().enumerate().filter(|(_, line)| line.to_lowercase().contains("flyte"));
        problems.extend(lines.map(|(number, line)| format!("{}:{}: {}", file.display(), number + 1, line.trim())));
    }
    assert_none(&problems);
}

#[test]
fn no_test_file_is_forgotten() {
    let mut problems = Vec::new();
    for (file, _) in rust_files() {
        let Some(folder) = file.parent().filter(|folder| folder.ends_with("tests/it")) else { continue };
        let module = file.file_stem().unwrap_or_default().to_string_lossy();
        let main = std::fs::read_to_string(cargo::root().join(folder).join("main.rs")).unwrap_or_default();
        if module != "main" && !main.lines().any(|line| line.trim() == format!("mod {module};")) {
            problems.push(format!("{}: no `mod {module};` in main.rs", file.display()));
        }
    }
    assert_none(&problems);
}

#[test]
fn the_engine_leaves_the_runtime_in_one_place() {
    let sources = rust_files().filter(|(file, _)| file.starts_with("crates/engine/src") && !file.ends_with("tests.rs"));
    let leaving = sources.filter(|(_, text)| text.contains("spawn_blocking") || text.contains("block_in_place"));
    let files = leaving.map(|(file, _)| file.display().to_string()).collect::<Vec<_>>();
    assert_eq!(files, ["crates/engine/src/blocking.rs"]);
}
