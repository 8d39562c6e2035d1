//! What a task process is started with: Flyte's placeholders in its arguments, and its environment.
//!
//! The contract is that of the stock SDK's entry point `a0` (`_bin/runtime.py`); a Rust task binary keeps the same one.

use spanwise_blobs::{BadUri, BlobUri};
use spanwise_core::{ActionName, AttemptNo, RunId, Timestamp};
use spanwise_wire::CustomContext;

use crate::layout;

/// What the process of an attempt is given.
#[derive(Debug)]
pub(crate) struct Contract<'a> {
    pub(crate) run: &'a RunId,
    pub(crate) action: &'a ActionName,
    pub(crate) attempt: AttemptNo,
    /// The attempt whose checkpoint this one goes on from, if there is one.
    pub(crate) previous: Option<AttemptNo>,
    /// When the run was accepted.
    pub(crate) run_started_at: Timestamp,
    /// Where the server listens, as `host:port`.
    pub(crate) endpoint: &'a str,
}

/// Where an attempt finds and leaves its files.
#[derive(Debug)]
pub(crate) struct FileUris {
    pub(crate) run_base: BlobUri,
    pub(crate) inputs: BlobUri,
    pub(crate) outputs: BlobUri,
    pub(crate) raw_data: BlobUri,
    checkpoint: BlobUri,
    previous_checkpoint: Option<BlobUri>,
}

/// One object in an attempt's directory, or a directory packed into one.
const CHECKPOINTS: &str = "_flytecheckpoints";

/// Where an attempt leaves its checkpoint.
pub(crate) fn checkpoint(run: &RunId, action: &ActionName, attempt: AttemptNo) -> Result<BlobUri, BadUri> {
    layout::attempt(run, action, attempt)?.join(CHECKPOINTS)
}

impl Contract<'_> {
    pub(crate) fn file_uris(&self) -> Result<FileUris, BadUri> {
        let outputs = layout::attempt(self.run, self.action, self.attempt)?;
        Ok(FileUris {
            run_base: layout::run_base(self.run)?,
            inputs: outputs.join("inputs.pb")?,
            raw_data: layout::raw_data(self.run, self.action, self.attempt)?,
            checkpoint: outputs.join(CHECKPOINTS)?,
            previous_checkpoint: self.previous.map(|attempt| checkpoint(self.run, self.action, attempt)).transpose()?,
            outputs,
        })
    }

    /// The arguments with the placeholders filled in.
    pub(crate) fn fill(&self, argv: &[String], uris: &FileUris) -> Vec<String> {
        argv.iter().map(|argument| substitute(argument, &|name| self.value(name, uris))).collect()
    }

    /// The value of a placeholder; none for one that this contract does not have, which stays as it is.
    fn value(&self, name: &str, uris: &FileUris) -> Option<String> {
        Some(match name.to_ascii_lowercase().as_str() {
            "input" => uris.inputs.to_string(),
            "inputprefix" | "outputprefix" => uris.outputs.to_string(),
            "rawoutputdataprefix" => uris.raw_data.to_string(),
            "checkpointoutputprefix" => uris.checkpoint.to_string(),
            "prevcheckpointprefix" => uris.previous_checkpoint.as_ref().map(BlobUri::to_string).unwrap_or_default(),
            "runname" => self.run.name.to_string(),
            "actionname" => self.action.to_string(),
            "runstarttime" => crate::text::rfc3339(self.run_started_at),
            "perretryuniquekey" => format!("{}-{}-{}", self.run.name, self.action, self.attempt),
            _ => return None,
        })
    }

    /// The variables that the contract sets, whatever the user has set.
    pub(crate) fn variables(&self, uris: &FileUris, context: &CustomContext) -> Vec<(String, String)> {
        let mut variables = of_server(self.endpoint, &self.run.org, &self.run.project, &self.run.domain);
        let of_attempt = [
            ("ACTION_NAME", self.action.to_string()),
            ("RUN_NAME", self.run.name.to_string()),
            ("FLYTE_ATTEMPT_NUMBER", self.attempt.0.saturating_sub(1).to_string()),
            ("_U_RUN_BASE", uris.run_base.to_string()),
        ];
        variables.extend(of_attempt.map(|(name, value)| (name.to_owned(), value)));
        // W3C environment carriers, so that tools which the task starts join the trace.
        let carried = context.environment().filter(|(_, value)| !value.is_empty());
        variables.extend(carried.map(|(name, value)| (name, value.to_owned())));
        variables
    }
}

/// What tasks and apps have to know of their server, and of where they belong.
pub(crate) fn of_server(endpoint: &str, org: &str, project: &str, domain: &str) -> Vec<(String, String)> {
    [
        ("FLYTE_INTERNAL_EXECUTION_PROJECT", project.to_owned()),
        ("FLYTE_INTERNAL_EXECUTION_DOMAIN", domain.to_owned()),
        ("_U_ORG_NAME", org.to_owned()),
        ("_U_EP_OVERRIDE", endpoint.to_owned()),
        ("_U_INSECURE", "true".to_owned()),
        ("_U_USE_ACTIONS", "1".to_owned()),
        // The SDK's own name of the store; any credentials are accepted on loopback.
        ("FLYTE_AWS_ENDPOINT", format!("http://{endpoint}/s3")),
        ("FLYTE_AWS_ACCESS_KEY_ID", "spanwise".to_owned()),
        ("FLYTE_AWS_SECRET_ACCESS_KEY", "spanwise".to_owned()),
        ("FSSPEC_FILE", r#"{"auto_mkdir": true}"#.to_owned()),
        ("PYTHONUNBUFFERED", "1".to_owned()),
        ("DO_NOT_TRACK", "1".to_owned()),
        // Where the SDK finds the apps of the same project and domain.
        ("INTERNAL_APP_ENDPOINT_PATTERN", app_pattern(endpoint, project, domain)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The addresses of the apps of a project and domain, as the SDK fills them in (`_app_environment.py`).
fn app_pattern(endpoint: &str, project: &str, domain: &str) -> String {
    format!("http://{endpoint}/apps/{project}/{domain}/{{app_fqdn}}")
}

/// The variables by which somebody says where spans go.
const EXPORTER: [&str; 3] =
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"];

/// The variables by which somebody says where S3 is, or as whom it is asked.
const STORE: [&str; 12] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// The store has no regions, but some clients ask for one.
const REGION: &str = "us-east-1";

/// Variables that send spans to the collector of this server.
pub(crate) fn exporter_defaults(server: &str) -> Vec<(String, String)> {
    let [endpoint, _, protocol] = EXPORTER;
    vec![(endpoint.to_owned(), format!("http://{server}")), (protocol.to_owned(), "http/protobuf".to_owned())]
}

/// True if the server's environment, the image, the task or the run says where spans go: then none of it is touched.
fn names_an_exporter(layers: &[Vec<(String, String)>]) -> bool {
    layers.iter().flatten().any(|(name, _)| EXPORTER.contains(&name.as_str()))
}

/// Variables that say where S3 is to whatever is not the SDK: boto3, pyarrow, deltalake, programs. Over plain HTTP, which some have to be
/// allowed.
fn store_defaults(server: &str) -> Vec<(String, String)> {
    let endpoint = format!("http://{server}/s3");
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ENDPOINT_URL_S3", &endpoint),
        ("AWS_ACCESS_KEY_ID", "spanwise"),
        ("AWS_SECRET_ACCESS_KEY", "spanwise"),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ALLOW_HTTP", "true"),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// True if the image, the task, a secret or the run says whose S3 is meant: then none of it is touched but the region, which the SDK needs.
fn names_a_store(layers: &[Vec<(String, String)>]) -> bool {
    layers.iter().flatten().any(|(name, _)| STORE.contains(&name.as_str()))
}

/// Puts what holds unless somebody says otherwise before all other layers: where S3 is, and where spans go.
pub(crate) fn with_defaults(
    mut layers: Vec<Vec<(String, String)>>,
    server: &str,
    exporter: Vec<(String, String)>,
) -> Vec<Vec<(String, String)>> {
    let store = match names_a_store(&layers) {
        true => vec![("AWS_REGION".to_owned(), REGION.to_owned())],
        false => store_defaults(server),
    };
    if !names_an_exporter(&layers) {
        layers.insert(0, exporter);
    }
    layers.insert(0, store);
    layers
}

/// Later variables win over earlier ones of the same name.
pub(crate) fn merge(layers: impl IntoIterator<Item = Vec<(String, String)>>) -> Vec<(String, String)> {
    let merged: std::collections::BTreeMap<String, String> = layers.into_iter().flatten().collect();
    merged.into_iter().collect()
}

/// Replaces `{{.name}}` and `{{$name}}`, blanks allowed, wherever there is a value for the name.
pub(crate) fn substitute(text: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let (before, tail) = rest.split_at(start);
        filled.push_str(before);
        let Some(end) = tail.find("}}") else {
            filled.push_str(tail);
            return filled;
        };
        let name = tail[2..end].trim();
        match name.strip_prefix(['.', '$']).and_then(value) {
            Some(value) => filled.push_str(&value),
            None => filled.push_str(&tail[..end + 2]),
        }
        rest = &tail[end + 2..];
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use spanwise_core::RunName;

    use super::*;

    fn run() -> RunId {
        RunId {
            org: "local".into(),
            project: "p".into(),
            domain: "development".into(),
            name: RunName::new("r1").unwrap(),
        }
    }

    fn contract(run: &RunId) -> Contract<'_> {
        Contract {
            run,
            action: &ActionName::ROOT,
            attempt: AttemptNo(2),
            previous: Some(AttemptNo(1)),
            run_started_at: Timestamp(1_700_000_000_000_000),
            endpoint: "127.0.0.1:8585",
        }
    }

    #[test]
    fn whose_s3_is_meant_is_said_by_whoever_says_anything_about_it() {
        let server = "127.0.0.1:8585";
        let merged = |own: &[(&str, &str)]| {
            let own = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            merge(with_defaults(vec![own], server, Vec::new()))
        };
        let value = |variables: &[(String, String)], wanted: &str| {
            variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
        };
        let ours = merged(&[("AWS_REGION", "eu-west-1"), ("PATH", "/bin")]);
        assert_eq!(value(&ours, "AWS_ENDPOINT_URL").as_deref(), Some("http://127.0.0.1:8585/s3"));
        assert_eq!(value(&ours, "AWS_REGION").as_deref(), Some("eu-west-1"), "a region is the user's");
        for name in STORE {
            let own = merged(&[(name, "x")]);
            let names: Vec<&str> = own.iter().map(|(name, _)| name.as_str()).collect();
            let mut expected = vec![name, "AWS_REGION"];
            expected.sort_unstable();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn placeholders_are_filled_in_whatever_their_spelling() {
        let run = run();
        let contract = contract(&run);
        let uris = contract.file_uris().unwrap();
        let argv = [
            "{{.input}}",
            "{{ $RunName }}/x",
            "{{.prevCheckpointPrefix}}",
            "{{.runStartTime}}",
            "{{.unknown}}",
            "{{",
            "a{{.b",
        ]
        .map(str::to_owned);
        let filled = contract.fill(&argv, &uris);
        let base = "s3://spanwise/runs/local/p/development/r1/a0";
        let expected = [
            &format!("{base}/2/inputs.pb"),
            "r1/x",
            &format!("{base}/1/_flytecheckpoints"),
            "2023-11-14T22:13:20.000000Z",
            "{{.unknown}}",
            "{{",
            "a{{.b",
        ];
        assert_eq!(filled, expected);
    }

    #[test]
    fn s1_11_trace_context_is_in_the_environment_and_attempts_count_from_zero() {
        let run = run();
        let contract = contract(&run);
        let uris = contract.file_uris().unwrap();
        let pairs = [("traceparent", "00-1-2-03"), ("tracestate", "")];
        let context = CustomContext::from_pairs(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let variables = contract.variables(&uris, &context);
        let get = |name: &str| variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        assert_eq!(get("TRACEPARENT"), Some("00-1-2-03"));
        assert_eq!(get("TRACESTATE"), None);
        assert_eq!(get("FLYTE_ATTEMPT_NUMBER"), Some("1"));
        let apps = "http://127.0.0.1:8585/apps/p/development/{app_fqdn}";
        assert_eq!(get("INTERNAL_APP_ENDPOINT_PATTERN"), Some(apps));
        assert_eq!(get("_U_RUN_BASE"), Some("s3://spanwise/runs/local/p/development/r1"));
    }

    #[test]
    fn spans_go_to_the_collector_unless_somebody_says_where_they_go() {
        let layer = |name: &str| vec![(name.to_owned(), "x".to_owned())];
        assert!(!names_an_exporter(&[layer("PATH"), layer("OTEL_SERVICE_NAME")]));
        for name in EXPORTER {
            assert!(names_an_exporter(&[layer("PATH"), layer(name), Vec::new()]), "{name}");
        }
        let expected = [(EXPORTER[0], "http://127.0.0.1:8585"), (EXPORTER[2], "http/protobuf")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(exporter_defaults("127.0.0.1:8585"), expected);
    }
}
