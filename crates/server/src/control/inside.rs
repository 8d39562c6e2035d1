//! What tests see of a control plane from inside; nobody else reaches through it.

use spanwise_blobs::Blobs;
use spanwise_engine::Engine;

use super::ControlPlane;
use crate::layout::DataDir;

impl ControlPlane {
    pub(crate) fn data(&self) -> &DataDir {
        &self.inner.data
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }
}
