//! The queues that runs and tasks name, and whose share of them they have.

use spanwise_core::admission::{KEY_LABEL, MAX_WEIGHT, WEIGHT_LABEL};
use spanwise_engine::{Engine, RunOptions};
use spanwise_wire::{Invalid, shown, title};

/// What is said of a queue that this server does not have.
pub(crate) fn not_there(engine: &Engine, queue: Option<&str>) -> Option<String> {
    let queue = queue.filter(|queue| !engine.has_queue(queue))?;
    Some(format!("queue `{}` is not honoured: this server has none of this name", shown(queue)))
}

/// Whether a run can have these options, as far as they are about queues.
pub(crate) fn check(options: &RunOptions) -> Result<(), Invalid> {
    title("run_spec.queue", options.queue.as_deref().unwrap_or_default())?;
    if let Some(key) = options.labels.get(KEY_LABEL) {
        title("run_spec.labels.spanwise.key", key)?;
        if key.is_empty() {
            return Err(Invalid::field(format!("run_spec.labels.{KEY_LABEL}: it is empty")));
        }
    }
    let weight = options.labels.get(WEIGHT_LABEL);
    let is_weight = |weight: &String| weight.parse().is_ok_and(|weight: u32| (1..=MAX_WEIGHT).contains(&weight));
    match weight.filter(|weight| !is_weight(weight)) {
        Some(weight) => Err(Invalid::field(format!(
            "run_spec.labels.{WEIGHT_LABEL}: `{}` is no number from 1 to {MAX_WEIGHT}",
            shown(weight)
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s14_8_labels_of_shares_are_checked() {
        let checked = |label: &str, value: &str| {
            let labels = [(label.to_owned(), value.to_owned())].into();
            check(&RunOptions { labels, ..RunOptions::default() }).map_err(|error| error.to_string())
        };
        for (label, value) in [(KEY_LABEL, "team a"), (WEIGHT_LABEL, "1"), (WEIGHT_LABEL, "1000"), ("other", "")] {
            assert_eq!(checked(label, value), Ok(()), "{label} {value}");
        }
        for (label, value) in [
            (KEY_LABEL, ""),
            (KEY_LABEL, "a\nb"),
            (WEIGHT_LABEL, "0"),
            (WEIGHT_LABEL, "1001"),
            (WEIGHT_LABEL, "-1"),
            (WEIGHT_LABEL, "much"),
            (WEIGHT_LABEL, ""),
        ] {
            let refused = checked(label, value).unwrap_err();
            assert!(refused.contains(&format!("run_spec.labels.{label}")), "{refused}");
        }
        let queue = Some("q".repeat(10_000));
        let refused = check(&RunOptions { queue, ..RunOptions::default() }).unwrap_err().to_string();
        assert!(refused.contains("run_spec.queue"), "{refused}");
    }
}
