//! Hashes, identities, cache keys and names equal stock Flyte's.

use std::{hint::black_box, time::Instant};

use proptest::prelude::*;
use spanwise_proto::{
    Message,
    flyteidl2::{
        core::{Literal, TypedInterface},
        task::{Inputs, NamedLiteral},
    },
    hash,
};

use crate::golden::{bytes, cases, hex, text};

#[test]
fn s3_literal_repr_equals_flyte() {
    for case in cases("literals").iter().chain(cases("hashed_literals")) {
        let literal = Literal::decode_from_slice(&bytes(&case["literal"])).unwrap();
        let mut repr = Vec::new();
        hash::literal_repr(&literal, &mut repr);
        assert_eq!(hex(&repr), text(&case["repr"]), "{}", case["name"]);
    }
}

#[test]
fn s3_inputs_hash_equals_flyte() {
    for case in cases("inputs") {
        let inputs = Inputs::decode_from_slice(&bytes(&case["inputs"])).unwrap();
        let ignored: Vec<&str> = case["ignored"].as_array().unwrap().iter().map(text).collect();
        let hash = hash::inputs_hash_ignoring(&inputs.literals, &ignored);
        assert_eq!(hash, text(&case["hash"]), "{case}");
        if ignored.is_empty() {
            assert_eq!(hash::inputs_hash(&inputs.literals), hash);
        }
    }
}

#[test]
fn s3_inputs_hash_of_each_literal_equals_flyte() {
    for case in cases("literals") {
        let literal = Literal::decode_from_slice(&bytes(&case["literal"])).unwrap();
        assert_eq!(
            hash::inputs_hash(&[NamedLiteral::new("x", literal)]),
            text(&case["inputs_hash"]),
            "{}",
            case["name"]
        );
    }
}

#[test]
fn s3_interface_hash_equals_flyte() {
    for case in cases("literals").iter().chain(cases("identities")) {
        let interface = TypedInterface::decode_from_slice(&bytes(&case["interface"])).unwrap();
        assert_eq!(hash::interface_hash(&interface), text(&case["interface_hash"]), "{}", case["name"]);
    }
}

#[test]
fn s3_task_identity_and_s5_cache_key_equal_flyte() {
    for case in cases("identities") {
        let name = text(&case["task_name"]);
        let interface_hash = text(&case["interface_hash"]);
        let version = text(&case["version"]);
        assert_eq!(hash::task_identity(name, interface_hash, version), text(&case["task_identity"]));
        assert_eq!(
            hash::cache_key(text(&case["inputs_hash"]), name, interface_hash, version),
            text(&case["cache_key"])
        );
    }
}

#[test]
fn s3_step_identity_equals_flyte() {
    for case in cases("steps") {
        assert_eq!(hash::step_identity(text(&case["function"]), text(&case["source"])), text(&case["identity"]));
    }
}

#[test]
fn s3_child_name_equals_flyte() {
    for case in cases("names") {
        let name = hash::child_action_name(
            text(&case["caller"]),
            text(&case["inputs_hash"]),
            text(&case["identity"]),
            case["seq"].as_u64().unwrap(),
            case["group"].as_str(),
        );
        assert_eq!(name, text(&case["name"]), "{case}");
    }
}

#[test]
fn s3_context_is_no_part_of_the_inputs_hash() {
    let case = &cases("inputs")[1];
    let mut inputs = Inputs::decode_from_slice(&bytes(&case["inputs"])).unwrap();
    assert!(!inputs.context.is_empty());
    inputs.context.clear();
    assert_eq!(hash::inputs_hash(&inputs.literals), text(&case["hash"]));
}

/// The bound is loose: it catches an accidental quadratic step, not a slow machine. Run with `--nocapture` to see the figure.
#[test]
fn hash_and_name_of_a_small_call_are_cheap() {
    const ROUNDS: u64 = 20_000;
    let inputs = [NamedLiteral::new("x", Literal::integer(42))];
    let identity = hash::task_identity("env.f", "aGFzaA==", "1");
    let start = Instant::now();
    for seq in 0..ROUNDS {
        let hash = hash::inputs_hash(black_box(&inputs));
        black_box(hash::child_action_name("a0", &hash, &identity, seq, None));
    }
    let each = start.elapsed() / ROUNDS as u32;
    eprintln!("hash and name of one call: {each:?}");
    assert!(each.as_millis() < 1);
}

proptest! {
    #[test]
    fn s3_child_name_fits_an_action_name(
        caller in ".*", inputs in ".*", identity in ".*", seq: u64, group in proptest::option::of(".*"),
    ) {
        let name = hash::child_action_name(&caller, &inputs, &identity, seq, group.as_deref());
        prop_assert!((1..=25).contains(&name.len()));
        prop_assert!(name.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()));
    }

    #[test]
    fn s3_seq_and_group_give_other_names(seq in 1u64..1000, group in "[a-z]{1,8}") {
        let name = |seq, group| hash::child_action_name("a0", "h", "i", seq, group);
        prop_assert_ne!(name(seq, None), name(seq + 1, None));
        prop_assert_ne!(name(seq, None), name(seq, Some(&group)));
        prop_assert_eq!(name(seq, None), name(seq, Some("")));
    }
}
