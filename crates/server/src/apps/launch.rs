//! How the process of an app is started: in the environment of its image, with its variables, its secrets and a port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use spanwise_core::Failure;
use spanwise_process::{Launch, Process, Recording, Script};
use spanwise_wire::apps::{AppDefinition, AppId};
use tokio::net::TcpStream;

use super::files::{AppFiles, Note};
use super::ports::Reserved;
use super::{Apps, Inner};
use crate::attempt::{self, contract};

/// Between two looks whether an app answers: first, and at most.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_millis(50);

/// How much of a log is shown where it is said why an app has ended.
const LAST_LINES: usize = 2048;

/// The process of an app.
pub(super) struct Running {
    pub(super) process: Process,
    pub(super) files: AppFiles,
    pub(super) number: u32,
    pub(super) ports: Reserved,
    /// The log, while it is recorded.
    pub(super) recording: Option<Recording>,
}

impl Running {
    /// Waits until somebody listens on one of the ports that it may have, and says where. Nobody tells when a port is opened: it is
    /// tried.
    pub(super) async fn answers(&self) -> SocketAddr {
        let mut pause = FIRST_LOOK;
        loop {
            for port in self.ports.all() {
                for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
                    if TcpStream::connect((ip, port)).await.is_ok() {
                        return SocketAddr::new(ip, port);
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }
}

/// The variables that say where an app belongs and how it is reached.
fn of_app(inner: &Inner, id: &AppId, ports: &Reserved) -> Vec<(String, String)> {
    let mut variables = contract::of_server(&inner.shared.endpoint, &id.org, &id.project, &id.domain);
    let own = [
        ("PORT", ports.given.to_string()),
        ("SPANWISE_APP", id.name.clone()),
        ("SPANWISE_APP_URL", inner.shared.addresses.by_path(id)),
    ];
    variables.extend(own.map(|(name, value)| (name.to_owned(), value)));
    variables
}

/// Where an app keeps what it makes.
fn raw_data(id: &AppId) -> String {
    format!("s3://{}/apps/{}/{}/{}/{}", spanwise_blobs::BUCKET, id.org, id.project, id.domain, id.name)
}

/// The arguments with the placeholders filled in, and the given port in the place of the one that the definition names. Of a program
/// of the SDK's those behind `--` are meant: what is before is the SDK's.
fn fill(argv: &[String], id: &AppId, wanted: u16, given: u16) -> Vec<String> {
    let data = raw_data(id);
    let own = argv.iter().position(|argument| argument == "--").map_or(0, |at| at + 1);
    let value = |name: &str| name.eq_ignore_ascii_case("rawOutputDataPrefix").then(|| data.clone());
    let arguments = argv.iter().enumerate().map(|(at, argument)| match at {
        0 => argument.clone(),
        at if at >= own => with_port(argument, wanted, given),
        _ => argument.clone(),
    });
    arguments.map(|argument| contract::substitute(&argument, &value)).collect()
}

/// `8080`, `--port=8080` and `0.0.0.0:8080` with another port.
fn with_port(argument: &str, wanted: u16, given: u16) -> String {
    let number = wanted.to_string();
    match argument.strip_suffix(&number) {
        Some(before) if before.is_empty() || before.ends_with(['=', ':']) => format!("{before}{given}"),
        _ => argument.to_owned(),
    }
}

/// What is started: the program of the definition, or the script that stands for it.
fn argv(definition: &AppDefinition, ports: &Reserved, script: Option<&Script>) -> Vec<String> {
    let filled = fill(&definition.program.argv, &definition.id, definition.port, ports.given);
    match script {
        Some(script) => script.command().into_iter().chain(filled.into_iter().skip(1)).collect(),
        None => filled,
    }
}

impl Apps {
    /// Starts the process of an app.
    pub(super) async fn launch(&self, definition: &Arc<AppDefinition>) -> Result<Running, Failure> {
        let shared = &self.inner.shared;
        let id = &definition.id;
        let failed = |doing: &str, error: std::io::Error| Failure::system("SystemError", format!("{doing}: {error}"));
        let ports = self.inner.ports.reserve(definition.port).map_err(|error| failed("find a free port", error))?;
        let note = Note { process: definition.process.clone(), given: ports.given, own: ports.own };
        let files = AppFiles::of(&shared.data, id);
        // An earlier start may have left much.
        let begun = files.clone();
        let number = tokio::task::spawn_blocking(move || begun.begin(&note)).await.map_err(Into::into).flatten();
        let number = number.map_err(|error| failed("make the directory of the app", error))?;
        let log = files.log(number);
        let values = attempt::Values::read(&shared.secrets, &id.scope(), &definition.program)?;
        let recording = shared.logs.record_hiding(&log, values.hidden()).await;
        let recording = recording.map_err(|error| failed("make the log of the app", error))?;
        if definition.program.argv.first().is_some_and(|first| first == attempt::SERVE) {
            shared.launcher.stand_in(&definition.program.image, &log, &|_| {}).await?;
        }
        let served = shared.launcher.serving(&definition.program).await?;
        let copied = served.python.bring_files(&files.work()).await;
        copied.map_err(|error| failed("copy the files of the image", error))?;
        let mut notes: Vec<String> = served.python.notes().to_vec();
        notes.extend(values.not_hidden());
        notes.extend(definition.not_honoured().into_iter().map(|text| format!("warning: {text}")));
        if ports.own.is_none() {
            let wanted = definition.port;
            notes.push(format!(
                "warning: port {wanted} is somebody else's: the app has to listen on $PORT, which is {}",
                ports.given
            ));
        }
        for note in &notes {
            shared.logs.append(&log, note).await.map_err(|error| failed("write to the log of the app", error))?;
        }
        let secrets = values.given((&*shared.runner, shared.data.mounts())).await?;
        let launch = Launch {
            argv: argv(definition, &ports, served.script.as_ref()),
            env: self.env(definition, &ports, &served.python, secrets.variables),
            directory: files.work(),
            log,
            limits: attempt::memory_limits(&definition.program),
            claim: Some(files.claim(number)),
            mounted: secrets.files,
            container: None,
        };
        let started = shared.runner.start(served.script.as_ref(), &launch).await;
        let process = started.map_err(|error| Failure::user("CannotStart", spanwise_wire::with_causes(&error)))?;
        Ok(Running { process, files, number, ports, recording: Some(recording) })
    }

    fn env(
        &self,
        definition: &AppDefinition,
        ports: &Reserved,
        python: &attempt::PythonEnvironment,
        secrets: Vec<(String, String)>,
    ) -> Vec<(String, String)> {
        let shared = &self.inner.shared;
        let layers = vec![
            python.variables(shared.launcher.inherited().for_task()),
            python.env(),
            definition.program.env.clone(),
            secrets,
            of_app(&self.inner, &definition.id, ports),
        ];
        let mut exporter = vec![("OTEL_SERVICE_NAME".to_owned(), definition.id.name.clone())];
        exporter.extend(shared.defaults.iter().cloned());
        contract::merge(contract::with_defaults(layers, &shared.endpoint, exporter))
    }

    /// How a process ended that nobody had asked to, with what it said last.
    pub(super) async fn told_end(&self, running: &Running, ending: spanwise_process::Ending) -> String {
        use spanwise_process::Ending;
        let how = match ending {
            Ending::Exited(code) => format!("the app ended with exit code {code}"),
            Ending::Signalled(signal) => format!("signal {signal} ended the app"),
            Ending::Gone => "the app is gone".to_owned(),
        };
        let ran_out = self.inner.shared.runner.ran_out_of_memory(&running.files.claim(running.number)).await;
        let how = if ran_out { format!("{how}: it needs more memory than its limit (its `resources`)") } else { how };
        let said = self.inner.shared.logs.last_lines(&running.files.log(running.number), LAST_LINES).await;
        match said.as_deref().map(str::trim_end) {
            Ok("") | Err(_) => how,
            Ok(said) => format!("{how}; it said last:\n{said}"),
        }
    }

    /// Where a claim of an app is, for what is left of its process.
    pub(super) async fn end_remains(&self, claim: PathBuf) {
        self.inner.shared.runner.end_remains(&claim).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_given_port_stands_in_the_place_of_the_one_that_is_named() {
        let [org, project, domain, name] = ["local", "p", "d", "web"].map(str::to_owned);
        let id = AppId { org, project, domain, name };
        let filled = |argv: &[&str]| {
            let argv: Vec<String> = argv.iter().map(|argument| (*argument).to_owned()).collect();
            fill(&argv, &id, 8080, 41_000)
        };
        assert_eq!(
            filled(&["8080", "--port", "8080", "--port=8080", "0.0.0.0:8080"])[1..],
            ["--port", "41000", "--port=41000", "0.0.0.0:41000"]
        );
        assert_eq!(filled(&["web", "18080", "x8080", "8080y"])[1..], ["18080", "x8080", "8080y"]);
        let of_sdk = ["fserve", "--version", "8080", "--raw-data-path", "{{.rawOutputDataPrefix}}", "--", "x", "8080"];
        let expected =
            ["fserve", "--version", "8080", "--raw-data-path", "s3://spanwise/apps/local/p/d/web", "--", "x", "41000"];
        assert_eq!(filled(&of_sdk), expected);
    }
}
