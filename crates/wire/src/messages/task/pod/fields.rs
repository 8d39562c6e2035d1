//! Every field of a pod's description, with what becomes of it: nothing of a pod template is ignored.

use super::Fate::{self, Honoured, Refused, Warned};

/// The fields of a pod (`PodSpec` of Kubernetes).
pub(super) const POD: [(&str, Fate); 44] = [
    ("activeDeadlineSeconds", Warned("use the task's timeout")),
    ("affinity", ONE_MACHINE),
    ("automountServiceAccountToken", SERVER_USER),
    ("containers", Honoured("the primary one")),
    ("dnsConfig", MACHINE_NETWORK),
    ("dnsPolicy", MACHINE_NETWORK),
    ("enableServiceLinks", Warned("there are no services to link to")),
    ("ephemeralContainers", Warned("only the primary container is started")),
    ("evictionResponders", Warned("nothing is evicted")),
    ("hostAliases", MACHINE_NETWORK),
    ("hostIPC", HOST),
    ("hostNetwork", HOST),
    ("hostPID", HOST),
    ("hostUsers", HOST),
    ("hostname", MACHINE_NETWORK),
    ("hostnameOverride", MACHINE_NETWORK),
    ("imagePullSecrets", Warned("no image is pulled")),
    ("initContainers", Warned("only the primary container is started")),
    ("nodeName", ONE_MACHINE),
    ("nodeSelector", ONE_MACHINE),
    ("os", Warned("tasks have the system of this machine")),
    ("overhead", ONE_MACHINE),
    ("preemptionPolicy", ONE_MACHINE),
    ("priority", ONE_MACHINE),
    ("priorityClassName", ONE_MACHINE),
    ("readinessGates", Warned("a process is ready when it runs")),
    ("resourceClaims", Warned("devices are not assigned")),
    ("resources", Warned("set the resources of the container")),
    ("restartPolicy", Warned("use the task's retries")),
    ("runtimeClassName", Warned("tasks are processes of this machine")),
    ("schedulerName", ONE_MACHINE),
    ("schedulingGates", ONE_MACHINE),
    ("schedulingGroup", ONE_MACHINE),
    ("securityContext", SERVER_USER),
    ("serviceAccount", SERVER_USER),
    ("serviceAccountName", SERVER_USER),
    ("setHostnameAsFQDN", MACHINE_NETWORK),
    ("shareProcessNamespace", Warned("only the primary container is started")),
    ("subdomain", MACHINE_NETWORK),
    ("terminationGracePeriodSeconds", Warned("every task has the server's --grace-seconds")),
    ("tolerations", ONE_MACHINE),
    ("topologySpreadConstraints", ONE_MACHINE),
    ("volumes", NO_MOUNTS),
    // Not of Kubernetes: what stands there in place of a field that this version does not know.
    ("*", Warned("nothing is known of it here")),
];

/// The fields of the primary container (`Container` of Kubernetes).
pub(super) const CONTAINER: [(&str, Fate); 26] = [
    ("args", Honoured("with Flyte's placeholders and $(NAME)")),
    ("command", Honoured("with Flyte's placeholders and $(NAME)")),
    ("env", Honoured("values; `valueFrom` is refused, and warned of where it is optional")),
    ("envFrom", Refused("there are no config maps and secrets of Kubernetes: use env_vars and secrets of the task")),
    ("image", Honoured("chooses the Python environment")),
    ("imagePullPolicy", Honoured("no image is pulled")),
    ("lifecycle", Warned("nothing is run before or after the task")),
    ("livenessProbe", NO_PROBES),
    ("name", Honoured("says which one is the primary")),
    ("ports", Honoured("a process listens where it wants")),
    ("readinessProbe", NO_PROBES),
    ("resizePolicy", ONE_MACHINE),
    ("resources", Honoured("memory as of any container; processors are advisory; others warned")),
    ("restartPolicy", Warned("use the task's retries")),
    ("restartPolicyRules", Warned("use the task's retries")),
    ("securityContext", SERVER_USER),
    ("startupProbe", NO_PROBES),
    ("stdin", Warned("a task has no input of a terminal")),
    ("stdinOnce", Warned("a task has no input of a terminal")),
    ("terminationMessagePath", Warned("a task that ends badly shows the end of its log")),
    ("terminationMessagePolicy", Honoured("a task that ends badly shows the end of its log")),
    ("tty", Warned("a task has no terminal")),
    ("volumeDevices", NO_MOUNTS),
    ("volumeMounts", NO_MOUNTS),
    ("workingDir", Warned("each task has a directory of its own")),
    ("*", Warned("nothing is known of it here")),
];

const ONE_MACHINE: Fate = Warned("there is one machine, which all runs share fairly");
const MACHINE_NETWORK: Fate = Warned("tasks have the network and the names of this machine");
const SERVER_USER: Fate = Warned("tasks run as the server's user");
const NO_MOUNTS: Fate = Warned("tasks have the file system of this machine, and nothing is mounted");
const NO_PROBES: Fate = Warned("a task is watched by its process");
const HOST: Fate = Honoured("a process has what is the machine's; that it has not is warned of");
