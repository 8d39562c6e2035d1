//! What stands in the place of `remote` in a program without that feature: the same types, of which there are no values.

use spanwise_core::Scope;

use crate::backend::Backend;
use crate::config::{FlyteFile, FlyteSettings};
use crate::error::{Error, Result};

mod parent;
mod reference;

pub(crate) use parent::Parent;
pub(crate) use reference::RemoteTask;

/// True if programs can start runs on servers.
pub(crate) const IS_SUPPORTED: bool = false;

const WITHOUT: &str = "but this program is built without the feature `remote` of the crate `spanwise`";

/// Refuses the server.
pub(crate) fn connect(endpoint: &str, _scope: Scope) -> Result<Box<dyn Backend>> {
    Err(refused(endpoint))
}

/// Refuses the server.
pub(crate) fn address_of(endpoint: &str) -> Result<String> {
    Err(refused(endpoint))
}

fn refused(endpoint: &str) -> Error {
    Error::usage(format!("the endpoint is `{endpoint}`, {WITHOUT}"))
}

/// Refuses Flyte's configuration file.
pub(crate) fn read_flyte_config(file: FlyteFile, _needs_endpoint: bool) -> Result<FlyteSettings> {
    let file = match file {
        FlyteFile::Found => String::new(),
        FlyteFile::At(path) => format!(" in {}", path.display()),
    };
    Err(Error::usage(format!("Flyte's configuration{file} is to be read, {WITHOUT}")))
}

/// A server starts this program for nothing: it has no way to it.
pub(crate) fn is_attempt(_first_argument: &str) -> bool {
    false
}

/// Never called: no process is one.
pub(crate) async fn take_over() {}
