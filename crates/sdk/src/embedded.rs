//! Runs in this process: its engine, and the attempts that it runs here.

mod backend;
mod executor;
mod no_body;
mod parent;
mod reports;
mod run;
mod surroundings;

pub(crate) use backend::Embedded;
pub(crate) use executor::InProcess;
pub(crate) use parent::Parent;
