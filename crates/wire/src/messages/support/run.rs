//! The fields of a `RunSpec`: what is asked of a run.

use super::Support::{Honoured, Stored, Warned};
use super::{Row, called, row};

/// By the fields of `flyteidl2.task.RunSpec`.
pub const RUN: &[Row] = &[
    row(
        "labels",
        Honoured(
            "`spanwise.trace` = off, lifecycle or full says how the run is traced, `spanwise.steps` = on or off whether its steps have \
             spans of the server's, `spanwise.key` and `spanwise.weight` whose share of a queue its tasks have (see [queues](queues.md)); another \
             value is refused",
        ),
    ),
    row("annotations", Stored("shown with the run")),
    row("envs", Honoured("for all tasks of the run")),
    called("interruptible", "run_spec.interruptible", Warned("tasks are processes of this machine")),
    row("overwrite_cache", Honoured("")),
    row(
        "queue",
        Honoured(
            "for tasks of the run that name none; one that the server does not have is warned about: see [queues](queues.md)",
        ),
    ),
    called("raw_data_storage.raw_data_prefix", "raw_data_path", Warned("data of tasks is in the server's store")),
    called("security_context", "run_spec.security_context", Warned("tasks run as the server's user")),
    row("cache_config", Honoured("")),
    called("notification_rule_name", "notifications", Warned("there are no rules with names: nobody is notified")),
    row(
        "notification_rules",
        Honoured("webhooks, Slack, Teams and e-mail, at the end of the run: see [notifications](notifications.md)"),
    ),
    called(
        "notification_rules.rules.delivery_config_name",
        "notifications",
        Warned("there are no deliveries with names: nobody is notified by such a rule"),
    ),
    called(
        "notification_rules.rules.delivery_template.email.provider_template",
        "notifications",
        Warned("there is no provider of mail that would have templates: nobody is notified by such a rule"),
    ),
    row("run_start_time", Honoured("filled in by the server")),
    row("max_action_concurrency", Honoured("1 is refused")),
    called("run_base_dir", "run_base_dir", Warned("inputs and outputs are in the server's store")),
    called("related_to", "run_spec.related_to", Warned("say it by `relation`")),
    called("cluster_pool", "run_spec.cluster_pool", Warned("there is one machine")),
    row("task_spec_source", Honoured("filled in by the server")),
    row(
        "relation",
        Honoured("rerun, recover and spawn; other types, and reruns of another project's runs, are refused"),
    ),
    row("recover", Honoured("")),
    called("default_settings", "run_spec.default_settings", Warned("there are no pods to shape")),
];
