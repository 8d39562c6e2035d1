//! What the attempts of a task need.

use std::fmt::Display;

/// The resources of a task (Flyte: `flyte.Resources`), as Kubernetes writes amounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resources {
    /// Processors: `2`, `0.5`, `500m`.
    pub cpu: Option<String>,
    /// Bytes: `512Mi`, `2G`.
    pub memory: Option<String>,
    /// Devices.
    pub gpu: Option<u32>,
}

impl Resources {
    /// Asks for nothing.
    pub fn new() -> Resources {
        Resources::default()
    }

    /// Processors: `2`, `0.5`, `"500m"`. With 0 an attempt says that it only sleeps or waits for others: it takes no slot.
    pub fn cpu(mut self, cpu: impl Display) -> Resources {
        self.cpu = Some(cpu.to_string());
        self
    }

    /// Memory: `"512Mi"`, `"2G"`. On a server it is the limit of the process, too.
    pub fn memory(mut self, memory: impl Into<String>) -> Resources {
        self.memory = Some(memory.into());
        self
    }

    /// Devices, of whichever kind.
    pub fn gpu(mut self, devices: u32) -> Resources {
        self.gpu = Some(devices);
        self
    }
}
