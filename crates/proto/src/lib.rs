//! Flyte 2 messages as Rust types, and every byte of them that must equal stock Flyte's: hashes, names, literals, types, image URIs.
//!
//! All functions are pure. The messages come from our own .proto files in `proto/`, with Flyte's names and numbers; the code
//! generated from them is committed under `src/generated`. Fields that are not declared, and those of newer peers, survive
//! decoding and encoding: left out are schemas, roles and policies, and services that Spanwise does not have.
//!
//! Two features add the services of a control plane, generated for the crate `connectrpc`:
//! - `services`: a trait for each service with its routes, in the module of its package ([`flyteidl2`]), and the messages that only
//!   services use. They speak binary Connect and gRPC; JSON is refused, for it would double the code for clients that nobody has.
//! - `client`: `services` and a typed client for each service.
//!
//! The services: `actions.ActionsService`, `auth.{AuthMetadataService, IdentityService}`, `cacheservice.CacheService`,
//! `cluster.ClusterService`, `dataproxy.DataProxyService`, `imagebuilder.ImageService`, `project.ProjectService`,
//! `secret.SecretService`, `task.TaskService`, `trigger.TriggerService`, `workflow.{QueueService, RunService, StateService,
//! TrackedRunService}`.
//!
//! "Stock Flyte" is the Python SDK 2.12.1; doc comments name its files relative to its package `flyte`.

mod digest;
#[cfg(feature = "services")]
pub mod fields;
mod generated;
pub mod hash;
pub mod image;
mod interface;
pub mod json;
mod literal;
mod literal_type;
pub mod msgpack;
pub mod pickle;
mod structure;

pub use buffa::{DecodeError, DecodeOptions, EnumValue, Enumeration, HasMessageView, Message, MessageField, ProtoBox};
pub use generated::{flyteidl2, google};
pub use image::Image;

/// What the values of one message may take up in memory: the smallest literals of a list that fills the largest inputs and outputs have 8
/// bytes there, and some 150 here.
pub const VALUES_IN_MEMORY: usize = 256 << 20;

/// How inputs and outputs are read, by whoever reads them: with another limit one reader would refuse what another has taken.
pub fn decoding_values() -> DecodeOptions {
    DecodeOptions::new().with_element_memory_limit(VALUES_IN_MEMORY)
}
