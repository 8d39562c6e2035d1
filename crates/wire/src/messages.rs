//! Requests and answers to and from core's types, one file a subject; what clients send is in `requests`.

pub mod actions;
pub mod apps;
pub mod artifact;
pub mod condition;
mod definition;
pub mod details;
pub mod display;
pub mod failure;
pub mod ids;
pub mod image;
pub mod inputs;
pub mod notification;
pub mod options;
pub mod policy;
pub mod project;
pub mod relation;
pub mod requests;
pub mod settings;
pub mod support;
pub mod task;
pub mod times;
pub mod tracked;
pub mod trigger;
pub mod values;
mod view;

pub use definition::{Definition, Stored};
pub use inputs::TaskInputs;
pub use view::view;
