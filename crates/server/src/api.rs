//! Flyte 2's services: each file translates one of them, decides nothing, and answers with Flyte's codes.
#![expect(refining_impl_trait, reason = "the generated traits return `impl Encodable`; ours say which message it is")]

use std::sync::Arc;

use connectrpc::{ConnectRpcService, Limits, Router};

use crate::blobs::signed::Signer;
use crate::control::ControlPlane;

mod actions;
mod apps;
mod artifacts;
mod clusters;
mod data;
mod error;
mod identity;
mod images;
pub(crate) mod listing;
mod lists;
mod logs;
mod projects;
mod queue;
mod reads;
mod refusing;
mod runs;
mod secrets;
mod settings;
mod tasks;
mod tracked;
mod triggers;
mod waiting;
mod warnings;
mod watches;

use refusing::Refusing;

/// The largest request: inline inputs of 10 MiB, with room for what is around them. Code and files come by PUT.
const MAX_REQUEST: usize = 24 << 20;

/// What the services need.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) control: ControlPlane,
    pub(crate) signer: Signer,
    /// How clients reach the server: `http://host:port`.
    pub(crate) base_url: String,
}

/// All services, for Connect, gRPC and gRPC-Web.
pub(crate) fn service(api: Api) -> ConnectRpcService<Refusing> {
    let api = Arc::new(api);
    let actions = Arc::new(actions::Actions::new(Arc::clone(&api)));
    let runs = Arc::new(runs::Runs::new(Arc::clone(&api)));
    let router = Router::new()
        .add_service(Arc::clone(&actions))
        .add_service(Arc::new(apps::Apps::new(Arc::clone(&api))))
        .add_service(Arc::new(apps::AppLogs::new(Arc::clone(&api))))
        .add_service(Arc::new(artifacts::ArtifactsApi::new(Arc::clone(&api))))
        .add_service(Arc::new(clusters::Clusters))
        .add_service(Arc::new(data::Data::new(Arc::clone(&api))))
        .add_service(Arc::new(identity::Identity))
        .add_service(Arc::new(images::Images::new(Arc::clone(&api))))
        .add_service(Arc::new(projects::Projects::new(Arc::clone(&api))))
        .add_service(Arc::new(queue::Queue::new(Arc::clone(&actions))))
        .add_service(Arc::new(queue::States::new(Arc::clone(&actions))))
        .add_service(Arc::clone(&runs))
        .add_service(Arc::new(tracked::TrackedRuns::new(Arc::clone(&api), runs)))
        .add_service(Arc::new(secrets::SecretsApi::new(Arc::clone(&api))))
        .add_service(Arc::new(settings::SettingsApi::new(Arc::clone(&api))))
        .add_service(Arc::new(tasks::Tasks::new(Arc::clone(&api))))
        .add_service(Arc::new(triggers::Triggers::new(api)));
    let limits = Limits::default()
        .with_max_request_body_size(MAX_REQUEST)
        .with_max_message_size(MAX_REQUEST)
        .with_element_memory_limit(8 * MAX_REQUEST);
    ConnectRpcService::new(Refusing(router)).with_limits(limits)
}
