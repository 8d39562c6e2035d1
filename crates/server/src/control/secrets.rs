//! Secrets: written and described, never read back.

use super::{ControlPlane, Error};
use crate::secrets::{Described, SecretScope};

impl ControlPlane {
    /// Stores a secret. False if it is not there and is to be replaced, or is there and is not.
    pub(crate) fn put_secret(
        &self,
        scope: &SecretScope,
        name: &str,
        value: &str,
        replace: bool,
    ) -> Result<bool, Error> {
        self.inner.secrets.put(scope, name, value, replace).map_err(failed("store the secret"))
    }

    /// What may be told of a secret; none if it is not there.
    pub(crate) fn secret(&self, scope: &SecretScope, name: &str) -> Result<Option<Described>, Error> {
        self.inner.secrets.describe(scope, name).map_err(failed("look the secret up"))
    }

    /// Deletes a secret; false if it is not there.
    pub(crate) fn delete_secret(&self, scope: &SecretScope, name: &str) -> Result<bool, Error> {
        self.inner.secrets.delete(scope, name).map_err(failed("delete the secret"))
    }

    /// The secrets of a scope.
    pub(crate) fn secrets(&self, scope: &SecretScope) -> Result<Vec<Described>, Error> {
        self.inner.secrets.list(scope).map_err(failed("list the secrets"))
    }
}

fn failed(doing: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { doing, source }
}
