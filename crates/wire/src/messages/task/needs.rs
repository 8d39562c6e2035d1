//! What the attempts of a task need, as its resources say.

use spanwise_core::admission::Needs;
use spanwise_core::quantity::{millis, quantity};
use spanwise_proto::flyteidl2::core::resources::{ResourceEntry, ResourceName};
use spanwise_proto::flyteidl2::core::{Resources, TaskTemplate};

use super::container;
use crate::{Invalid, shown};

/// What is requested; of what is only limited, the limit, as Kubernetes has it.
pub(super) fn of(template: &TaskTemplate) -> Result<Needs, Invalid> {
    match container(template) {
        Some(container) => of_resources(&container.resources),
        None => Ok(Needs::default()),
    }
}

fn of_resources(resources: &Resources) -> Result<Needs, Invalid> {
    let entry = |name: ResourceName| {
        let is_it = |entry: &&ResourceEntry| entry.name.as_known() == Some(name);
        resources.requests.iter().chain(&resources.limits).find(is_it).map(|entry| entry.value.as_str())
    };
    let invalid = |what: &str, value: &str, example: &str| {
        Invalid::field(format!("container.resources: {what} `{}` is no {example}", shown(value)))
    };
    let cpu = entry(ResourceName::CPU);
    let cpu =
        cpu.map(|cpu| millis(cpu).ok_or_else(|| invalid("cpu", cpu, "number of processors, such as 2, 0.5 or 500m")));
    let gpu = entry(ResourceName::GPU).filter(|gpu| !gpu.is_empty());
    let gpu = gpu.map(|gpu| gpu.parse().map_err(|_| invalid("gpu", gpu, "number of devices")));
    // What is no number of bytes is refused with the limit of the process.
    let memory = entry(ResourceName::MEMORY).and_then(quantity).unwrap_or_default();
    Ok(Needs { cpu: cpu.transpose()?, memory, gpu: gpu.transpose()?.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s14_3_what_is_requested_is_needed_and_else_what_is_the_limit() {
        let entry = |(name, value): &(ResourceName, &str)| ResourceEntry {
            name: (*name).into(),
            value: (*value).to_owned(),
            ..ResourceEntry::default()
        };
        let needs = |requests: &[(ResourceName, &str)], limits: &[(ResourceName, &str)]| {
            let (requests, limits) = (requests.iter().map(entry).collect(), limits.iter().map(entry).collect());
            of_resources(&Resources { requests, limits, ..Resources::default() })
        };
        use ResourceName::{CPU, GPU, MEMORY};
        assert_eq!(needs(&[], &[]).unwrap(), Needs::default());
        let found = needs(&[(CPU, "0"), (MEMORY, "1Gi")], &[(CPU, "2"), (MEMORY, "2Gi"), (GPU, "1")]).unwrap();
        assert_eq!(found, Needs { cpu: Some(0), memory: 1 << 30, gpu: 1 });
        assert!(!found.takes_a_slot());
        for (wrong, named) in [((CPU, "lots"), "cpu `lots`"), ((GPU, "-1"), "gpu `-1`"), ((GPU, "1.5"), "gpu `1.5`")] {
            let refused = needs(&[wrong], &[]).unwrap_err().to_string();
            assert!(refused.contains(named), "{refused}");
        }
    }
}
