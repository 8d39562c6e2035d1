//! The log of an attempt as a stream: what is there, then what comes, until the attempt has ended.

use std::time::Duration;

use connectrpc::ConnectError;
use futures_util::{Stream, StreamExt, stream};
use spanwise_core::AttemptNo;
use spanwise_process::LogLine;
use spanwise_proto::flyteidl2::dataproxy::{TailLogsResponse, tail_logs_response};
use spanwise_proto::flyteidl2::logs::dataplane::{ContainerIdentifier, LogLine as WireLine, LogLineOriginator};
use spanwise_wire::times;

use super::Api;
use super::reads::Found;

/// The stock command line drops a stream that is silent for 30 s; an empty message keeps it.
const SILENCE: Duration = Duration::from_secs(10);

impl Found {
    /// The attempt that is asked for; 0 is the last one.
    pub(super) fn attempt_or_last(&self, number: u32) -> AttemptNo {
        AttemptNo(if number == 0 { self.action.attempts.max(1) } else { number })
    }
}

impl Api {
    /// The log of an attempt, from its beginning.
    pub(super) async fn tail(
        &self,
        found: &Found,
        attempt: AttemptNo,
    ) -> Result<impl Stream<Item = Result<TailLogsResponse, ConnectError>> + Send + use<>, ConnectError> {
        let log = self.control.log(&found.run, found.name, attempt);
        if log.length().await.is_err() {
            let text = format!("attempt {attempt} of `{}` has not printed anything yet", found.name);
            return Err(ConnectError::not_found(text));
        }
        let batches = log.follow(0);
        let closing = self.control.closing().clone().cancelled_owned();
        let name = found.name.to_string();
        let answers = stream::unfold(batches, |mut batches| async move {
            match tokio::time::timeout(SILENCE, batches.next()).await {
                Err(_) => Some((Ok(Vec::new()), batches)),
                Ok(Some(batch)) => Some((batch, batches)),
                Ok(None) => None,
            }
        });
        let answers = answers.map(move |batch| match batch {
            Ok(lines) if lines.is_empty() => Ok(TailLogsResponse::default()),
            Ok(lines) => Ok(response(&lines, &name)),
            Err(error) => Err(ConnectError::internal(format!("read the log of `{name}`: {error}"))),
        });
        Ok(answers.take_until(closing))
    }
}

fn response(lines: &[LogLine], action: &str) -> TailLogsResponse {
    let line = |line: &LogLine| WireLine {
        timestamp: times::timestamp(line.at).into(),
        message: format!("{}\n", line.message),
        originator: LogLineOriginator::USER.into(),
        ..WireLine::default()
    };
    let container = ContainerIdentifier {
        cluster_name: "local".to_owned(),
        kubernetes_pod_name: action.to_owned(),
        kubernetes_container_name: action.to_owned(),
        ..ContainerIdentifier::default()
    };
    let logs = tail_logs_response::Logs {
        lines: lines.iter().map(line).collect(),
        container: container.into(),
        ..tail_logs_response::Logs::default()
    };
    TailLogsResponse { logs: vec![logs], ..TailLogsResponse::default() }
}
