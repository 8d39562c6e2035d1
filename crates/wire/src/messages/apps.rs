//! Apps: their definitions, and how they are told.

use std::time::Duration;

use bytes::Bytes;
pub use spanwise_core::app::Desired;
use spanwise_core::app::{IDLE_AFTER, Phase, Scaling};
use spanwise_core::{Scope, Timestamp};
use spanwise_proto::flyteidl2::app::{App, Condition, Identifier, Ingress, Input, Spec, Status, input, spec, status};
use spanwise_proto::{Enumeration as _, Message};

use crate::support::not_honoured;
use crate::task::{self, Program};
use crate::times::{from_duration, timestamp};
use crate::{Invalid, Stored, details, ids, shown};

pub mod requests;

/// The type of the program of an app.
pub const TASK_TYPE: &str = "app";

/// The port of an app that names none, as the SDK has it.
const USUAL_PORT: u16 = 8080;

/// The longest time that an app may be asked to take for an answer, as the SDK has it.
const LONGEST_REQUEST: Duration = Duration::from_secs(3600);

/// An app's full name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppId {
    /// The organisation.
    pub org: String,
    /// The project.
    pub project: String,
    /// The domain.
    pub domain: String,
    /// Its name there: a DNS label.
    pub name: String,
}

impl AppId {
    /// The name in a scope.
    ///
    /// # Errors
    /// [`Invalid`] if it is no name of an app.
    pub fn new(scope: Scope, name: &str) -> Result<AppId, Invalid> {
        let Scope { org, project, domain } = scope;
        Ok(AppId { org, project, domain, name: label("app name", name)? })
    }

    /// The app that a message names.
    ///
    /// # Errors
    /// [`Invalid`] names the part that is no name.
    pub fn of(id: &Identifier) -> Result<AppId, Invalid> {
        AppId::new(ids::scope(&id.org, &id.project, &id.domain)?, &id.name)
    }

    /// Where it belongs.
    pub fn scope(&self) -> Scope {
        Scope { org: self.org.clone(), project: self.project.clone(), domain: self.domain.clone() }
    }

    /// The name for the wire.
    pub fn to_message(&self) -> Identifier {
        Identifier {
            org: self.org.clone(),
            project: self.project.clone(),
            domain: self.domain.clone(),
            name: self.name.clone(),
            ..Identifier::default()
        }
    }
}

/// A label of a host name.
fn label(field: &'static str, value: &str) -> Result<String, Invalid> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_label = (1..=63).contains(&value.len()) && value.bytes().all(plain);
    if is_label && !value.starts_with('-') && !value.ends_with('-') {
        return Ok(value.to_owned());
    }
    Err(Invalid::field(format!(
        "{field} `{}` is no label of a host name: 1 to 63 lower-case letters, digits and `-`, none of these at an end",
        shown(value)
    )))
}

/// Something that an app links to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where to.
    pub path: String,
    /// What is said of it.
    pub title: String,
    /// True if it is a path of the app itself.
    pub is_relative: bool,
}

/// The definition of an app, which passes through as it was sent, with what is needed of it read out.
#[derive(Clone, Debug)]
pub struct AppDefinition {
    /// The form that is stored: without its state, which is no part of it.
    pub stored: Stored,
    /// The digest of what its process is made from: apps that are equal in it need no other process.
    pub process: String,
    /// Its name.
    pub id: AppId,
    /// The revision that the client has seen; 0 if it says none.
    pub seen: u64,
    /// What is wanted of it.
    pub desired: Desired,
    /// How it is scaled.
    pub scaling: Scaling,
    /// What its process is started with.
    pub program: Program,
    /// The port that it says to listen on.
    pub port: u16,
    /// True if it speaks HTTP/2 in the clear: a gRPC server.
    pub speaks_http2: bool,
    /// How long it may take until an answer begins.
    pub request_timeout: Option<Duration>,
    /// The subdomain that it asks for; empty if it asks for none.
    pub subdomain: String,
    /// The host name of its own; empty if it has none.
    pub cname: String,
    /// True if pages of other sites may ask it: it asks for no login.
    pub is_public: bool,
    /// What kind of app it says to be.
    pub kind: String,
    /// What it says of itself.
    pub description: String,
    /// What it links to.
    pub links: Vec<Link>,
    /// Its parameters, for people.
    pub parameters: Vec<(String, String)>,
    /// The URI of its code.
    pub bundle: String,
    message: App,
}

impl AppDefinition {
    /// The definition that a message is.
    ///
    /// # Errors
    /// [`Invalid`] names the field.
    pub fn of(mut message: App) -> Result<AppDefinition, Invalid> {
        let metadata = message.metadata.as_option().ok_or(Invalid::Missing("app.metadata"))?;
        let id = AppId::of(metadata.id.as_option().ok_or(Invalid::Missing("app.metadata.id"))?)?;
        let seen = metadata.revision;
        if !message.spec.is_set() {
            return Err(Invalid::Missing("app.spec"));
        }
        message.metadata.get_or_insert_default().revision = 0;
        message.metadata.get_or_insert_default().id = id.to_message().into();
        message.status = None.into();
        let spec = message.spec.get_or_insert_default();
        // What the SDK sends again has it: it would find a difference where there is none.
        if !spec.creator.is_set() {
            spec.creator = details::creator().into();
        }
        AppDefinition::new(Stored::of(&message), id, seen, message)
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`Invalid`] if it is none.
    pub fn read(body: Bytes) -> Result<AppDefinition, Invalid> {
        let decoded = App::decode_from_slice(&body);
        let message = decoded.map_err(|source| Invalid::Decode { what: "app definition", source })?;
        let id = AppId::of(&message.metadata.id)?;
        AppDefinition::new(Stored::from(body), id, 0, message)
    }

    fn new(stored: Stored, id: AppId, seen: u64, message: App) -> Result<AppDefinition, Invalid> {
        let spec = &message.spec;
        let program = program(&id, spec)?;
        let port = port(spec)?;
        let ingress = &spec.ingress;
        Ok(AppDefinition {
            stored,
            process: process(&message),
            seen,
            desired: match spec.desired_state.as_known() {
                Some(spec::DesiredState::DESIRED_STATE_STOPPED) => Desired::Stopped,
                _ => Desired::Started,
            },
            scaling: Scaling {
                is_always_on: spec.autoscaling.replicas.min > 0,
                idle_after: from_duration(spec.autoscaling.scaledown_period.as_option()).unwrap_or(IDLE_AFTER),
            },
            program,
            port: port.0,
            speaks_http2: port.1,
            request_timeout: request_timeout(spec)?,
            subdomain: optional(&ingress.subdomain, |text| label("spec.ingress.subdomain", text))?,
            cname: optional(&ingress.cname, host)?,
            is_public: spec.security_context.allow_anonymous,
            kind: spec.profile.r#type.clone(),
            description: spec.profile.short_description.clone(),
            links: spec.links.iter().map(link).collect(),
            parameters: spec.inputs.items.iter().map(parameter).collect(),
            bundle: message.metadata.code_bundle_uri.clone(),
            id,
            message,
        })
    }

    /// What is asked for and not honoured, one sentence each.
    pub fn not_honoured(&self) -> Vec<String> {
        self.message.spec.as_option().map(not_honoured).unwrap_or_default()
    }

    /// The same app with something else wanted of it.
    ///
    /// # Errors
    /// [`Invalid`] never, for one that was read.
    pub fn desiring(&self, desired: Desired) -> Result<AppDefinition, Invalid> {
        let mut message = self.message.clone();
        message.spec.get_or_insert_default().desired_state = match desired {
            Desired::Started => spec::DesiredState::DESIRED_STATE_STARTED.into(),
            Desired::Stopped => spec::DesiredState::DESIRED_STATE_STOPPED.into(),
        };
        AppDefinition::of(message)
    }

    /// The app as a client is told of it.
    pub fn to_message(&self, state: &AppState) -> App {
        let mut app = self.message.clone();
        app.metadata.get_or_insert_default().revision = state.revision;
        app.status = state.to_message().into();
        app
    }
}

fn optional(value: &str, check: impl Fn(&str) -> Result<String, Invalid>) -> Result<String, Invalid> {
    if value.is_empty() { Ok(String::new()) } else { check(value) }
}

fn host(value: &str) -> Result<String, Invalid> {
    let value = value.to_ascii_lowercase();
    match value.split('.').try_for_each(|part| label("spec.ingress.cname", part).map(drop)) {
        Ok(()) if value.len() <= 253 => Ok(value),
        _ => Err(Invalid::field(format!("spec.ingress.cname `{}` is no host name", shown(&value)))),
    }
}

fn link(link: &spanwise_proto::flyteidl2::app::Link) -> Link {
    Link { path: link.path.clone(), title: link.title.clone(), is_relative: link.is_relative }
}

fn parameter(item: &Input) -> (String, String) {
    let value = match &item.value {
        Some(input::Value::StringValue(text)) => text.clone(),
        Some(input::Value::AppId(id)) => format!("app {}", id.name),
        Some(input::Value::ArtifactId(id)) => format!("artifact {} {}", id.key.name, id.version),
        None => String::new(),
    };
    (item.name.clone(), value)
}

/// Everything but what is wanted of it and what is said of it.
fn process(message: &App) -> String {
    let mut spec = message.spec.as_option().cloned().unwrap_or_default();
    spec.desired_state = spec::DesiredState::DESIRED_STATE_UNSPECIFIED.into();
    spec.creator = None.into();
    spec.profile = None.into();
    spec.links = Vec::new();
    Stored::of(&spec).digest
}

fn program(id: &AppId, spec: &Spec) -> Result<Program, Invalid> {
    let container = match &spec.app_payload {
        Some(spec::AppPayload::Container(container)) => container,
        Some(spec::AppPayload::Pod(_)) => {
            let text = "spec.pod: the pod template of an app is not run: give the app an image instead";
            return Err(Invalid::field(text));
        }
        None => return Err(Invalid::Missing("spec.container")),
    };
    let secrets = &spec.security_context.secrets;
    let program = task::container_program(&id.name, TASK_TYPE, container, secrets)?;
    if program.argv.is_empty() {
        return Err(Invalid::Missing("spec.container.command"));
    }
    Ok(program)
}

fn port(spec: &Spec) -> Result<(u16, bool), Invalid> {
    let Some(spec::AppPayload::Container(container)) = &spec.app_payload else { return Ok((USUAL_PORT, false)) };
    let Some(port) = container.ports.first() else { return Ok((USUAL_PORT, false)) };
    match u16::try_from(port.container_port) {
        Ok(number) if number > 0 => Ok((number, port.name == "h2c")),
        _ => Err(Invalid::field(format!("spec.container.ports: {} is no port", port.container_port))),
    }
}

fn request_timeout(spec: &Spec) -> Result<Option<Duration>, Invalid> {
    match from_duration(spec.timeouts.request_timeout.as_option()) {
        Some(wanted) if wanted > LONGEST_REQUEST => Err(Invalid::field(format!(
            "spec.timeouts.request_timeout: {} s are asked for, {} are the limit",
            wanted.as_secs(),
            LONGEST_REQUEST.as_secs()
        ))),
        wanted => Ok(wanted),
    }
}

/// How an app is.
#[derive(Clone, Debug)]
pub struct AppState {
    /// Its revision.
    pub revision: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed to this revision.
    pub changed_at: Timestamp,
    /// How it is now.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// What is to be said of it: why it does not run, for instance.
    pub message: String,
    /// True if it has a process.
    pub is_running: bool,
    /// When its process was started last.
    pub started_at: Option<Timestamp>,
    /// Where it answers.
    pub url: String,
    /// Where it answers by its own host name.
    pub host_url: String,
}

impl AppState {
    fn to_message(&self) -> Status {
        let (deployment, substate) = status_of(self.phase);
        let condition = Condition {
            last_transition_time: timestamp(self.since).into(),
            deployment_status: deployment.into(),
            message: self.message.clone(),
            revision: self.revision,
            actor: details::creator().into(),
            substate: substate.into(),
            ..Condition::default()
        };
        let ingress = Ingress { public_url: self.url.clone(), cname_url: self.host_url.clone(), ..Ingress::default() };
        Status {
            assigned_cluster: "local".to_owned(),
            current_replicas: u32::from(self.is_running),
            ingress: ingress.into(),
            created_at: timestamp(self.created_at).into(),
            last_updated_at: timestamp(self.changed_at).into(),
            conditions: vec![condition],
            last_started_at: self.started_at.map(timestamp).into(),
            ..Status::default()
        }
    }
}

/// Flyte's words for a phase.
fn status_of(phase: Phase) -> (status::DeploymentStatus, status::Substate) {
    use status::DeploymentStatus as Deployment;
    use status::Substate;
    match phase {
        Phase::Stopped => (Deployment::DEPLOYMENT_STATUS_STOPPED, Substate::SUBSTATE_UNSPECIFIED),
        Phase::Stopping => (Deployment::DEPLOYMENT_STATUS_SCALING_DOWN, Substate::SCALING_DOWN),
        Phase::Deploying => (Deployment::DEPLOYMENT_STATUS_DEPLOYING, Substate::INITIALIZING),
        Phase::Active => (Deployment::DEPLOYMENT_STATUS_ACTIVE, Substate::RUNNING),
        // The next request is answered: nobody has to activate it.
        Phase::ScaledToZero => (Deployment::DEPLOYMENT_STATUS_ACTIVE, Substate::SCALED_TO_ZERO),
        Phase::Waking => (Deployment::DEPLOYMENT_STATUS_SCALING_UP, Substate::SCALING_FROM_ZERO),
        Phase::Restarting => (Deployment::DEPLOYMENT_STATUS_PENDING, Substate::CRASH_LOOP),
        Phase::Failed => (Deployment::DEPLOYMENT_STATUS_FAILED, Substate::CRASH_LOOP),
    }
}

/// Flyte's name for the status of a phase, by which lists are filtered.
pub fn status_name(phase: Phase) -> &'static str {
    status_of(phase).0.proto_name()
}

#[cfg(test)]
mod tests;
