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
        let named = |image: &str, warnings: &[String]| {
            warnings.iter().map(|warning| format!("image {image}: {warning}")).collect()
        };
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
        let image = new.task.image.as_str();
        let found = ImageKey::of(image).and_then(|key| environments.find(&key));
        Ok(found.map(|environment| named(image, &environment.warnings)).unwrap_or_default())
    }
}
