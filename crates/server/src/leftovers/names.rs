//! Which run something belongs to, by its name.

use std::collections::HashSet;

use spanwise_blobs::{BUCKET, BlobUri};
use spanwise_core::{RunId, RunName};

use crate::layout;

/// The run that a directory `{top}/{org}/{project}/{domain}/{run}` belongs to.
pub(super) fn run_of(base: &BlobUri) -> Option<RunId> {
    let [_, org, project, domain, name] = base.key().split('/').collect::<Vec<_>>().try_into().ok()?;
    let name = RunName::new(name).ok()?;
    Some(RunId { org: org.to_owned(), project: project.to_owned(), domain: domain.to_owned(), name })
}

/// Finds `s3://spanwise/data/{org}/{project}/{domain}/{run}/` wherever it stands in a value, whatever the value's form, and `s3://spanwise/runs/..`
/// before a card, which is what the SDK keeps of an artifact for people beside the outputs of its attempt.
pub(super) fn find_mentions(value: &[u8], found: &mut HashSet<String>) {
    for piece in value.split(|byte| *byte == b':') {
        for (top, is_card) in [(layout::RAW_DATA, false), (layout::RUNS, true)] {
            let prefix = format!("//{BUCKET}/{top}/");
            let Some(text) = piece.strip_prefix(prefix.as_bytes()) else { continue };
            let mut segments = text.split(|byte| *byte == b'/').map(std::str::from_utf8);
            let run: Option<Vec<&str>> = (0..4).map(|_| segments.next()?.ok()).collect();
            // The action, the attempt, and then the directory of cards.
            let is_meant = if is_card { segments.nth(2) == Some(Ok("cards")) } else { segments.next().is_some() };
            if let Some(run) = run.filter(|_| is_meant) {
                found.insert(format!("{top}/{}", run.join("/")));
            }
        }
    }
}
