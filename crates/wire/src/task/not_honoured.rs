//! What is asked for and not honoured.

use spanwise_proto::flyteidl2::core::task_metadata;
use spanwise_proto::flyteidl2::task::{RunSpec, TaskSpec};

/// What is asked for and not honoured, one sentence each (semantics S10).
pub fn not_honoured(spec: &TaskSpec, run_spec: &RunSpec) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |asked: bool, field: &str, instead: &str| {
        if asked {
            warnings.push(format!("{field} is not honoured: {instead}"));
        }
    };
    warn(run_spec.interruptible.is_set(), "run_spec.interruptible", "tasks are processes of this machine");
    warn(!run_spec.queue.is_empty(), "run_spec.queue", "there is one queue, shared fairly by all runs");
    warn(!run_spec.cluster_pool.is_empty(), "run_spec.cluster_pool", "there is one machine");
    warn(run_spec.notification_settings.is_some(), "run_spec.notification_settings", "nobody is notified");
    warn(
        !run_spec.raw_data_storage.raw_data_prefix.is_empty(),
        "raw_data_path",
        "data of tasks is in the server's store",
    );
    warn(!run_spec.run_base_dir.is_empty(), "run_base_dir", "inputs and outputs are in the server's store");
    warn(!run_spec.annotations.values.is_empty(), "annotations", "there are no pods to annotate");
    warn(run_spec.default_settings.is_set(), "run_spec.default_settings", "there are no pods to shape");
    warn(run_spec.security_context.is_set(), "run_spec.security_context", "tasks run as the server's user");
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
