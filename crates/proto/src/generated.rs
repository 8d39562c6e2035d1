//! The module tree of the generated code, one module for each proto package: messages and, beside them, services.
#![expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::derivable_impls,
    clippy::match_single_binding,
    reason = "generated code: the .proto files are its documentation and the generator writes its own lint attributes"
)]
#![cfg_attr(
    feature = "services",
    expect(elided_lifetimes_in_paths, reason = "generated code: views leave their lifetime out in paths")
)]

/// Flyte's packages.
pub mod flyteidl2 {
    /// Enqueueing and watching the actions of a parent that runs.
    #[cfg(feature = "services")]
    pub mod actions {
        include!("generated/flyteidl2.actions.rs");
        include!("generated/services/flyteidl2.actions.rs");
    }
    /// Apps: what they are, how they are, and their logs.
    #[cfg(feature = "services")]
    pub mod app {
        include!("generated/flyteidl2.app.rs");
        include!("generated/services/flyteidl2.app.rs");
    }
    /// Versions of named values, and where they came from.
    #[cfg(feature = "services")]
    pub mod artifact {
        include!("generated/flyteidl2.artifact.rs");
        include!("generated/services/flyteidl2.artifact.rs");
    }
    /// Who the caller is, and how a client logs in.
    #[cfg(feature = "services")]
    pub mod auth {
        include!("generated/flyteidl2.auth.rs");
        include!("generated/services/flyteidl2.auth.rs");
    }
    /// The outputs of earlier actions by cache key.
    #[cfg(feature = "services")]
    pub mod cacheservice {
        include!("generated/flyteidl2.cacheservice.rs");
        include!("generated/services/flyteidl2.cacheservice.rs");
    }
    /// Which cluster serves an operation.
    #[cfg(feature = "services")]
    pub mod cluster {
        include!("generated/flyteidl2.cluster.rs");
        include!("generated/services/flyteidl2.cluster.rs");
    }
    /// Identifiers, phases, lists and whatever several services share.
    pub mod common {
        include!("generated/flyteidl2.common.rs");
    }
    /// Values, types, interfaces, task templates and errors.
    pub mod core {
        include!("generated/flyteidl2.core.rs");
    }
    /// Uploads, downloads, inputs, outputs and log lines.
    #[cfg(feature = "services")]
    pub mod dataproxy {
        include!("generated/flyteidl2.dataproxy.rs");
        include!("generated/services/flyteidl2.dataproxy.rs");
    }
    /// Container images that exist.
    #[cfg(feature = "services")]
    pub mod imagebuilder {
        include!("generated/flyteidl2.imagebuilder.rs");
        include!("generated/services/flyteidl2.imagebuilder.rs");
    }
    /// Lines of logs.
    #[cfg(feature = "services")]
    pub mod logs {
        /// As a data plane sends them.
        pub mod dataplane {
            include!("generated/flyteidl2.logs.dataplane.rs");
        }
    }
    /// What is sent to whom when an action changes.
    pub mod notification {
        include!("generated/flyteidl2.notification.rs");
    }
    /// Projects and their domains.
    #[cfg(feature = "services")]
    pub mod project {
        include!("generated/flyteidl2.project.rs");
        include!("generated/services/flyteidl2.project.rs");
    }
    /// Secrets, of which only the metadata can be read back.
    #[cfg(feature = "services")]
    pub mod secret {
        include!("generated/flyteidl2.secret.rs");
        include!("generated/services/flyteidl2.secret.rs");
    }
    /// What runs have where they say nothing, by organisation, domain and project.
    #[cfg(feature = "services")]
    pub mod settings {
        include!("generated/flyteidl2.settings.rs");
        include!("generated/services/flyteidl2.settings.rs");
    }
    /// Inputs and outputs of a task, tasks that are deployed, and how a run is started.
    pub mod task {
        include!("generated/flyteidl2.task.rs");
        #[cfg(feature = "services")]
        include!("generated/services/flyteidl2.task.rs");
    }
    /// Schedules that start runs.
    #[cfg(feature = "services")]
    pub mod trigger {
        include!("generated/flyteidl2.trigger.rs");
        include!("generated/services/flyteidl2.trigger.rs");
    }
    /// Runs and their actions.
    #[cfg(feature = "services")]
    pub mod workflow {
        include!("generated/flyteidl2.workflow.rs");
        include!("generated/services/flyteidl2.workflow.rs");
    }
}

/// Google's types that Flyte's messages use.
pub mod google {
    /// JSON-like values, times, wrapped scalars.
    pub mod protobuf {
        include!("generated/google.protobuf.rs");
    }
    /// The outcome of one request among several.
    #[cfg(feature = "services")]
    pub mod rpc {
        include!("generated/google.rpc.rs");
    }
}
