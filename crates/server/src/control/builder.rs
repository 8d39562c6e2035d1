//! The task that builds images: there is one in every organisation without anybody having deployed it, where and as the stock SDK's
//! remote image builder looks for it (`remote_builder.py`). What it does is the executor's (`attempt/image.rs`).

use spanwise_core::Timestamp;
use spanwise_engine::{Scope, TaskRow};
use spanwise_wire::image::{self, ImageRequest};
use spanwise_wire::{Invalid, ids::TaskKey, task::IMAGE_BUILD, task::TaskDefinition};

use super::{ControlPlane, Error, NewRun};
use crate::attempt::{BUILD_LIMIT, plan_of_image};
use spanwise_process::environments::ImageKey;

pub(super) const NAME: &str = "build-image";
const PROJECT: &str = "system";
const DOMAIN: &str = "production";

/// Whether a name means this task.
pub(super) fn is_meant(scope: &Scope, name: &str) -> bool {
    scope.project == PROJECT && scope.domain == DOMAIN && name == NAME
}

/// The task as a deployed one.
pub(super) fn row(scope: &Scope) -> TaskRow {
    TaskRow {
        scope: scope.clone(),
        name: NAME.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        definition: IMAGE_BUILD.to_owned(),
        deployed_at: Timestamp(0),
    }
}

/// Whether a row is [`row`], and not that of a task which somebody has deployed under its name.
pub(super) fn is_row(row: &TaskRow) -> bool {
    row.definition == IMAGE_BUILD
}

pub(super) fn definition(scope: &Scope) -> Result<TaskDefinition, Invalid> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    TaskDefinition::of(image::builder(&TaskKey { scope: scope.clone(), name: NAME.to_owned(), version }, BUILD_LIMIT))
}

impl ControlPlane {
    /// What of an image cannot be realised: of one that is to be built, or of the one that a run's task asks for.
    pub(super) async fn image_warnings(&self, new: &NewRun) -> Result<Vec<String>, Error> {
        let environments = self.inner.executor.environments();
        if new.task.builds_images {
            let request = ImageRequest::of(&new.inputs);
            // Of a run that fails the SDK shows no more than that it did.
            if let Some(problem) = environments.current().await.problem() {
                return Err(Error::Unmet(format!("image {} cannot be built: {problem}", request.image)));
            }
            let plan = plan_of_image(&self.inner.blobs, &request).await.map_err(Invalid::field)?;
            if let Err(missing) = environments.look_for_python(&plan.plan).await {
                return Err(Error::Unmet(format!("image {} cannot be built: {missing}", request.image)));
            }
            return Ok(named(&request.image, &plan.plan.warnings));
        }
        Ok(self.not_in_image(&new.task))
    }

    /// What of a task is not honoured, its image's part too, which a strict server refuses.
    pub(crate) fn not_honoured(&self, task: &TaskDefinition) -> Result<Vec<String>, Error> {
        let mut not_honoured = task.not_honoured();
        not_honoured.extend(self.not_in_image(task));
        if self.inner.strict && !not_honoured.is_empty() {
            return Err(Invalid::field(format!("task `{}`: {}", task.name, not_honoured.join("; "))).into());
        }
        Ok(not_honoured)
    }

    fn not_in_image(&self, task: &TaskDefinition) -> Vec<String> {
        let found = ImageKey::of(&task.image).and_then(|key| self.inner.executor.environments().find(&key));
        found.map(|environment| named(&task.image, &environment.warnings)).unwrap_or_default()
    }
}

fn named(image: &str, warnings: &[String]) -> Vec<String> {
    warnings.iter().map(|warning| format!("image {image}: {warning}")).collect()
}
