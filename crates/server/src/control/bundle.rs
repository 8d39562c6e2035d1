//! The code of Python tasks: a bundle that the client has uploaded before, or believes to have.

use data_encoding::BASE32_NOPAD;
use md5::{Digest as _, Md5};
use spanwise_blobs::BlobUri;

use super::{ControlPlane, Error, blob_uri};
use crate::upload_copies;

impl ControlPlane {
    /// Refuses a task whose code is not here and cannot be found.
    pub(crate) async fn check_bundle(&self, bundle: Option<&str>) -> Result<(), Error> {
        let Some(bundle) = bundle else { return Ok(()) };
        let bundle = blob_uri("task_spec.task_template.container.args", bundle)?;
        if self.inner.blobs.exists(&bundle).await? {
            if self.inner.upload_copies.lacks(bundle.key()) {
                self.keep(&bundle).await;
            }
            return Ok(());
        }
        if let Some(content) = self.inner.upload_copies.get(bundle.key()).filter(|content| is_named(&bundle, content)) {
            tracing::info!(%bundle, "a client remembers an upload to another data directory: its copy is taken");
            self.inner.blobs.put(&bundle, content).await?;
            return Ok(());
        }
        Err(Error::Unmet(format!(
            "the code bundle `{bundle}` is not in the blob store of this server: your client remembers having uploaded it to an \
             earlier data directory, and does not upload it again for a day. Run again with \
             `flyte.with_runcontext(disable_run_cache=True)`, or let the client forget it with `flyte delete local-cache`, which \
             removes `local-cache/cache.db` beside its config.yaml or in ~/.flyte"
        )))
    }

    /// A copy that cannot be made is missed only by who begins anew with the data directory.
    async fn keep(&self, bundle: &BlobUri) {
        let content = match self.inner.blobs.get(bundle, upload_copies::LARGEST).await {
            Ok(Some(content)) => content,
            _ => return,
        };
        let (upload_copies, key) = (self.inner.upload_copies.clone(), bundle.key().to_owned());
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || upload_copies.put(&key, &content)).await {
            tracing::warn!(%bundle, %error, "keep a copy of a code bundle");
        }
    }
}

/// True if a bundle has the content that its name stands for: an upload is named by its digest.
fn is_named(bundle: &BlobUri, content: &[u8]) -> bool {
    let digest = BASE32_NOPAD.encode(&Md5::digest(content));
    bundle.key().split('/').rev().nth(1) == Some(digest.as_str())
}
