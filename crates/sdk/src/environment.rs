//! The environment of tasks: the first half of their names, and the image that they need.

use spanwise_proto::Image;

/// Groups tasks that share an image. Its name is the first part of its tasks' names, as in Flyte: `otel.fetch`.
#[derive(Clone, Debug)]
pub struct TaskEnvironment {
    name: String,
    image: Option<Image>,
}

impl TaskEnvironment {
    /// An environment without an image of its own.
    pub fn new(name: impl Into<String>) -> TaskEnvironment {
        TaskEnvironment { name: name.into(), image: None }
    }

    /// Describes the image that the tasks need. It is realised where tasks are started as processes; tasks that run in this
    /// process have what this program is linked with.
    pub fn image(mut self, image: Image) -> TaskEnvironment {
        self.image = Some(image);
        self
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
