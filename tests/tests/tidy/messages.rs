//! Who sees Flyte's messages: whoever converts them or speaks the protocol, and nobody else.

use crate::{assert_none, rust_files};

/// What names messages by right, with the reason.
const MAY: [(&str, &str); 5] = [
    ("crates/proto/", "it is made of them"),
    ("crates/wire/", "it converts them"),
    ("crates/server/src/api", "a file a service: it takes requests and gives answers"),
    ("crates/sdk/src/", "the values of tasks are literals, and its `remote` is a client of the protocol"),
    ("crates/cli/src/", "its commands are clients of the protocol"),
];

/// True if the code of a file, without its tests, names a message.
fn names_messages(text: &str) -> bool {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.any(|line| line.contains("spanwise_proto::flyteidl2") || line.contains("spanwise_proto::google"))
}

#[test]
fn messages_are_seen_where_they_are_converted() {
    let by_right = |name: &str| MAY.iter().any(|(place, _)| name.starts_with(place));
    let seen = code().filter(|(name, text)| !by_right(name) && names_messages(text));
    assert_none(
        &seen.map(|(name, _)| format!("{name} names Flyte's messages: convert them in wire")).collect::<Vec<_>>(),
    );
}

/// The words before a mark.
fn words_before<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(mark).map(|(at, _)| words(&text[..at]).last().unwrap_or_default())
}

/// The messages that the code of a file puts together, by the names that it gives them. One is made of its default: each has room for fields that
/// nobody knows.
fn made(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let imported = statements(code, "use ", &[';']).filter(|import| names_messages(import));
    let names = imported.flat_map(|import| words(&import).map(str::to_owned).collect::<Vec<_>>());
    let is_made = |name: &String| {
        name.starts_with(char::is_uppercase) && words_before(code, "::default()").any(|made| made == name)
    };
    names.filter(is_made).collect()
}

#[test]
fn messages_are_made_in_wire_and_answers_by_their_services() {
    let maker = |name: &str| name.starts_with("crates/proto/") || name.starts_with("crates/wire/");
    let made = code().filter(|(name, _)| !maker(name)).flat_map(|(name, text)| {
        let answers = name.starts_with("crates/server/src/api");
        let made = made(&text).into_iter().filter(move |message| !answers || message.ends_with("Request"));
        made.map(move |message| format!("{name} makes a `{message}`: wire does that")).collect::<Vec<_>>()
    });
    assert_none(&made.collect::<Vec<_>>());
}

#[test]
fn a_message_that_is_made_is_seen_under_whatever_name() {
    let imports = "use spanwise_proto::flyteidl2::common::{Filter, ListRequest as Page};\nuse crate::Other;\n";
    for (code, expected) in [
        ("Page { limit, ..Page::default() }", &["Page"][..]),
        ("Filter::default()", &["Filter"]),
        ("let Filter { field, .. } = filter;", &[]),
        ("Other::default()", &[]),
        ("#[cfg(test)]\nmod tests {\n Filter::default() }", &[]),
    ] {
        assert_eq!(made(&format!("{imports}{code}")), expected, "{code}");
    }
}

/// The files of the crates without those of tests.
fn code() -> impl Iterator<Item = (String, String)> {
    rust_files().filter_map(|(file, text)| {
        let (name, parts) = (file.to_string_lossy().into_owned(), file.components().collect::<Vec<_>>());
        let has = |part: &str| parts.iter().any(|other| other.as_os_str() == part);
        let is_of_tests = has("tests") || name.ends_with("tests.rs") || name.ends_with("fuzzing.rs");
        let is_code = name.starts_with("crates/") && has("src") && !is_of_tests;
        is_code.then_some((name, text))
    })
}

/// What is reached through the control plane alone: the journal, the blobs, processes and what belongs to them.
const BEHIND_CONTROL: [&str; 11] = [
    "Engine",
    "Blobs",
    "ProcessExecutor",
    "Definitions",
    "Environments",
    "DataDir",
    "Secrets",
    "Readiness",
    "SignsOfLife",
    "Runner",
    "Logs",
];

/// Those who ask the control plane, and what of the server they may not import, besides [`BEHIND_CONTROL`].
const ASKING: [&str; 4] =
    ["crates/server/src/api.rs", "crates/server/src/api/", "crates/server/src/pages.rs", "crates/server/src/pages/"];
const ROOMS: [&str; 2] = ["crate::attempt", "spanwise_process::environments"];

/// Where tests look into the control plane. It is no part of a server.
const INSIDE: &str = "crates/server/src/control/inside.rs";

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !(character.is_alphanumeric() || character == '_'))
}

/// The statements of a file that begin with a word, each to its end, in one line.
fn statements<'a>(text: &'a str, begin: &'a str, end: &'a [char]) -> impl Iterator<Item = String> + 'a {
    let begins = text.match_indices(begin).filter(|(at, _)| text[..*at].ends_with(['\n', ' ']) || *at == 0);
    begins.map(move |(at, _)| text[at..].split(end).next().unwrap_or_default().replace('\n', " "))
}

/// The functions of a file whose answer is something that only the control plane reaches.
fn gives_away(text: &str) -> Vec<String> {
    let answers = |function: &String| {
        let answer = function.rsplit_once("-> ").map_or("", |(_, answer)| answer);
        words(answer).any(|word| BEHIND_CONTROL.contains(&word))
    };
    statements(text, "pub(crate) fn", &['{', ';']).filter(answers).collect()
}

/// What a file imports past the control plane.
fn reaches_past(text: &str) -> Vec<String> {
    let is_past = |import: &String| {
        let of_crate = import.contains("crate::") || import.contains("spanwise_");
        // What it is called here does not count.
        let names =
            words(import).zip(words(import).skip(1)).filter(|(before, _)| *before != "as").map(|(_, name)| name);
        let forbidden = names.into_iter().any(|word| BEHIND_CONTROL.contains(&word));
        of_crate && forbidden || ROOMS.iter().any(|room| import.contains(room))
    };
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    statements(code, "use ", &[';']).filter(is_past).collect()
}

#[test]
fn control_is_the_only_door() {
    let mut problems = Vec::new();
    for (name, text) in code() {
        if name.starts_with("crates/server/src/control") && name != INSIDE {
            let given = gives_away(&text);
            problems.extend(given.iter().map(|function| format!("{name} `{function}`: say what is wanted instead")));
        }
        if ASKING.iter().any(|place| name.starts_with(place)) {
            let reached = reaches_past(&text);
            problems.extend(reached.iter().map(|import| format!("{name} `{import}`: ask the control plane")));
        }
    }
    let inside_is_for_tests = code()
        .any(|(name, text)| name.ends_with("server/src/control.rs") && text.contains("#[cfg(test)]\nmod inside;"));
    assert!(inside_is_for_tests, "{INSIDE} is part of the server");
    assert_none(&problems);
}

/// Where the commands of a run are: what changes it.
const COMMANDS: &str = "crates/engine/src/run/commands.rs";

/// What else changes a run, or gives away what could.
const MORE_COMMANDS: [&str; 4] = ["drive", "reuse", "wait_outside", "engine"];

/// The functions that a file makes public.
fn public_functions(text: &str) -> impl Iterator<Item = &str> {
    let functions = text.lines().filter_map(|line| line.trim_start().strip_prefix("pub "));
    let names = functions.filter_map(|line| line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn "));
    names.map(|line| words(line).next().unwrap_or_default())
}

/// The commands that the code of a file gives to something else than the control plane.
fn commands_given<'a>(text: &str, commands: &[&'a str]) -> Vec<&'a str> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let is_given = |command: &&&str| {
        let call = format!(".{command}(");
        let mut calls = code.match_indices(&call).map(|(at, _)| code[..at].trim_end());
        calls.any(|receiver| words(receiver).last() != Some("control"))
    };
    commands.iter().filter(is_given).copied().collect()
}

#[test]
fn services_and_pages_change_runs_through_control_alone() {
    let text = std::fs::read_to_string(spanwise_e2e::cargo::root().join(COMMANDS)).unwrap();
    let commands: Vec<&str> = public_functions(&text).chain(MORE_COMMANDS).collect();
    assert!(["enqueue", "signal", "abort", "record_step"].iter().all(|name| commands.contains(name)), "{commands:?}");
    let asking = code().filter(|(name, _)| ASKING.iter().any(|room| name.starts_with(room)));
    let given = asking.flat_map(|(name, text)| {
        let commands = commands_given(&text, &commands).into_iter();
        commands.map(|command| format!("{name} `{command}`: ask the control plane")).collect::<Vec<_>>()
    });
    assert_none(&given.collect::<Vec<_>>());
}

#[test]
fn a_command_is_seen_unless_control_is_asked_for_it() {
    for (text, is_seen) in [
        ("run.abort(action, by, reason).await?;", true),
        ("found\n    .run\n    .abort(action)", true),
        ("self.api\n    .control\n    .abort(&run)", false),
        ("control.abort(&run)", false),
        ("self.uncontrol.abort(&run)", true),
        ("run.aborted()", false),
    ] {
        assert_eq!(!commands_given(text, &["abort"]).is_empty(), is_seen, "{text}");
    }
}

#[test]
fn a_way_past_the_door_is_seen_however_it_is_written() {
    for (text, is_seen) in [
        ("    pub(crate) fn engine(&self) -> &Engine {", true),
        ("    pub(crate) fn parts(\n        &self,\n    ) -> Result<(Arc<Blobs>, u8), Error> {", true),
        ("    pub(crate) fn run(&self, id: &RunId) -> Result<RunHandle, Error> {", false),
        ("    pub(crate) fn new(engine: Engine) -> ControlPlane {", false),
    ] {
        assert_eq!(!gives_away(text).is_empty(), is_seen, "{text}");
    }
    for (text, is_seen) in [
        ("use spanwise_engine::{\n    Engine,\n    RunHandle,\n};", true),
        ("use spanwise_process::environments::ImageKey;", true),
        ("use base64::Engine as _;", false),
        ("use spanwise_engine::Engine as Runs;", true),
        ("use spanwise_engine::Error as Engine;", false),
        ("use spanwise_engine::{RunHandle, RunQuery};", false),
    ] {
        assert_eq!(!reaches_past(text).is_empty(), is_seen, "{text}");
    }
}
