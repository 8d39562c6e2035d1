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

/// Finds `s3://spanwise/data/{org}/{project}/{domain}/{run}/` wherever it stands in a value, whatever the value's form.
pub(super) fn find_mentions(value: &[u8], found: &mut HashSet<String>) {
    let prefix = format!("//{BUCKET}/{}/", layout::RAW_DATA);
    for text in value.split(|byte| *byte == b':').filter_map(|piece| piece.strip_prefix(prefix.as_bytes())) {
        let mut segments = text.split(|byte| *byte == b'/').map(std::str::from_utf8);
        let run: Option<Vec<&str>> = (0..4).map(|_| segments.next()?.ok()).collect();
        if let (Some(run), Some(_)) = (run, segments.next()) {
            found.insert(format!("{}/{}", layout::RAW_DATA, run.join("/")));
        }
    }
}
