//! A task's interface as flags, and the command line behind its name as inputs.

use std::ffi::OsString;

use clap::builder::{PossibleValuesParser, TypedValueParser as _, ValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value as Json};

use super::interface::{Parameter, Task};
use super::value::{self, Kind};

const HEADING: &str = "Inputs";

/// The prefix of a parameter's id: those of the run's own options have none.
const ID: &str = "input ";

/// What stands behind the name of a task.
pub(super) struct Read {
    /// The inputs that were given.
    pub(super) inputs: Map<String, Json>,
    /// Options of the run that stand among them, as they would be written in front.
    pub(super) options: Vec<OsString>,
}

/// Reads what stands behind a task's name: its inputs, and options of the run whose names no input has.
///
/// # Errors
/// Clap's, which names the flag and what was expected; also for `--help`.
pub(super) fn read(called: &str, task: &Task, options: &[Arg], tail: &[OsString]) -> Result<Read, clap::Error> {
    let matches = command(called, task, options).try_get_matches_from(tail)?;
    let mut inputs = Map::new();
    for parameter in &task.parameters {
        let given = matches.get_one::<Json>(&id(parameter)).cloned();
        let denied = is_negatable(parameter) && matches.get_flag(&negated_id(parameter));
        if let Some(value) = denied.then_some(Json::Bool(false)).or(given) {
            inputs.insert(parameter.name.clone(), value);
        }
    }
    let among = options.iter().flat_map(|option| written(option, task, &matches)).collect();
    Ok(Read { inputs, options: among })
}

fn id(parameter: &Parameter) -> String {
    format!("{ID}{}", parameter.name)
}

fn negated_id(parameter: &Parameter) -> String {
    format!("{ID}no {}", parameter.name)
}

fn is_negatable(parameter: &Parameter) -> bool {
    value::kind(&parameter.schema) == Kind::Boolean
}

/// The flags of a task as a command of its own, for its errors and its help.
fn command(called: &str, task: &Task, options: &[Arg]) -> Command {
    let mut command = Command::new(called.to_owned())
        .bin_name(called.to_owned())
        .no_binary_name(true)
        .about(task.docs.lines().next().unwrap_or_default().to_owned())
        .long_about(task.docs.clone())
        .disable_help_flag(is_taken(task, "help"));
    for parameter in &task.parameters {
        command = command.arg(flag(parameter));
        if is_negatable(parameter) {
            command = command.arg(negated(parameter, task));
        }
    }
    let free = options.iter().filter(|option| !option.get_long().is_none_or(|long| is_taken(task, long)));
    command.args(free.map(plain))
}

/// An option of the run among the inputs of a task: how it goes together with others is looked at later, as are defaults and the
/// environment.
fn plain(option: &Arg) -> Arg {
    let arg = Arg::new(option.get_id().clone())
        .long(option.get_long().unwrap_or_default().to_owned())
        .short(option.get_short())
        .action(option.get_action().clone())
        .help(option.get_help().cloned().unwrap_or_default())
        .help_heading("Options of the run");
    match option.get_value_names() {
        Some(names) if option.get_action().takes_values() => {
            arg.value_names(names.iter().cloned()).value_parser(option.get_value_parser().clone())
        }
        _ => arg,
    }
}

/// True if an input has this flag.
fn is_taken(task: &Task, long: &str) -> bool {
    let is_its = |parameter: &Parameter| parameter.name == long || parameter.name.replace('_', "-") == long;
    task.parameters.iter().any(is_its)
}

fn flag(parameter: &Parameter) -> Arg {
    let kind = value::kind(&parameter.schema);
    let dashed = parameter.name.replace('_', "-");
    let mut arg = Arg::new(id(parameter))
        .long(parameter.name.clone())
        .value_name(value_name(kind))
        .help_heading(HEADING)
        .help(help(parameter, kind))
        .value_parser(parser(parameter, kind))
        .required(parameter.default.is_none());
    if dashed != parameter.name {
        arg = arg.alias(dashed);
    }
    match kind {
        Kind::Integer | Kind::Float | Kind::Duration => arg.allow_hyphen_values(true),
        Kind::Boolean => {
            let arg = if parameter.default.is_none() {
                arg.required(false).required_unless_present(negated_id(parameter))
            } else {
                arg
            };
            arg.num_args(0..=1).default_missing_value("true")
        }
        _ => arg,
    }
}

/// `--no-x` of a boolean `x`; without a name of its own if another input has that.
fn negated(parameter: &Parameter, task: &Task) -> Arg {
    let arg = Arg::new(negated_id(parameter)).action(ArgAction::SetTrue).help_heading(HEADING);
    let arg = arg.hide(true).conflicts_with(id(parameter));
    let (long, dashed) = (format!("no-{}", parameter.name), format!("no-{}", parameter.name.replace('_', "-")));
    if is_taken(task, &long) || is_taken(task, &dashed) {
        return arg.long(format!("not {}", parameter.name));
    }
    if dashed == long { arg.long(long) } else { arg.long(long).alias(dashed) }
}

fn value_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer => "INTEGER",
        Kind::Float => "FLOAT",
        Kind::Boolean => "true|false",
        Kind::Text => "TEXT",
        Kind::Time => "TIME",
        Kind::Duration => "DURATION",
        Kind::Bytes => "BASE64|@FILE",
        Kind::Names => "NAME",
        Kind::Json => "JSON|@FILE",
    }
}

fn help(parameter: &Parameter, kind: Kind) -> String {
    let mut notes = Vec::new();
    if !matches!(kind, Kind::Names) || parameter.schema.get("anyOf").is_some() {
        notes.push(value::words(&parameter.schema));
    }
    match &parameter.default {
        Some(Json::Null) => notes.push("default: none".to_owned()),
        Some(Json::String(text)) => notes.push(format!("default: {text}")),
        Some(value) => notes.push(format!("default: {value}")),
        None => notes.push("required".to_owned()),
    }
    let docs = parameter.docs.trim();
    let notes = format!("[{}]", notes.join("; "));
    if docs.is_empty() { notes } else { format!("{docs} {notes}") }
}

fn parser(parameter: &Parameter, kind: Kind) -> ValueParser {
    let schema = parameter.schema.clone();
    if kind == Kind::Names {
        let names: Vec<String> = value::names(&schema).into_iter().map(str::to_owned).collect();
        return PossibleValuesParser::new(names).map(Json::String).into();
    }
    ValueParser::from(move |text: &str| value::read(&schema, text))
}

/// An option that was given among the inputs, as it would be written in front of the program.
fn written(option: &Arg, task: &Task, matches: &ArgMatches) -> Vec<OsString> {
    let id = option.get_id().as_str();
    let Some(long) = option.get_long().filter(|long| !is_taken(task, long)) else { return Vec::new() };
    if matches.value_source(id) != Some(ValueSource::CommandLine) {
        return Vec::new();
    }
    if !option.get_action().takes_values() {
        return vec![format!("--{long}").into()];
    }
    let with_value = |value: &std::ffi::OsStr| {
        let mut flag = OsString::from(format!("--{long}="));
        flag.push(value);
        flag
    };
    matches.get_raw(id).into_iter().flatten().map(with_value).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(parameters: Json) -> Task {
        let mut parameters: Vec<Parameter> = serde_json::from_value(parameters).unwrap();
        for parameter in &mut parameters {
            parameter.default = parameter.schema.get("default").cloned();
        }
        Task { name: "env.fn".to_owned(), docs: "Does it.\n\nAt length.".to_owned(), parameters }
    }

    fn order() -> Task {
        task(json!([
            {"name": "order_id", "docs": "Which one.", "schema": {"type": "integer"}},
            {"name": "is_gift", "schema": {"type": "boolean"}},
            {"name": "name", "schema": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": null}},
            {"name": "priority", "schema": {"enum": ["Low", "High"], "default": "Low"}},
        ]))
    }

    fn options() -> Vec<Arg> {
        vec![
            Arg::new("name").long("name"),
            Arg::new("detach").long("detach").action(ArgAction::SetTrue),
            Arg::new("label").long("label").action(ArgAction::Append),
            Arg::new("endpoint").long("endpoint").default_value("localhost:8585"),
        ]
    }

    fn read(task: &Task, tail: &[&str]) -> Result<Read, clap::Error> {
        let tail: Vec<OsString> = tail.iter().map(OsString::from).collect();
        super::read("spanwise run app env.fn", task, &options(), &tail)
    }

    #[test]
    fn inputs_and_options_of_the_run_are_told_apart() {
        let found = read(
            &order(),
            &["--order-id", "-7", "--is_gift", "--name", "größe", "--detach", "--label", "a=b", "--label=c"],
        )
        .unwrap();
        assert_eq!(Json::from(found.inputs), json!({"order_id": -7, "is_gift": true, "name": "größe"}));
        assert_eq!(found.options, ["--detach", "--label=a=b", "--label=c"]);
        let found = read(&order(), &["--order_id=1", "--no-is-gift", "--priority", "High"]).unwrap();
        assert_eq!(Json::from(found.inputs), json!({"order_id": 1, "is_gift": false, "priority": "High"}));
        assert_eq!(found.options, Vec::<OsString>::new());
    }

    #[test]
    fn what_is_wrong_is_said_with_the_name_of_the_input() {
        let refused = |tail: &[&str]| read(&order(), tail).err().unwrap().to_string();
        let missing = refused(&["--is-gift=false"]);
        assert!(missing.contains("--order_id <INTEGER>") && !missing.contains("--name <"), "{missing}");
        let wrong = refused(&["--order-id", "x", "--is-gift"]);
        assert!(wrong.contains("--order_id <INTEGER>") && wrong.contains("expected an integer"), "{wrong}");
        assert!(refused(&["--order-ix", "1"]).contains("--order_id"));
        assert!(refused(&["--order-id", "1", "--is-gift", "--priority", "Mid"]).contains("Low, High"));
        assert!(refused(&["--order-id", "1", "--is-gift", "more"]).contains("expected true or false"));
        assert!(refused(&["--order-id", "1"]).contains("--is_gift"));
    }

    #[test]
    fn help_shows_types_defaults_and_documentation() {
        let help = read(&order(), &["--help"]).err().unwrap().to_string();
        for part in [
            "At length.",
            "--order_id <INTEGER>",
            "Which one. [integer; required]",
            "[text or null; default: none]",
            "[default: Low]",
            "[possible values: Low, High]",
            "Usage: spanwise run app env.fn",
            "--detach",
        ] {
            assert!(help.contains(part), "{part}: {help}");
        }
    }

    #[test]
    fn names_that_clash_are_those_of_the_inputs() {
        let task = task(json!([
            {"name": "help", "schema": {"type": "boolean"}},
            {"name": "no_help", "schema": {"type": "boolean", "default": false}},
            {"name": "detach", "schema": {"type": "string"}},
        ]));
        let found = read(&task, &["--help", "--detach", "x", "--no-help=false"]).unwrap();
        assert_eq!(Json::from(found.inputs), json!({"help": true, "detach": "x", "no_help": false}));
        assert!(found.options.is_empty());
    }
}
