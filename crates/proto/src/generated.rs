//! The module tree of the generated messages, one module for each proto package.
#![expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::derivable_impls,
    clippy::match_single_binding,
    reason = "generated code: the .proto files are its documentation and the generator writes its own lint attributes"
)]

/// Flyte's packages.
pub mod flyteidl2 {
    /// Values, types, interfaces and errors.
    pub mod core {
        include!("generated/flyteidl2.core.rs");
    }
    /// Inputs and outputs of a task.
    pub mod task {
        include!("generated/flyteidl2.task.rs");
    }
}

/// The well-known types that Flyte's messages use.
pub mod google {
    /// JSON-like values and times.
    pub mod protobuf {
        include!("generated/google.protobuf.rs");
    }
}
