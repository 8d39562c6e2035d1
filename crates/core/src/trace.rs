//! Trace and span ids that are derived from names, so that every process of a run computes the same ones.

use blake2::Blake2bMac;
use blake2::digest::consts::{U8, U16};
use blake2::digest::{FixedOutput, Update};

use crate::{ActionName, RunId};

/// The trace id of a run that came with no trace of its own: the same 16 bytes as Flyte's OpenTelemetry plugin derives
/// (`flyteplugins.otel._ids`), so that all attempts and all processes of a run meet in one trace.
///
/// blake2b with a 16-byte digest, personalised `flyte.otel.run.v`, over org, project, domain and run name joined by NUL.
/// The invalid id 0 becomes 1.
pub fn derived_trace_id(run: &RunId) -> [u8; 16] {
    let mut hash = Blake2bMac::<U16>::new_with_salt_and_personal(None, &[], b"flyte.otel.run.v")
        .expect("no key, no salt and 16 bytes of personalisation are in bounds");
    update_joined(&mut hash, &run_parts(run));
    let id: [u8; 16] = hash.finalize_fixed().into();
    match u128::from_be_bytes(id) {
        0 => 1u128.to_be_bytes(),
        _ => id,
    }
}

/// The span id of a span that the engine makes: the same for everyone who makes it, so exporting it twice is harmless.
///
/// blake2b with an 8-byte digest, personalised `spanwise.span.v1`, over org, project, domain, run, action, kind, attempt and
/// ordinal joined by NUL. The invalid id 0 becomes 1.
pub fn derived_span_id(run: &RunId, action: &ActionName, kind: &str, attempt: u32, ordinal: u32) -> [u8; 8] {
    let mut hash = Blake2bMac::<U8>::new_with_salt_and_personal(None, &[], b"spanwise.span.v1")
        .expect("no key, no salt and 16 bytes of personalisation are in bounds");
    let (attempt, ordinal) = (attempt.to_string(), ordinal.to_string());
    update_joined(&mut hash, &run_parts(run));
    hash.update(&[0]);
    update_joined(&mut hash, &[action.as_str(), kind, &attempt, &ordinal]);
    let id: [u8; 8] = hash.finalize_fixed().into();
    match u64::from_be_bytes(id) {
        0 => 1u64.to_be_bytes(),
        _ => id,
    }
}

fn run_parts(run: &RunId) -> [&str; 4] {
    [&run.org, &run.project, &run.domain, run.name.as_str()]
}

fn update_joined(hash: &mut impl Update, parts: &[&str]) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hash.update(&[0]);
        }
        hash.update(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunName;

    fn hex(org: &str, project: &str, domain: &str, run: &str) -> String {
        let id = RunId {
            org: org.to_owned(),
            project: project.to_owned(),
            domain: domain.to_owned(),
            name: RunName::new(run).unwrap(),
        };
        format!("{:032x}", u128::from_be_bytes(derived_trace_id(&id)))
    }

    #[test]
    fn s2_derived_trace_ids_equal_those_of_flytes_plugin() {
        assert_eq!(hex("acme", "proj", "dev", "run-abc"), "f1e52035191e0f4149814b4f2f9da267");
        assert_eq!(hex("", "flytesnacks", "development", "rabc"), "e1df7e88ebd55d3165f93fb14a1549d8");
    }
}
