//! The RPCs of Flyte.

use super::Support::{self, Honoured, Refused};

/// Methods of a service with one answer.
#[derive(Clone, Copy, Debug)]
pub struct Methods {
    /// The full name of the service.
    pub service: &'static str,
    /// Their names.
    pub names: &'static [&'static str],
    /// Which side sends a stream.
    pub streams: Streams,
    /// What becomes of a call.
    pub support: Support,
    /// The tests that show it, as the documentation names them.
    pub shown_by: &'static str,
}

/// Which side of a call sends a stream of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// One message each way.
    Neither,
    /// The server does.
    Server,
    /// Both do.
    Both,
}

impl Methods {
    /// The name of the service without its package.
    pub fn short_service(&self) -> &'static str {
        self.service.rsplit_once('.').map_or(self.service, |(_, name)| name)
    }
}

/// What becomes of a call of `flyteidl2.workflow.RunService/CreateRun`; none for what Flyte does not have.
pub fn of_path(path: &str) -> Option<&'static Methods> {
    let (service, name) = path.trim_start_matches('/').split_once('/')?;
    METHODS.iter().find(|row| row.service == service && row.names.contains(&name))
}

/// Why a call is refused: `RunService/WatchRuns: ..`; none if it is not.
pub fn refusal(path: &str) -> Option<String> {
    let row = of_path(path)?;
    let Refused(why) = row.support else { return None };
    let name = path.rsplit('/').next().unwrap_or_default();
    Some(format!("{}/{name}: {why}", row.short_service()))
}

const fn unary(service: &'static str, names: &'static [&'static str], support: Support) -> Methods {
    Methods { service, names, streams: Streams::Neither, support, shown_by: "" }
}

const fn server_stream(service: &'static str, names: &'static [&'static str], support: Support) -> Methods {
    Methods { streams: Streams::Server, ..unary(service, names, support) }
}

const fn both_stream(service: &'static str, names: &'static [&'static str], support: Support) -> Methods {
    Methods { streams: Streams::Both, ..unary(service, names, support) }
}

impl Methods {
    const fn shown_by(self, shown_by: &'static str) -> Methods {
        Methods { shown_by, ..self }
    }
}

const ACTIONS: &str = "flyteidl2.actions.ActionsService";
const APPS: &str = "flyteidl2.app.AppService";
const ARTIFACTS: &str = "flyteidl2.artifact.ArtifactService";
const DATA: &str = "flyteidl2.dataproxy.DataProxyService";
const INTERNAL: &str = "flyteidl2.workflow.InternalRunService";
const PROJECTS: &str = "flyteidl2.project.ProjectService";
const RUNS: &str = "flyteidl2.workflow.RunService";
const STATES: &str = "flyteidl2.workflow.StateService";
const TRACKED: &str = "flyteidl2.workflow.TrackedRunService";
const TRIGGERS: &str = "flyteidl2.trigger.TriggerService";

const NO_CONNECTORS: &str = "there are no connectors: a task is a process of this machine";
const NO_DOMAINS: &str = "the domains are development, staging and production";
const NO_LOGIN: &str = "this server has no login: connect with `insecure=True`";
const OWN_APPS: &str = "it is for clusters: this server runs its apps itself";
const OWN_CACHE: &str = "lookups, reservations and results of the cache are made by the server itself, for each action whose task is cached";
const OWN_EVENTS: &str = "the server learns of what its tasks do by itself";

const WATCHED_ACTIONS: &str = "the present state, then each change with its parent, to the end of the run; filters as those of ListActions set `meets_filter`";
const WATCHED_RUNS: &str = "the present state from the newest run on, then each run that is created or whose root changes; whoever takes nothing while 10000 \
                            runs change is ended, and watches again";

/// All of them, by service.
pub const METHODS: &[Methods] = &[
    unary(ACTIONS, &["Enqueue", "Abort", "Signal"], Honoured("a condition's `webhook` is not called, which its page says"))
        .shown_by("`stock_sdk::concurrency`, `restart`, `waiting`"),
    server_stream(ACTIONS, &["WatchForUpdates"], Honoured("")).shown_by("`stock_sdk::concurrency`, `restart`"),
    unary(
        ACTIONS,
        &["Update"],
        Refused("attempts are processes of the server, which learns of their ends by itself"),
    ),
    server_stream("flyteidl2.app.AppLogsService", &["TailLogs"], Honoured("of the last start, or of the one that is named"))
        .shown_by("`apps`"),
    unary(
        APPS,
        &["Create", "Delete", "Get", "List", "Update"],
        Honoured("lists are filtered by `status_phase`, `created_by` and `name`"),
    )
    .shown_by("`apps`"),
    unary(APPS, &["UpdateStatus"], Refused(OWN_APPS)),
    server_stream(APPS, &["Lease"], Refused(OWN_APPS)),
    server_stream(APPS, &["Watch"], Honoured("")).shown_by("`apps`"),
    unary(
        ARTIFACTS,
        &[
            "CreateArtifact",
            "DeclareArtifact",
            "DeleteArtifact",
            "GetArtifact",
            "GetArtifactSchema",
            "ListArtifactMetadataKeys",
            "ListArtifactNames",
            "ListArtifacts",
            "ListPartitionValues",
        ],
        Honoured(
            "the newest come first; lists are filtered by `source_run`, `source_action`, `source_external_ref`, `version`, `created_at`, `time_partition`, `partition.*` \
             and `user_metadata.*`, names by `name` (contains): all others are refused by name; S20",
        ),
    )
    .shown_by("`artifacts`"),
    unary("flyteidl2.auth.AuthMetadataService", &["GetOAuth2Metadata", "GetPublicClientConfig"], Refused(NO_LOGIN)),
    unary("flyteidl2.auth.IdentityService", &["UserInfo"], Honoured("the server's user")),
    unary(
        "flyteidl2.cacheservice.CacheService",
        &["Delete", "Get", "GetOrExtendReservation", "Put", "ReleaseReservation"],
        Refused(OWN_CACHE),
    ),
    unary(
        "flyteidl2.cacheservice.v2.CacheService",
        &["Delete", "Get", "GetOrExtendReservation", "Put", "ReleaseReservation"],
        Refused(OWN_CACHE),
    ),
    unary("flyteidl2.cluster.ClusterService", &["SelectCluster"], Honoured("there is one cluster")).shown_by("`stock_sdk`"),
    unary(
        "flyteidl2.connector.AsyncConnectorService",
        &["CreateTask", "DeleteTask", "GetTask", "GetTaskMetrics"],
        Refused(NO_CONNECTORS),
    ),
    server_stream("flyteidl2.connector.AsyncConnectorService", &["GetTaskLogs"], Refused(NO_CONNECTORS)),
    unary(
        "flyteidl2.connector.ConnectorMetadataService",
        &["GetConnector", "ListConnectors"],
        Refused(NO_CONNECTORS),
    ),
    unary(DATA, &["CreateUploadLocation", "UploadInputs", "GetActionData"], Honoured("")).shown_by("`stock_sdk::values`"),
    server_stream(DATA, &["TailLogs"], Honoured("")).shown_by("`stock_sdk::processes`"),
    unary(DATA, &["CreateDownloadLink"], Honoured("for reports and code bundles of actions")).shown_by("`stock_sdk::deploy`"),
    unary("flyteidl2.imagebuilder.ImageService", &["GetImage"], Honoured("")).shown_by("`guide`, `images`"),
    unary(
        "flyteidl2.org.DomainService",
        &["CreateDomain", "DeleteDomain", "GetDomain", "ListDomains", "UpdateDomain"],
        Refused(NO_DOMAINS),
    ),
    unary(
        PROJECTS,
        &["CreateProject", "GetProject", "ListProjects", "UpdateProject"],
        Honoured(
            "a project need not be created: it is there once something runs in it; an archived one is left out of lists, and its runs and triggers go on; \
             lists are filtered by `state`, and in the order of the ids",
        ),
    )
    .shown_by("`projects`, `stock_sdk::cli`, `listing`"),
    unary(
        "flyteidl2.secret.SecretService",
        &["CreateSecret", "DeleteSecret", "GetSecret", "ListSecrets", "UpdateSecret"],
        Honoured("binary values must be text, pull secrets are refused"),
    )
    .shown_by("`stock_sdk::context`, `stock_sdk::cli`"),
    unary(
        "flyteidl2.settings.SettingsService",
        &["CreateSettings", "GetSettings", "GetSettingsForEdit", "UpdateSettings"],
        Honoured(
            "of an organisation, a domain and a project in a domain, the narrowest counts; who changes them says which version was read, and is `aborted` if that is \
             not the last one; what a setting gives to runs: [settings](#settings)",
        ),
    )
    .shown_by("`settings`"),
    unary(
        "flyteidl2.task.TaskService",
        &["DeployTask", "GetTaskDetails", "ListTasks", "ListVersions"],
        Honoured(
            "lists sorted by `created_at`, tasks filtered by `name` (equal, contains); a version that is there is `already_exists`, and with other content a warning in the server's \
             log, in `spanwise tasks` and with its runs; its triggers are deployed with it",
        ),
    )
    .shown_by("`stock_sdk::deploy`, `told`, `triggers`"),
    unary(
        TRIGGERS,
        &["DeployTrigger"],
        Honoured("cron, fixed rate, on request (S11) and by versions of an artifact (S20)"),
    )
    .shown_by("`triggers`, `artifacts`"),
    unary(
        TRIGGERS,
        &["DeleteTriggers", "GetTriggerDetails", "GetTriggerRevisionDetails", "GetTriggerRevisionHistory", "UpdateTriggers"],
        Honoured(""),
    )
    .shown_by("`triggers`"),
    unary(TRIGGERS, &["ListTriggers"], Honoured("those that changed last first; filters are refused by name"))
        .shown_by("`triggers`"),
    unary("flyteidl2.workflow.EventsProxyService", &["Record"], Refused(OWN_EVENTS)),
    unary(INTERNAL, &["RecordAction", "RecordActionEvents", "UpdateActionStatus"], Refused(OWN_EVENTS)),
    both_stream(
        INTERNAL,
        &["RecordActionEventStream", "RecordActionStream", "UpdateActionStatusStream"],
        Refused(OWN_EVENTS),
    ),
    unary(
        "flyteidl2.workflow.QueueService",
        &["AbortQueuedAction", "AbortQueuedRun", "EnqueueAction"],
        Honoured("as ActionsService; conditions without a type are refused"),
    ),
    server_stream("flyteidl2.workflow.RunLogsService", &["TailLogs"], Refused("use DataProxyService/TailLogs")),
    unary(
        RUNS,
        &["CreateRun"],
        Honoured(
            "with `trigger_name` the task, and where none are given the inputs and settings, of the trigger; with `source` = schedule \
             the slot of `run_start_time`, which is warned of otherwise",
        ),
    )
    .shown_by("`stock_sdk`, `guide`, `triggers`"),
    unary(RUNS, &["GetRunDetails", "GetActionDetails"], Honoured("")).shown_by("`stock_sdk`"),
    server_stream(RUNS, &["WatchRunDetails", "WatchActionDetails"], Honoured("")).shown_by("`stock_sdk`"),
    unary(
        RUNS,
        &["ListRuns", "ListActions"],
        Honoured(
            "pages, `paused_actions_only`, a task in one version, the runs of a trigger; filters `phase` (PAUSED: runs that wait for an answer), `task_name`, \
             `task_version`, `created_at`, `updated_at` (of a run: the last change of its root), `created_by` (everybody is `local`), \
             `labels.*`; of actions `phase`, `parent_name`, `action_type`, `task_name`, `created_at`, `updated_at`; sorted by `created_at`; all \
             others, and `raw_filters`, are refused by name",
        ),
    )
    .shown_by("`stock_sdk::context`, `stock_sdk::cli`, `told`, `listing`"),
    unary(
        RUNS,
        &["AbortRun", "AbortAction"],
        Honoured("for what has ended, an answer with the header `spanwise-had-ended`"),
    )
    .shown_by("`stock_sdk::processes`, `told`"),
    unary(RUNS, &["SignalEvent", "GetActionDataURIs"], Honoured("the value must be of the condition's type"))
        .shown_by("`stock_sdk::conditions`, `waiting`"),
    unary(RUNS, &["GetActionData"], Refused("it is deprecated: use DataProxyService/GetActionData")),
    unary(RUNS, &["GetActionLogContext"], Refused("there are no pods: use DataProxyService/TailLogs")),
    server_stream(RUNS, &["WatchRuns"], Honoured(WATCHED_RUNS)).shown_by("`watches`"),
    server_stream(RUNS, &["WatchActions"], Honoured(WATCHED_ACTIONS)).shown_by("`watches`"),
    server_stream(RUNS, &["WatchGroups"], Refused("it is not part of this version: list the runs with ListRuns")),
    server_stream(RUNS, &["WatchClusterEvents"], Refused("there is no cluster: read the log with DataProxyService/TailLogs")),
    unary(STATES, &["Put", "Get"], Refused("states are kept by the server itself: watch them, or read RunService")),
    server_stream(STATES, &["Watch"], Honoured("as ActionsService/WatchForUpdates")),
    unary(
        TRACKED,
        &["CreateRun"],
        Honoured("the program's settings and limits are its own: they are shown, and nothing here follows from them"),
    )
    .shown_by("`tracked`"),
    unary(
        TRACKED,
        &["ReportActions"],
        Honoured(
            "late and doubled reports change nothing; each report has an answer of its own; phases QUEUED to TIMED_OUT; `log_info`, `log_context`, \
             `cluster_events` and `cache_metadata` are not kept, which the log says and `--strict` refuses; at most 50000 at once",
        ),
    )
    .shown_by("`tracked`"),
    unary(
        TRACKED,
        &["GetActionDetails", "GetRunDetails", "ListActions", "ListRuns"],
        Honoured("as RunService, of tracked runs alone"),
    )
    .shown_by("`tracked`"),
    unary(TRACKED, &["AbortRun"], Honoured("as it is recorded: the program is not stopped, and what it reports is refused from then on"))
        .shown_by("`tracked`"),
    server_stream(TRACKED, &["WatchActionDetails", "WatchRunDetails"], Honoured("as RunService, of tracked runs alone"))
        .shown_by("`tracked`"),
    server_stream(TRACKED, &["WatchActions", "WatchRuns"], Honoured("as RunService, of tracked runs alone")).shown_by("`watches`"),
    unary(
        "flyteidl2.workflow.TranslatorService",
        &["JsonValuesToLiterals", "LaunchFormJsonToLiterals", "LiteralsToLaunchFormJson", "TaskSpecToLaunchFormJson"],
        Refused("launch forms are made by the clients"),
    ),
];
