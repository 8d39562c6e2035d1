//! What a task asks for that is not honoured: by its fields, by its type and by its pod template.

use spanwise_proto::flyteidl2::core::task_template;
use spanwise_proto::flyteidl2::task::TaskSpec;

use super::{pod, types};
use crate::support::{self, few};

/// What is asked for and not honoured, one sentence each (semantics S10).
pub fn not_honoured(spec: &TaskSpec) -> Vec<String> {
    let mut sentences = support::not_honoured(spec);
    let Some(template) = spec.task_template.as_option() else { return sentences };
    sentences.extend(few(types::not_honoured(template)));
    if let Some(task_template::Target::K8sPod(pod)) = &template.target {
        sentences.extend(few(pod::Pod::of(template, pod).not_honoured));
    }
    sentences
}
