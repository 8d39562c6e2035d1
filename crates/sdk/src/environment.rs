//! The environment of tasks: the first half of their names, the image that they need, and the settings that they share.

use spanwise_core::settings::{Cache, Resources, Secret, TaskSettings};
use spanwise_proto::Image;

use crate::overrides::setters;

/// Groups tasks that share an image and settings. Its name is the first part of its tasks' names, as in Flyte: `otel.fetch`.
#[derive(Clone, Debug)]
pub struct TaskEnvironment {
    name: String,
    image: Option<Image>,
    settings: TaskSettings,
}

impl TaskEnvironment {
    /// An environment without an image of its own, and without settings.
    pub fn new(name: impl Into<String>) -> TaskEnvironment {
        TaskEnvironment { name: name.into(), image: None, settings: TaskSettings::default() }
    }

    /// Describes the image that the tasks need. It is realised where tasks are started as processes; tasks that run in this
    /// process have what this program is linked with.
    pub fn image(mut self, image: Image) -> TaskEnvironment {
        self.image = Some(image);
        self
    }

    setters!("of its tasks that say nothing of it themselves");

    /// What its tasks ask for.
    pub(crate) fn settings(&self) -> &TaskSettings {
        &self.settings
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The image, as it was described.
    pub fn described_image(&self) -> Option<&Image> {
        self.image.as_ref()
    }
}
