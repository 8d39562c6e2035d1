//! The fields of an app's `Spec`: what is asked of an app.

use super::Support::{Honoured, Refused, Stored, Warned};
use super::{Row, called, row};

/// By the fields of `flyteidl2.app.Spec`.
pub const APP: &[Row] = &[
    row("container.image", Honoured("chooses the Python environment, as of a task")),
    row(
        "container.command",
        Honoured("`fserve` is run by the SDK's interpreter, another program as the PATH finds it"),
    ),
    row(
        "container.args",
        Honoured("the port of the definition, as a word or behind `=` or `:`, is replaced by the one that is given"),
    ),
    row("container.resources", Honoured("memory, as of a task")),
    row("container.env", Honoured("")),
    row("container.config", Stored("")),
    row("container.ports", Honoured("the first one; `h2c` as its name is HTTP/2 without TLS")),
    called("container.data_config", "container.data_config", Warned("an app has no inputs and outputs")),
    row("container.architecture", Stored("")),
    row("pod", Refused("there are no pods: give the app an image")),
    row("autoscaling.replicas.min", Honoured("0, or 1 for an app that is always there; more are warned about")),
    row("autoscaling.replicas.max", Honoured("1; more are warned about")),
    row("autoscaling.scaledown_period", Honoured("300 s if it is not said")),
    called("autoscaling.scaling_metric", "autoscaling.scaling_metric", Warned(ONE_PROCESS)),
    called("ingress.private", "ingress.private", Warned("whoever may use this server reaches its apps")),
    row("ingress.subdomain", Honoured("below `localhost`")),
    row("ingress.cname", Honoured("whoever has the name lead here is served")),
    row("desired_state", Honoured("")),
    called("cluster_pool", "cluster_pool", Warned(ONE_MACHINE)),
    called("cluster", "cluster", Warned(ONE_MACHINE)),
    row("images", Stored("")),
    called("security_context.run_as", "service_account", Warned("apps run as the server's user")),
    row(
        "security_context.secrets",
        Honoured(
            "as environment variables, and as files where the machine can mount them for one process: see [secrets](secrets.md)",
        ),
    ),
    row("security_context.allow_anonymous", Honoured("pages of other sites may ask it then")),
    called("extended_resources.gpu_accelerator", "resources.gpu", Warned("accelerators are not assigned")),
    called("extended_resources.shared_memory", "resources.shm", Warned("a process has the machine's shared memory")),
    row("runtime_metadata", Stored("")),
    row("profile", Stored("")),
    row("creator", Stored("")),
    row("inputs", Stored("they come with the command, and are shown")),
    row("links", Stored("they are on the app's page")),
    row("timeouts", Honoured("until an answer begins; 300 s if it is not said")),
];

/// Why there are no more.
pub(super) const ONE_PROCESS: &str = "an app has one process at most, which has all requests";

/// Why it does not matter where.
pub(super) const ONE_MACHINE: &str = "there is one machine";
