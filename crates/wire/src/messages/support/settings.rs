//! The fields of `Settings`: what runs of an organisation, a domain or a project have where they say nothing.

use super::Support::{Honoured, Warned};
use super::{Row, called, row};

/// By the fields of `flyteidl2.settings.Settings`.
pub const SETTINGS: &[Row] = &[
    row("run.default_queue", Honoured("for runs that name none; their tasks may name another")),
    row("run.max_action_concurrency", Honoured("for runs that say nothing; 1 is refused")),
    called("run.run_base_dir", "run.run_base_dir", Warned("inputs and outputs are in the server's store")),
    called("security.service_account", "security.service_account", Warned("tasks run as the server's user")),
    called("storage.raw_data_path", "storage.raw_data_path", Warned("data of tasks is in the server's store")),
    row(
        "task_resource.min.cpu",
        Honoured("what a task needs that says nothing of it; what a task says of itself counts, whatever it is"),
    ),
    row("task_resource.min.gpu", Honoured("as that of `cpu`; which device it is, is not assigned")),
    row("task_resource.min.memory", Honoured("as that of `cpu`; the limit of its process too, if there is no maximum")),
    called("task_resource.min.storage", "task_resource.min.storage", Warned("a process has the machine's disk")),
    called("task_resource.max.cpu", "task_resource.max.cpu", Warned("processors are counted, not limited")),
    called("task_resource.max.gpu", "task_resource.max.gpu", Warned("accelerators are not assigned")),
    row("task_resource.max.memory", Honoured("the limit of the process of a task that says nothing of its memory")),
    called("task_resource.max.storage", "task_resource.max.storage", Warned("a process has the machine's disk")),
    row("task_resource.mirror_limits_request", Honoured("then the minimum of memory is the limit")),
    called(
        "task_resource.default_accelerator",
        "task_resource.default_accelerator",
        Warned("accelerators are not assigned"),
    ),
    row("labels", Honoured("of runs; a label that a run has itself counts")),
    row("annotations", Honoured("of runs, as labels")),
    row(
        "environment_variables",
        Honoured("of task processes, above those of the image and below those of task and run"),
    ),
    called("app.disallow_anonymous", "app.disallow_anonymous", Warned("whoever may use this server reaches its apps")),
    called("app.app_dns_strategy", "app.app_dns_strategy", Warned("apps are at addresses of this server")),
    called("pod_template_name", "pod_template_name", Warned("there are no pods")),
];
