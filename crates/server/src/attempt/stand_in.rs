//! The environment that stands in for an interpreter without the SDK: made when the first task needs it, with the version of the SDK that its image has.

use std::path::Path;

use spanwise_core::{Failure, text::seconds};
use spanwise_process::environments::{Build, ImageKey, Plan};
use spanwise_process::{Hidden, ProcessId, with_programs};
use spanwise_wire::image::published_sdk;

use super::image::{BUILD_FAILED, LIMIT, not_yet_made};
use super::launcher::{Launcher, bin_of};
use crate::image_plan::SDK;

impl Launcher {
    /// Sees to it that tasks find the SDK. What an installer says is written to `log`; `started` is told of each program that takes part.
    ///
    /// # Cancellation
    /// Safe: what takes part is stopped, and what it has written is removed.
    pub(crate) async fn stand_in(
        &self,
        image: &str,
        log: &Path,
        started: &(dyn Fn(&ProcessId) + Send + Sync),
    ) -> Result<(), Failure> {
        let base = self.environments().current().await;
        let Some(key) = self.stands_in(image) else { return Ok(()) };
        let version = version_of(image);
        let name = format!("{} {version}", SDK.name);
        let build = Build {
            image: &name,
            key: &key,
            plan: &Plan { sdk: Some(version.to_owned()), python: base.version(), ..Plan::default() },
            context: None,
            env: with_programs(base.within(self.inherited().for_installer()), &bin_of(&base)),
            log,
            fresh: false,
            built_by: None,
            hidden: &Hidden::default(),
            started,
        };
        let made = tokio::time::timeout(LIMIT, self.environments().stand_in(&build)).await;
        let made = made.map_err(|_| {
            let message = format!("an environment with {name} was not made within {}", seconds(LIMIT));
            Failure::system(BUILD_FAILED, message)
        })?;
        made.map_err(not_yet_made)
    }

    /// The key of the environment that has to stand in for the interpreter; none if that has the SDK, or does not work.
    pub(super) fn stands_in(&self, image: &str) -> Option<ImageKey> {
        self.environments().base().lacks_sdk().map(|_| ImageKey::of_sdk(version_of(image)))
    }
}

/// The version of the SDK that an image has, as far as its name says; else the one that is known to work.
fn version_of(image: &str) -> &str {
    published_sdk(image).unwrap_or(SDK.tried)
}
