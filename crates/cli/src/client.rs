//! Commands that ask a server: `list`, `get`, `logs`, `trace`, `explain`, `abort`, `signal`, `tasks`, `triggers`, `backfill`, `apps`,
//! `doctor`.

use std::fmt::Display;

use anyhow::{Context as _, anyhow, bail};
use connectrpc::client::{ClientConfig, HttpClient};
use serde_json::Value as Json;
use spanwise::{FlyteConfig, Phase};
use spanwise_proto::EnumValue;
use spanwise_proto::flyteidl2::actions::ActionsServiceClient;
use spanwise_proto::flyteidl2::app::{AppLogsServiceClient, AppServiceClient};
use spanwise_proto::flyteidl2::common::ActionPhase;
use spanwise_proto::flyteidl2::dataproxy::DataProxyServiceClient;
use spanwise_proto::flyteidl2::task::{NamedLiteral, TaskServiceClient};
use spanwise_proto::flyteidl2::trigger::TriggerServiceClient;
use spanwise_proto::flyteidl2::workflow::RunServiceClient;
use spanwise_wire::{ActionName, DEFAULT_DOMAIN, DEFAULT_PROJECT, RunId, RunName, Scope, action_name, requests};

pub(crate) mod abort;
mod actions;
pub(crate) mod apps;
pub(crate) mod backfill;
pub(crate) mod doctor;
pub(crate) mod explained;
mod file;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod logs;
mod notifications;
mod question;
pub(crate) mod signal;
mod table;
pub(crate) mod tasks;
mod times;
pub(crate) mod trace;
pub(crate) mod triggers;

pub(crate) use actions::actions;
pub(crate) use get::page;
pub(crate) use table::{table, text};

use crate::misuse::Misuse;
use crate::terminal::{harmless, harmless_json};

/// Which server, and where on it.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct TargetOptions {
    /// The server, as `host:port` or as a URL [default: that of Flyte's config.yaml, else localhost:8585].
    #[arg(long, global = true, env = "SPANWISE_ENDPOINT")]
    pub(crate) endpoint: Option<String>,
    /// The project [default: that of Flyte's config.yaml, else flytesnacks].
    #[arg(long, short, global = true, env = "SPANWISE_PROJECT")]
    pub(crate) project: Option<String>,
    /// The domain [default: that of Flyte's config.yaml, else development].
    #[arg(long, short, global = true, env = "SPANWISE_DOMAIN")]
    pub(crate) domain: Option<String>,
}

/// Flyte's configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}; --endpoint names another server")]
pub(crate) struct BadTarget(spanwise::Error);

/// A server, and the scope on it that is meant, with nothing left open.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) endpoint: String,
    pub(crate) org: String,
    pub(crate) project: String,
    pub(crate) domain: String,
}

impl TargetOptions {
    /// The server and the scope that are meant: what is given here or by the environment, else what the configuration file says that
    /// Flyte's own command line would read.
    ///
    /// # Errors
    /// [`BadTarget`] if that file is needed and cannot be used.
    pub(crate) fn resolve(&self) -> anyhow::Result<Target> {
        let given = |given: &Option<String>| given.clone().filter(|given| !given.is_empty());
        let (endpoint, project, domain) = (given(&self.endpoint), given(&self.project), given(&self.domain));
        let org = std::env::var("SPANWISE_ORG").ok().filter(|org| !org.is_empty());
        let file = match FlyteConfig::find().map(FlyteConfig::read) {
            Some(Err(error)) if endpoint.is_none() => return Err(BadTarget(error).into()),
            // Some other program's `config.yaml` stands in the way of nobody who says where to go.
            Some(Err(_)) | None => None,
            Some(Ok(file)) => Some(file),
        };
        let or = |given: Option<String>, of_file: fn(&FlyteConfig) -> Option<&str>, default: &str| {
            let of_file = || file.as_ref().and_then(of_file).map(str::to_owned);
            given.or_else(of_file).unwrap_or_else(|| default.to_owned())
        };
        let endpoint = match (endpoint, &file) {
            (None, Some(file)) => file.endpoint().map_err(BadTarget)?.map(str::to_owned),
            (given, _) => given,
        };
        Ok(Target {
            endpoint: endpoint.unwrap_or_else(|| "localhost:8585".to_owned()),
            org: or(org, FlyteConfig::org, ""),
            project: or(project, FlyteConfig::project, DEFAULT_PROJECT),
            domain: or(domain, FlyteConfig::domain, DEFAULT_DOMAIN),
        })
    }
}

/// How an answer is printed.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs: one JSON document.
    Json,
}

/// The largest answer that is taken: an output, or a page of actions with their errors.
const MAX_MESSAGE: usize = 32 << 20;

/// The clients of a server.
pub(crate) struct Server {
    config: ClientConfig,
    transport: HttpClient,
}

impl Target {
    /// The address as a URL: `localhost:8585`, `dns:///localhost:8585` and `http://localhost:8585` are one.
    pub(crate) fn url(&self) -> String {
        let endpoint = self.endpoint.trim_start_matches("dns:///").trim_end_matches('/');
        if endpoint.contains("://") { endpoint.to_owned() } else { format!("http://{endpoint}") }
    }

    pub(crate) fn server(&self) -> anyhow::Result<Server> {
        let url = self.url();
        if url.starts_with("https://") {
            bail!("endpoint `{url}`: this version speaks plain HTTP to servers on this machine only");
        }
        let uri = url.parse().with_context(|| format!("endpoint `{url}`"))?;
        let config = ClientConfig::new(uri).with_default_max_message_size(MAX_MESSAGE);
        let config = config.with_default_element_memory_limit(spanwise_proto::VALUES_IN_MEMORY);
        Ok(Server { config, transport: HttpClient::plaintext() })
    }

    /// What is said if nobody answers there.
    pub(crate) fn unreachable(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> anyhow::Error {
        Unreachable { url: self.url(), source: source.into() }.into()
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope { org: self.org.clone(), project: self.project.clone(), domain: self.domain.clone() }
    }

    /// A run by the name that was given.
    pub(crate) fn run(&self, name: &str) -> Result<RunId, Misuse> {
        Ok(self.scope().run(RunName::new(name).map_err(|error| Misuse(error.to_string()))?))
    }
}

impl Server {
    pub(crate) fn runs(&self) -> RunServiceClient<HttpClient> {
        RunServiceClient::new(self.transport.clone(), self.config.clone())
    }

    pub(crate) fn data(&self) -> DataProxyServiceClient<HttpClient> {
        DataProxyServiceClient::new(self.transport.clone(), self.config.clone())
    }

    pub(crate) fn actions(&self) -> ActionsServiceClient<HttpClient> {
        ActionsServiceClient::new(self.transport.clone(), self.config.clone())
    }

    pub(crate) fn triggers(&self) -> TriggerServiceClient<HttpClient> {
        TriggerServiceClient::new(self.transport.clone(), self.config.clone())
    }

    pub(crate) fn apps(&self) -> AppServiceClient<HttpClient> {
        AppServiceClient::new(self.transport.clone(), self.config.clone())
    }

    pub(crate) fn app_logs(&self) -> AppLogsServiceClient<HttpClient> {
        AppLogsServiceClient::new(self.transport.clone(), self.config.clone())
    }

    pub(crate) fn tasks(&self) -> TaskServiceClient<HttpClient> {
        TaskServiceClient::new(self.transport.clone(), self.config.clone())
    }
}

/// A server that cannot be reached; it has an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("no server answers at {url}: start one with `spanwise dev`, or name another with --endpoint")]
pub(crate) struct Unreachable {
    url: String,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// There was nothing to do any more; it has an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Ended(pub(crate) String);

/// An action by the name that was given.
pub(crate) fn action(name: &str) -> Result<ActionName, Misuse> {
    action_name(name).map_err(|error| Misuse(error.to_string()))
}

/// What a run delivers: null for nothing, its only output, or an object of several.
pub(crate) async fn output(server: &Server, target: &Target, run: &RunId) -> anyhow::Result<Json> {
    let request = requests::action_data(run, &ActionName::ROOT);
    let data = server.data().get_action_data(request).await.map_err(|error| explain(target, error))?;
    let outputs = data.into_owned().outputs.into_option().unwrap_or_default().literals;
    let json = |literal: &NamedLiteral| literal.value.to_json();
    Ok(match &outputs[..] {
        [] => Json::Null,
        [only] => json(only),
        several => several.iter().map(|output| (output.name.clone(), json(output))).collect(),
    })
}

/// What a failed request means for the user.
pub(crate) fn explain(target: &Target, error: connectrpc::ConnectError) -> anyhow::Error {
    let is_said = error.message.as_deref().is_some_and(is_said_by_a_server);
    if error.code == connectrpc::ErrorCode::Unavailable && !is_said {
        return target.unreachable(error);
    }
    let code = error.code;
    let message = error.message.clone().unwrap_or_default();
    anyhow!("{message} ({})", code.as_str())
}

/// True for the words of a server that cannot write now: it is there, and says what is in its way.
fn is_said_by_a_server(message: &str) -> bool {
    ["the journal failed", "nothing new is accepted", "is full", "is gone"].iter().any(|words| message.contains(words))
}

/// A name of an enum of Flyte's without its prefix, for instance `SUCCEEDED`.
fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}

/// A phase as a server tells it; none if this program does not know it.
pub(crate) fn known_phase(phase: EnumValue<ActionPhase>) -> Option<Phase> {
    Phase::from_number(phase.to_i32())
}

/// What a phase says about the end of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    WithOutputs,
    WithoutOutputs,
    /// Not yet, as far as this program knows.
    Open,
}

/// Every phase is named here, so that a new one is not forgotten.
pub(crate) fn ending(phase: EnumValue<ActionPhase>) -> Ending {
    match known_phase(phase) {
        Some(Phase::Succeeded | Phase::Recovered) => Ending::WithOutputs,
        Some(Phase::Failed | Phase::TimedOut | Phase::Aborted) => Ending::WithoutOutputs,
        None
        | Some(Phase::Queued | Phase::WaitingForResources | Phase::Initializing | Phase::Running | Phase::Paused) => {
            Ending::Open
        }
    }
}

/// The word for a phase; for one that this program does not know, its number.
pub(crate) fn phase(phase: EnumValue<ActionPhase>) -> String {
    match phase.as_known() {
        Some(phase_sent) => short(&format!("{phase_sent:?}"), "ACTION_PHASE_"),
        None => phase.to_i32().to_string(),
    }
}

/// Milliseconds as people say them.
fn duration(milliseconds: Option<u64>) -> String {
    match milliseconds {
        None => String::new(),
        Some(short) if short < 10_000 => format!("{:.2}s", short as f64 / 1000.0),
        Some(long) => {
            let seconds = long / 1000;
            match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
                (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
                (hours, minutes, _) => format!("{hours}h {minutes:02}m"),
            }
        }
    }
}

/// A time in UTC, to the second.
fn time(at: &spanwise_proto::google::protobuf::Timestamp) -> String {
    spanwise_proto::json::rfc3339(at.seconds.max(0), 0)
}

pub(crate) fn print_json(value: &serde_json::Value) -> anyhow::Result<()> {
    as_it_is(harmless_json(&serde_json::to_string_pretty(value)?))
}

/// Prints a line, fit for a terminal whoever wrote it.
pub(crate) fn say(line: impl Display) -> anyhow::Result<()> {
    as_it_is(harmless(&line.to_string()))
}

/// Prints a line that is fit for a terminal, or that is wanted as it is; a reader that has gone is an error, which ends the command.
pub(crate) fn as_it_is(line: impl Display) -> anyhow::Result<()> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_may_be_written_in_every_way_that_the_sdk_takes() {
        for written in ["localhost:1", "dns:///localhost:1", "http://localhost:1", "http://localhost:1/"] {
            let options = TargetOptions { endpoint: Some(written.into()), project: None, domain: None };
            assert_eq!(options.resolve().unwrap().url(), "http://localhost:1", "{written}");
        }
    }

    #[test]
    fn durations_are_said_in_the_units_that_matter() {
        assert_eq!(duration(Some(1234)), "1.23s");
        assert_eq!(duration(Some(75_000)), "1m 15s");
        assert_eq!(duration(Some(3_720_000)), "1h 02m");
        assert_eq!(duration(None), "");
    }
}
