//! What clients bring and fetch: inputs for runs to come, reports, code. Its bytes go through signed URLs.

use std::time::SystemTime;

use bytes::Bytes;
use spanwise_blobs::BlobUri;
use spanwise_core::{ActionKind, ActionName, AttemptNo, RunId};
use spanwise_engine::{RunHandle, Scope};

use super::{ControlPlane, Error, random_name};
use crate::blobs::signed::Right;
use crate::layout;

impl ControlPlane {
    /// Says that a run comes soon: what takes a while to be ready is prepared in the background.
    pub(crate) fn expect_run(&self) {
        self.inner.executor.warm_up();
    }

    /// Keeps inputs for a run to come, and says where. Each have a directory of their own: equal literals with another trace are other
    /// inputs.
    pub(crate) async fn keep_inputs(&self, scope: &Scope, inputs: Bytes) -> Result<BlobUri, Error> {
        let Scope { org, project, domain } = scope;
        let key = format!("{}/{org}/{project}/{domain}/{}/inputs.pb", layout::UPLOADED_INPUTS, random_name());
        let uri = BlobUri::from_key(&key)?;
        self.inner.blobs.put(&uri, inputs).await?;
        Ok(uri)
    }

    /// Puts the inputs of an action where readers look for them. Those of a task are put there when the first one asks, unless its parent has
    /// done so: its attempts have theirs in directories of their own. Where they cannot be put, that is only said: whoever wants to know no more
    /// than their name needs no room.
    pub(crate) async fn make_inputs_readable(&self, run: &RunHandle, action: &ActionName, kind: ActionKind) {
        if matches!(kind, ActionKind::Task | ActionKind::Timer)
            && let Err(error) = self.copy_inputs(run, action).await
        {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(run = %run.id().name, %action, error, "inputs are not there for readers");
        }
    }

    async fn copy_inputs(&self, run: &RunHandle, action: &ActionName) -> Result<(), Error> {
        let uri = layout::inputs(run.id(), action)?;
        // A later run of the name must not find those of this one.
        let _untouched = self.inner.leftovers.untouched().await;
        if !self.is_there(&uri).await?
            && let Some(inputs) = run.payloads(action).await?.0
        {
            self.inner.blobs.put(&uri, inputs).await?;
        }
        Ok(())
    }

    /// A URL for a blob that its store has signed itself; none if the server is to sign one.
    pub(crate) async fn presigned(
        &self,
        right: Right,
        uri: &BlobUri,
        expires_at: SystemTime,
    ) -> Result<Option<String>, Error> {
        Ok(self.inner.blobs.presign(right, uri, expires_at).await?)
    }

    /// Whether something is there to be fetched.
    pub(crate) async fn is_there(&self, uri: &BlobUri) -> Result<bool, Error> {
        Ok(self.inner.blobs.exists(uri).await?)
    }

    /// The report that an attempt has left; none if it has left none.
    pub(crate) async fn report(
        &self,
        run: &RunId,
        action: &ActionName,
        attempt: AttemptNo,
    ) -> Result<Option<BlobUri>, Error> {
        let report = layout::report(run, action, attempt)?;
        Ok(self.is_there(&report).await?.then_some(report))
    }
}
