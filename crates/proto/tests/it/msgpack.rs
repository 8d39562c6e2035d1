//! Msgpack is re-encoded as stock Flyte re-encodes it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use spanwise_proto::msgpack::reordered;

use crate::golden::{bytes, cases, hex, text};

#[test]
fn s3_msgpack_is_sorted_like_flyte() {
    for case in cases("msgpack") {
        let raw = bytes(&case["raw"]);
        let canonical = reordered(&raw).unwrap_or(raw);
        assert_eq!(hex(&canonical), text(&case["canonical"]), "{}", case["name"]);
    }
}

proptest! {
    #[test]
    fn s3_order_of_keys_does_not_matter(map: BTreeMap<String, i64>) {
        let pack = |entries: Vec<(&String, &i64)>| {
            let mut out = vec![0xdf];
            out.extend_from_slice(&(entries.len() as u32).to_be_bytes());
            for (key, value) in entries {
                out.extend_from_slice(&rmp_serde::to_vec(key).unwrap());
                out.extend_from_slice(&rmp_serde::to_vec(value).unwrap());
            }
            out
        };
        let forward = reordered(&pack(map.iter().collect()));
        let backward = reordered(&pack(map.iter().rev().collect()));
        prop_assert_eq!(&forward, &backward);
        let canonical = forward.expect("the wide header is not canonical");
        prop_assert_eq!(reordered(&canonical), None);
        let read: BTreeMap<String, i64> = rmp_serde::from_slice(&canonical).unwrap();
        prop_assert_eq!(read, map);
    }

    #[test]
    fn s3_any_bytes_are_canonical_after_one_pass(data: Vec<u8>) {
        if let Some(canonical) = reordered(&data) {
            prop_assert_eq!(reordered(&canonical), None);
        }
    }
}
