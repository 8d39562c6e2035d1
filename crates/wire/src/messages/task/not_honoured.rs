//! What is asked for and not honoured.

use spanwise_proto::flyteidl2::core::task_metadata;
use spanwise_proto::flyteidl2::task::TaskSpec;

/// What is asked for and not honoured, one sentence each (semantics S10).
pub fn not_honoured(spec: &TaskSpec) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |is_set: bool, field: &str, instead: &str| {
        if is_set {
            warnings.push(format!("{field} is not honoured: {instead}"));
        }
    };
    if let Some(template) = spec.task_template.as_option() {
        let metadata = &template.metadata;
        let extended = &template.extended_resources;
        warn(
            metadata.interruptible_value == Some(task_metadata::InterruptibleValue::Interruptible(true)),
            "interruptible",
            "tasks are processes of this machine",
        );
        warn(!metadata.pod_template_name.is_empty(), "pod_template_name", "there are no pods");
        warn(extended.gpu_accelerator.is_set(), "resources.gpu", "accelerators are not assigned");
        warn(extended.shared_memory.is_set(), "resources.shm", "a process has the machine's shared memory");
        warn(
            template.reuse_policy.is_set() || template.r#type == "actor",
            "reuse_policy",
            "each action has a process of its own, forked from a warm interpreter",
        );
    }
    warnings
}
