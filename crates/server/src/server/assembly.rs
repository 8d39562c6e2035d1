//! The parts of a server, put together: the one place that has all of them in hand.

use std::sync::Arc;

use axum::Router;
use spanwise_blobs::Blobs;
use spanwise_engine::Engine;
use spanwise_process::{Inherited, LogFiles, Machine, Warm};
use tokio_util::task::TaskTracker;

use super::Error;
use crate::api::Api;
use crate::attempt::{self, Launcher, ProcessExecutor, SignsOfLife};
use crate::blobs::signed::Signer;
use crate::config::Config;
use crate::control::{ControlPlane, Parts, TraceRules};
use crate::definitions::Definitions;
use crate::http;
use crate::layout::DataDir;
use crate::readiness::Readiness;
use crate::secrets::Secrets;
use crate::upload_copies::UploadCopies;
use spanwise_process::environments::{Base, Environments};

/// The services, and the doors of the blobs. Everybody but those doors reaches blobs, engine and processes through the control plane.
pub(super) fn assemble(
    config: &Config,
    data: DataDir,
    engine: Engine,
    (port, collects): (u16, bool),
    base: Base,
) -> Result<(Api, Router), Error> {
    let blobs = Blobs::open(&data.blobs(), config.durability)?;
    let signer = Signer::open(&data.path().join("signing.key"))?;
    let secrets = Secrets::new(data.secrets());
    let definitions = Definitions::new(engine.clone());
    let stopping = TaskTracker::new();
    // Tasks take the address itself where it has two names: the second may be another server's.
    let task_host = match http::host(config.address).as_str() {
        "localhost" => "127.0.0.1".to_owned(),
        other => other.to_owned(),
    };
    let environments = Environments::open(data.environments(), base, config.grace, stopping.clone());
    let readiness = Readiness::new(engine.clone(), blobs.clone());
    let signs = SignsOfLife::default();
    let doors = http::blobs(&blobs, &signer, &signs);
    let launcher = Launcher::new(environments, Inherited::of_this_process(&config.pass_env), data.bin());
    let warm = (!config.cold).then(|| Warm::new(launcher.common()));
    let logs = LogFiles::new(config.max_log);
    let executor = ProcessExecutor::new(attempt::Shared {
        blobs: blobs.clone(),
        definitions: definitions.clone(),
        data: data.clone(),
        logs: Arc::new(logs.map_err(|source| Error::Io { doing: "watch log files", source })?),
        runner: Arc::new(Machine::new(warm)),
        secrets: secrets.clone(),
        launcher,
        programs: attempt::Programs::new(blobs.clone(), data.programs()),
        signs,
        refusals: attempt::Refusals::default(),
        readiness: readiness.clone(),
        endpoint: format!("{task_host}:{port}"),
        defaults: match collects {
            true => attempt::exporter_defaults(&format!("{task_host}:{port}")),
            false => Vec::new(),
        },
        grace: config.grace,
        stopping,
    });
    let trace = TraceRules { level: config.trace, projects: config.project_traces.clone(), ratio: config.trace_ratio };
    let upload_copies = UploadCopies::open(config.upload_cache.as_deref());
    let strict = config.strict;
    let firing = config.firing;
    let parts =
        Parts { engine, executor, definitions, blobs, secrets, data, readiness, upload_copies, strict, trace, firing };
    let base_url = format!("http://{}:{port}", http::host(config.address));
    Ok((Api { control: ControlPlane::new(parts), signer, base_url }, doors))
}
