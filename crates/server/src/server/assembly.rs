//! The parts of a server, put together: the one place that has all of them in hand.

use std::sync::Arc;

use axum::Router;
use spanwise_blobs::Blobs;
use spanwise_engine::Engine;
use spanwise_process::{Inherited, LogFiles, Machine, Warm};
use tokio_util::task::TaskTracker;

use super::Error;
use crate::api::Api;
use crate::apps::{self, Apps};
use crate::attempt::{self, Launcher, ProcessExecutor, SignsOfLife};
use crate::blobs::signed::Signer;
use crate::config::Config;
use crate::control::{ControlPlane, Parts, TraceRules};
use crate::definitions::Definitions;
use crate::http;
use crate::layout::DataDir;
use crate::notify::Courier;
use crate::pages::run_address;
use crate::readiness::Readiness;
use crate::secrets::Secrets;
use crate::upload_copies::UploadCopies;
use spanwise_process::environments::{Base, Environments};
use spanwise_process::roots::Roots;

/// What a server has found where it was started.
pub(super) struct Found {
    /// Where it listens.
    pub(super) port: u16,
    /// Whether it takes spans.
    pub(super) collects: bool,
    /// How many descriptors this process may have.
    pub(super) descriptors: u64,
}

/// The services, and the doors of the blobs. Everybody but those doors reaches blobs, engine and processes through the control plane.
pub(super) fn assemble(
    config: &Config,
    data: DataDir,
    engine: Engine,
    Found { port, collects, descriptors }: Found,
    base: Base,
) -> Result<(Api, Router, Apps), Error> {
    let blobs = Blobs::open(&data.blobs(), config.durability)?;
    let (signer, secrets) = (Signer::open(&data.path().join("signing.key"))?, open_secrets(config, &data)?);
    let definitions = Definitions::new(engine.clone());
    let stopping = TaskTracker::new();
    let endpoint = endpoint_of_tasks(config, port);
    let environments = Environments::open(data.environments(), base, config.grace, stopping.clone());
    let (readiness, signs) = (Readiness::new(engine.clone(), blobs.clone()), SignsOfLife::default());
    let doors = http::blobs(&blobs, &signer, &signs);
    let launcher = Arc::new(Launcher::new(environments, Inherited::of_this_process(&config.pass_env), data.bin()));
    let (warm, host) = ((!config.cold).then(|| Warm::new(launcher.common())), http::host(config.address));
    let base_url = format!("http://{host}:{port}");
    let defaults = if collects { attempt::exporter_defaults(&endpoint) } else { Vec::new() };
    let shared = attempt::Shared {
        blobs: blobs.clone(),
        definitions: definitions.clone(),
        data: data.clone(),
        logs: log_files(config)?,
        runner: Arc::new(Machine::new(warm)),
        secrets: secrets.clone(),
        launcher,
        programs: attempt::Programs::new(blobs.clone(), data.programs()),
        devices: attempt::Devices::new(config.resources.gpus.clone(), data.all_work()),
        roots: Roots::open(data.roots(), config.grace, stopping.clone()),
        signs,
        refusals: attempt::Refusals::default(),
        readiness: readiness.clone(),
        endpoint,
        defaults,
        grace: config.grace,
        stopping,
    };
    let apps = apps_beside(&shared, apps::Addresses::new(&base_url, port), descriptors);
    let executor = ProcessExecutor::new(shared);
    let (trace, upload_copies) = (trace_rules(config), UploadCopies::open(config.upload_cache.as_deref()));
    let (doors_of_apps, strict, firing) = (apps.clone(), config.strict, config.firing);
    let parts = Parts {
        engine,
        executor,
        definitions,
        blobs,
        secrets,
        apps,
        data,
        readiness,
        upload_copies,
        courier: Courier::new(config.mail.clone(), &base_url, run_address),
        strict,
        trace,
        firing,
        tracked_silence: config.tracked_silence,
    };
    Ok((Api { control: ControlPlane::new(parts), signer, base_url }, doors, doors_of_apps))
}

/// Apps, with what attempts have as well.
fn apps_beside(shared: &attempt::Shared, addresses: apps::Addresses, descriptors: u64) -> Apps {
    Apps::new(apps::Shared {
        data: shared.data.clone(),
        logs: Arc::clone(&shared.logs),
        runner: Arc::clone(&shared.runner),
        secrets: shared.secrets.clone(),
        launcher: Arc::clone(&shared.launcher),
        endpoint: shared.endpoint.clone(),
        addresses,
        defaults: shared.defaults.clone(),
        grace: shared.grace,
        descriptors,
    })
}

/// Secrets that cannot be read keep no server from starting.
fn open_secrets(config: &Config, data: &DataDir) -> Result<Secrets, Error> {
    let own_key = data.path().join("secrets.key");
    let (secrets, unsealed) = Secrets::open(data.secrets(), config.secret_key_file.as_deref(), &own_key)?;
    unsealed.iter().for_each(|warning| tracing::error!("{warning}"));
    Ok(secrets)
}

fn trace_rules(config: &Config) -> TraceRules {
    TraceRules { level: config.trace, projects: config.project_traces.clone(), ratio: config.trace_ratio }
}

/// Tasks take the address itself where it has two names: the second may be another server's.
fn endpoint_of_tasks(config: &Config, port: u16) -> String {
    match http::host(config.address).as_str() {
        "localhost" => format!("127.0.0.1:{port}"),
        host => format!("{host}:{port}"),
    }
}

fn log_files(config: &Config) -> Result<Arc<LogFiles>, Error> {
    let logs = LogFiles::new(config.max_log).map_err(|source| Error::Io { doing: "watch log files", source })?;
    Ok(Arc::new(logs))
}
