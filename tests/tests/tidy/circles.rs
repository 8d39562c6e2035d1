//! Import circles between the modules of a crate: a reader who opens one of them has to understand them all.
//!
//! The rule. A node is a file. An arrow goes from the file that names a path beginning with `crate::`, `super::` or `self::`, in a `use` or in
//! the code, to the file where that path ends; a name that is passed on (`pub use`) leads to where it comes from. A module that names its own
//! children draws no arrow: it declares them. A child that names its parent does. Tests are left out. A circle is a set of files each of which
//! leads to every other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{assert_none, rust_files};

/// The names that lead from the root of a crate to a module, or to something in it.
type Names = Vec<String>;

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let mut problems = Vec::new();
    for (name, modules) in crates() {
        let circles = circles(&arrows(&modules));
        problems.extend(circles.iter().map(|circle| format!("crate {name}: {circle:?} import each other in a circle")));
    }
    assert_none(&problems);
}

#[test]
fn the_backends_of_the_sdk_know_nothing_of_each_other() {
    let arrows = arrows(&crates()["sdk"]);
    let [embedded, remote] =
        ["embedded", "remote"].map(|backend| move |module: &str| module.split("::").next() == Some(backend));
    let used = arrows.iter().flat_map(|(from, to)| to.iter().map(move |to| (from.as_str(), to.as_str())));
    let crossing = used.filter(|(from, to)| (embedded(from) && remote(to)) || (remote(from) && embedded(to)));
    assert_none(&crossing.map(|(from, to)| format!("{from} uses {to}")).collect::<Vec<_>>());
    assert!(arrows.keys().any(|module| embedded(module)) && arrows.keys().any(|module| remote(module)));
}

#[test]
fn circles_are_seen_through_names_that_are_passed_on() {
    let module = |path: &str, text: &str| (path.split("::").map(str::to_owned).collect(), text.to_owned());
    let modules = BTreeMap::from([
        (Names::new(), "pub use a::A; use a::b::{self, B as C};".to_owned()),
        module("a", "mod b;\npub(crate) use b::B;\npub struct A(B);"),
        module("a::b", "use crate::{\n    d::D,\n    e,\n};"),
        module("d", "struct D; fn f() { crate::C::new() }"),
        module("e", "use std::sync::Arc; use super::a::A;"),
        module("f", "use crate::d::D; use crate::e;"),
    ]);
    let arrows = arrows(&modules);
    let of = |module: &str| arrows[module].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!((of("a"), of("a::b"), of("d"), of("e")), (vec![], vec!["d", "e"], vec!["a::b"], vec!["a"]));
    assert_eq!(circles(&arrows), [["a::b", "d"]]);
}

/// The modules of each crate, without their tests and comments.
fn crates() -> BTreeMap<String, BTreeMap<Names, String>> {
    let mut crates: BTreeMap<String, BTreeMap<Names, String>> = BTreeMap::new();
    for (file, text) in rust_files() {
        let Some((name, module)) = module_of(&file) else { continue };
        if module.iter().any(|part| part == "tests") {
            continue;
        }
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        crates.entry(name).or_default().insert(module, lines.collect::<Vec<_>>().join("\n"));
    }
    crates
}

/// `crates/sdk/src/remote/run.rs` is `remote::run` of `sdk`.
fn module_of(file: &Path) -> Option<(String, Names)> {
    let mut parts = file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>();
    if parts.len() < 4 || parts[0] != "crates" || parts[2] != "src" {
        return None;
    }
    let mut module = parts.split_off(3);
    if module == ["lib"] || module == ["main"] {
        module.clear();
    }
    Some((parts.swap_remove(1), module))
}

/// Which modules each one uses.
fn arrows(modules: &BTreeMap<Names, String>) -> BTreeMap<String, BTreeSet<String>> {
    let passed_on = passed_on(modules);
    let mut arrows = BTreeMap::new();
    for (module, text) in modules {
        let named = starts(text, &["crate::", "super::", "self::"]).flat_map(|at| tree(&text[at..]).0);
        let used = named.filter_map(|(path, _)| absolute(module, &path, modules));
        let used = used.map(|path| home(&path, modules, &passed_on, 0)).filter(|to| !to.starts_with(module));
        arrows.insert(module.join("::"), used.map(|to| to.join("::")).collect());
    }
    arrows
}

/// Where names come from that a module has from elsewhere, and can pass on.
fn passed_on(modules: &BTreeMap<Names, String>) -> BTreeMap<(Names, String), Names> {
    let mut passed_on = BTreeMap::new();
    for (module, text) in modules {
        for (path, alias) in starts(text, &["use "]).flat_map(|at| tree(&text[at + "use ".len()..]).0) {
            let name = alias.or_else(|| path.last().cloned()).filter(|name| name != "self");
            if let (Some(name), Some(from)) = (name, absolute(module, &path, modules)) {
                passed_on.insert((module.clone(), name), from);
            }
        }
    }
    passed_on
}

/// The module in which a path ends.
fn home(
    path: &[String],
    modules: &BTreeMap<Names, String>,
    passed_on: &BTreeMap<(Names, String), Names>,
    depth: u32,
) -> Names {
    let length = (0..=path.len()).rev().find(|length| modules.contains_key(&path[..*length])).unwrap_or(0);
    let (module, rest) = path.split_at(length);
    let from = rest.first().and_then(|name| passed_on.get(&(module.to_vec(), name.clone())));
    match from {
        Some(from) if depth < 20 && *from != path[..=length] => {
            home(&[from, &rest[1..]].concat(), modules, passed_on, depth + 1)
        }
        _ => module.to_vec(),
    }
}

/// A path as it is named in a module, from the root of the crate; none if it begins with another crate.
fn absolute(module: &[String], path: &[String], modules: &BTreeMap<Names, String>) -> Option<Names> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([module, rest].concat()),
        "super" => match rest.first().is_some_and(|next| next == "super") {
            true => absolute(&module[..module.len().saturating_sub(1)], rest, modules),
            false => Some([&module[..module.len().saturating_sub(1)], rest].concat()),
        },
        _ => {
            let path = [module, path].concat();
            modules.contains_key(&path[..=module.len()]).then_some(path)
        }
    }
}

/// Where one of the words begins, as a word of its own.
fn starts<'a>(text: &'a str, words: &'a [&'a str]) -> impl Iterator<Item = usize> + 'a {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let of_word = |word: &&'a str| text.match_indices(*word).map(|(at, _)| at);
    words.iter().flat_map(of_word).filter(move |at| !text[..*at].ends_with(is_part))
}

/// The paths at the beginning of a text, each with its `as`: `a::{b, c::d as e}` are `a::b` and `a::c::d`. And the rest of the text.
fn tree(text: &str) -> (Vec<(Names, Option<String>)>, &str) {
    let (mut path, mut text) = (Names::new(), text);
    loop {
        text = text.trim_start();
        if let Some(inner) = text.strip_prefix('{') {
            let (mut paths, mut inner) = (Vec::new(), inner);
            loop {
                inner = inner.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
                let (found, rest) = tree(inner);
                if rest.len() == inner.len() {
                    return (paths, inner.strip_prefix('}').unwrap_or(inner));
                }
                paths.extend(found.into_iter().map(|(end, alias)| ([&path[..], &end].concat(), alias)));
                inner = rest;
            }
        }
        let length = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        if length == 0 {
            let rest = text.strip_prefix('*').unwrap_or(text);
            return (Vec::from_iter((!path.is_empty()).then_some((path, None))), rest);
        }
        path.push(text[..length].to_owned());
        text = &text[length..];
        let Some(rest) = text.strip_prefix("::") else {
            let alias = text.trim_start().strip_prefix("as ").map(str::trim_start);
            let length = |alias: &str| alias.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(alias.len());
            return match alias {
                Some(alias) => (vec![(path, Some(alias[..length(alias)].to_owned()))], &alias[length(alias)..]),
                None => (vec![(path, None)], text),
            };
        };
        text = rest;
    }
}

/// Sets of modules each of which leads to every other.
fn circles(arrows: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, _> = arrows.keys().map(|module| (module, reached(module, arrows))).collect();
    let mut circles = BTreeSet::new();
    for (module, to) in &reached {
        let circle = to.iter().filter(|other| reached[*other].contains(module));
        circles.insert(circle.map(|module| (*module).clone()).collect::<Vec<_>>());
    }
    circles.into_iter().filter(|circle| !circle.is_empty()).collect()
}

/// All modules that one leads to, over others too.
fn reached<'a>(from: &'a String, arrows: &'a BTreeMap<String, BTreeSet<String>>) -> BTreeSet<&'a String> {
    let (mut reached, mut pending) = (BTreeSet::new(), vec![from]);
    while let Some(module) = pending.pop() {
        let next = arrows.get(module).into_iter().flatten();
        pending.extend(next.filter(|to| reached.insert(*to)));
    }
    reached
}
