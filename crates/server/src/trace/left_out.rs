//! What of a trace is not shown, in words: what was acknowledged is seen, or it is said why not.

use spanwise_core::trace::TraceId;

/// Received spans that are not shown, by why not.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeftOut {
    trace: Option<TraceId>,
    /// How many spans of the trace are stored.
    pub(crate) received: u64,
    /// More than are looked at.
    pub(crate) beyond: u64,
    /// With the ids of lifecycle spans.
    pub(crate) same_ids: usize,
    /// Of other runs.
    pub(crate) other_runs: usize,
    /// Of a run whose lifecycle cannot be read.
    pub(crate) nowhere: usize,
    /// The stored spans cannot be read.
    pub(crate) is_unreadable: bool,
}

impl LeftOut {
    pub(super) fn of(trace: TraceId) -> LeftOut {
        LeftOut { trace: Some(trace), ..LeftOut::default() }
    }

    /// How many spans are not shown in the run's tree.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        usize::try_from(self.beyond).unwrap_or(usize::MAX) + self.same_ids + self.other_runs + self.nowhere
    }

    /// Where all spans of the trace are.
    pub(crate) fn address(&self) -> String {
        let trace = self.trace.map(|trace| trace.to_string()).unwrap_or_default();
        format!("/v1/traces/{trace}?limit={}", self.received.max(1))
    }

    /// A sentence for each reason, for the tree of a run.
    pub(crate) fn of_tree(&self) -> Vec<String> {
        let mut said = self.of_files();
        if self.other_runs > 0 {
            said.push(format!("{} of other runs: they are on the pages of those runs", spans(self.other_runs as u64)));
        }
        if self.nowhere > 0 {
            said.push(format!(
                "{} without a place: the lifecycle of the run cannot be read",
                spans(self.nowhere as u64)
            ));
        }
        said
    }

    /// The same for files, which have the spans of other runs as well.
    pub(crate) fn of_files(&self) -> Vec<String> {
        let mut said = Vec::new();
        if self.is_unreadable {
            said.push("the received spans: they cannot be read now".to_owned());
        }
        if self.beyond > 0 {
            let looked_at = self.received.saturating_sub(self.beyond);
            said.push(format!(
                "{}: {looked_at} of {} are looked at, this run's own first",
                spans(self.beyond),
                self.received
            ));
        }
        if self.same_ids > 0 {
            said.push(format!("{} with the id of a span of the run's lifecycle", spans(self.same_ids as u64)));
        }
        said
    }
}

fn spans(count: u64) -> String {
    format!("{count} received {}", if count == 1 { "span" } else { "spans" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_said_with_its_number() {
        assert!(LeftOut::of(TraceId([1; 16])).of_tree().is_empty());
        let left_out =
            LeftOut { received: 21_001, beyond: 1_001, same_ids: 1, other_runs: 7, ..LeftOut::of(TraceId([1; 16])) };
        let said = [
            "1001 received spans: 20000 of 21001 are looked at, this run's own first",
            "1 received span with the id of a span of the run's lifecycle",
            "7 received spans of other runs: they are on the pages of those runs",
        ];
        assert_eq!(
            (left_out.of_tree(), left_out.of_files()),
            (said.map(str::to_owned).to_vec(), said[..2].iter().map(|said| (*said).to_owned()).collect())
        );
        assert_eq!(
            (left_out.count(), left_out.address()),
            (1009, format!("/v1/traces/{}?limit=21001", "01".repeat(16)))
        );
    }
}
