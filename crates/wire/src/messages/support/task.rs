//! The fields of a `TaskSpec`: what is asked of a task.

use super::Support::{Honoured, Refused, Stored, Warned};
use super::{Row, called, row};

/// By the fields of `flyteidl2.task.TaskSpec`.
pub const TASK: &[Row] = &[
    row("task_template.id", Honoured("")),
    row("task_template.type", Honoured("see [task types](#task-types)")),
    row("task_template.metadata.discoverable", Honoured("")),
    row("task_template.metadata.runtime", Stored("")),
    row("task_template.metadata.timeout", Honoured("")),
    row("task_template.metadata.retries", Honoured("")),
    row("task_template.metadata.discovery_version", Honoured("")),
    row("task_template.metadata.deprecated_error_message", Stored("")),
    called("task_template.metadata.interruptible", "interruptible", Warned("tasks are processes of this machine")),
    row("task_template.metadata.cache_serializable", Honoured("")),
    row("task_template.metadata.tags", Stored("")),
    called("task_template.metadata.pod_template_name", "pod_template_name", Warned("there are no pods")),
    row("task_template.metadata.cache_ignore_input_vars", Honoured("")),
    row("task_template.metadata.is_eager", Stored("")),
    row("task_template.metadata.generates_deck", Honoured("the report that the task writes is on its page")),
    row("task_template.metadata.metadata", Stored("")),
    row("task_template.metadata.debuggable", Stored("")),
    called("task_template.metadata.log_links", "links", Warned("links to other places are not shown")),
    row("task_template.metadata.image_build_run", Stored("")),
    row("task_template.metadata.is_entrypoint", Stored("")),
    row("task_template.metadata.code_bundle_uri", Stored("`flyte get code` brings what the container's args name")),
    row("task_template.metadata.timeouts", Honoured("")),
    row(
        "task_template.metadata.produces_artifacts",
        Honoured("what the outputs declare is kept with the success of the attempt"),
    ),
    row("task_template.metadata.cache_max_age", Honoured("")),
    row("task_template.interface", Honoured("")),
    called(
        "task_template.interface.inputs.variables.value.artifact_partial_id",
        "an artifact as an input",
        Warned("a run is given versions of artifacts by whoever starts it, or by a trigger"),
    ),
    called(
        "task_template.interface.inputs.variables.value.artifact_tag",
        "an artifact as an input",
        Warned("a run is given versions of artifacts by whoever starts it, or by a trigger"),
    ),
    called(
        "task_template.interface.outputs.variables.value.artifact_partial_id",
        "an artifact as an output",
        Warned("a run is given versions of artifacts by whoever starts it, or by a trigger"),
    ),
    called(
        "task_template.interface.outputs.variables.value.artifact_tag",
        "an artifact as an output",
        Warned("a run is given versions of artifacts by whoever starts it, or by a trigger"),
    ),
    row(
        "task_template.custom",
        Honoured("as the task's type has it; what it asks of a cluster is warned about: see [task types](#task-types)"),
    ),
    row(
        "task_template.container.image",
        Honoured(
            "chooses the Python environment; a published image of Flyte's without layers is the Python that it names with the SDK, another one that was not built here the server's own interpreter",
        ),
    ),
    row("task_template.container.command", Honoured("as args")),
    row(
        "task_template.container.args",
        Honoured(
            "with Flyte's placeholders; `a0` is run by the task's Python environment, another program as the PATH finds it",
        ),
    ),
    row(
        "task_template.container.resources",
        Honoured(
            "memory: the limit, else the request, of all processes of an attempt by a control group, where the server may make \
             one, else of each as `RLIMIT_DATA` (with 64 MiB for the interpreter): `spanwise doctor` says which; who needs more fails with \
             `OOMKilled` (`flyte.errors.OOMError`), which names the limit; a task with `cpu=0` takes no slot; what is requested counts \
             where the server or the queue has a limit of it: see [queues](queues.md)",
        ),
    ),
    row("task_template.container.env", Honoured("")),
    row("task_template.container.config", Stored("")),
    called("task_template.container.ports", "container.ports", Warned("a process listens where it likes")),
    row(
        "task_template.container.data_config",
        Honoured(
            "of a task of type `raw-container`: see [containers](containers.md); other tasks read and write by the SDK",
        ),
    ),
    called(
        "task_template.container.data_config.io_strategy",
        "container.data_config.io_strategy",
        Warned("inputs are there before the program starts, outputs are taken after its end"),
    ),
    row("task_template.container.architecture", Stored("")),
    row(
        "task_template.k8s_pod",
        Honoured("the primary container is the task's process: see [pod templates](#pod-templates)"),
    ),
    row("task_template.sql", Refused("the task fails with `BadTaskSpecification`")),
    row("task_template.task_type_version", Stored("")),
    called("task_template.security_context.run_as", "service_account", Warned("tasks run as the server's user")),
    row(
        "task_template.security_context.secrets",
        Honoured(
            "as environment variables, and as files where the machine can mount them for one process: see [secrets](secrets.md)",
        ),
    ),
    called("task_template.security_context.tokens", "security_context.tokens", Warned("there is no login")),
    called(
        "task_template.extended_resources.gpu_accelerator",
        "resources.gpu",
        Warned("accelerators are not assigned"),
    ),
    called(
        "task_template.extended_resources.shared_memory",
        "resources.shm",
        Warned("a process has the machine's shared memory"),
    ),
    row("task_template.config", Stored("")),
    called(
        "task_template.reuse_policy",
        "reuse_policy",
        Warned("each action has a process of its own, forked from a warm interpreter"),
    ),
    called("task_template.worker_kind", "worker_kind", Warned("there is one kind of worker")),
    row("default_inputs.name", Honoured("")),
    row("default_inputs.parameter.var", Stored("")),
    row("default_inputs.parameter.default", Honoured("")),
    row(
        "default_inputs.parameter.required",
        Stored("the task fails where an input is missing that it has no default for"),
    ),
    called(
        "default_inputs.parameter.artifact_query",
        "an artifact as a default",
        Warned("a run is given versions of artifacts by whoever starts it, or by a trigger"),
    ),
    called(
        "default_inputs.parameter.artifact_id",
        "an artifact as a default",
        Warned("a run is given versions of artifacts by whoever starts it, or by a trigger"),
    ),
    row("short_name", Stored("")),
    row("environment", Stored("")),
    row("documentation", Stored("")),
];
