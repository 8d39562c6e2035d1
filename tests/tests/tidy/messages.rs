//! Who sees Flyte's messages: whoever converts them or speaks the protocol, and nobody else.

use crate::{assert_none, rust_files};

/// What names messages by right, with the reason.
const MAY: [(&str, &str); 6] = [
    ("crates/proto/", "it is made of them"),
    ("crates/wire/", "it converts them"),
    ("crates/server/src/api", "a file a service: it takes requests and gives answers"),
    ("crates/server/src/fuzzing.rs", "it feeds their decoders"),
    ("crates/sdk/src/", "the values of tasks are literals, and its `remote` is a client of the protocol"),
    ("crates/cli/src/", "its commands are clients of the protocol"),
];

/// What names them still. A file that no longer does is taken off; none is added.
const STILL: [(&str, &str); 5] = [
    ("crates/server/src/control/builder.rs", "it makes the definition of the server's own task"),
    ("crates/server/src/control/create.rs", "definitions, inputs and options pass through as they were sent"),
    ("crates/server/src/control/deploy.rs", "definitions pass through as they were sent"),
    ("crates/server/src/control/enqueue.rs", "the actions that are asked for come as they were sent"),
    ("crates/server/src/control/signal.rs", "the value of a signal is a literal"),
];

/// True if the code of a file, without its tests, names a message.
fn names_messages(text: &str) -> bool {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.any(|line| line.contains("spanwise_proto::flyteidl2") || line.contains("spanwise_proto::google"))
}

#[test]
fn messages_are_seen_where_they_are_converted() {
    let mut problems = Vec::new();
    for (file, text) in rust_files() {
        let (name, parts) = (file.to_string_lossy(), file.components().collect::<Vec<_>>());
        let has = |part: &str| parts.iter().any(|other| other.as_os_str() == part);
        let is_code = name.starts_with("crates/") && has("src") && !has("tests") && !name.ends_with("tests.rs");
        if !is_code || MAY.iter().any(|(place, _)| name.starts_with(place)) {
            continue;
        }
        match (names_messages(&text), STILL.iter().any(|(known, _)| name == *known)) {
            (true, false) => problems.push(format!("{name} names Flyte's messages: convert them in wire or in api")),
            (false, true) => problems.push(format!("{name} names no message any more: take it off the list")),
            _ => {}
        }
    }
    let is_there = |known: &str| rust_files().any(|(file, _)| file.to_string_lossy() == known);
    problems.extend(STILL.iter().filter(|(known, _)| !is_there(known)).map(|(known, _)| format!("{known} is gone")));
    assert_none(&problems);
}
