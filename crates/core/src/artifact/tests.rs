//! Partitions by time, and which versions are waited for.

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

#[test]
fn s20_3_a_partition_by_time_begins_where_utc_says() {
    for (granularity, moment, start) in [
        (Granularity::Minute, "2026-09-17T13:45:59.9Z", "2026-09-17T13:45:00Z"),
        (Granularity::Hour, "2026-09-17T13:45:00Z", "2026-09-17T13:00:00Z"),
        (Granularity::Day, "2026-09-17T23:59:59Z", "2026-09-17T00:00:00Z"),
        (Granularity::Week, "2026-09-17T13:45:00Z", "2026-09-14T00:00:00Z"),
        (Granularity::Week, "2026-09-14T00:00:00Z", "2026-09-14T00:00:00Z"),
        (Granularity::Week, "2026-09-13T23:59:59Z", "2026-09-07T00:00:00Z"),
        (Granularity::Month, "2024-02-29T23:59:59Z", "2024-02-01T00:00:00Z"),
        (Granularity::Month, "1969-12-31T23:59:59Z", "1969-12-01T00:00:00Z"),
        (Granularity::Week, "1969-12-31T23:59:59Z", "1969-12-29T00:00:00Z"),
    ] {
        assert_eq!(granularity.start_of(at(moment)), at(start), "{granularity:?} {moment}");
    }
}

#[test]
fn s20_3_keys_are_the_same_in_any_order() {
    let schema = |time: Option<(&str, Granularity)>, texts: &[&str]| PartitionSchema {
        time: time.map(|(key, granularity)| (key.to_owned(), granularity)),
        texts: texts.iter().map(|text| (*text).to_owned()).collect(),
    };
    let day = Some(("date", Granularity::Day));
    assert!(schema(day, &["b", "a"]).is_same(&schema(day, &["a", "b"])));
    assert!(!schema(day, &["a"]).is_same(&schema(None, &["a"])));
    assert!(!schema(day, &[]).is_same(&schema(Some(("date", Granularity::Hour)), &[])));
    assert!(!schema(None, &["a"]).is_same(&schema(None, &["a", "b"])));
}

fn on(version: Option<&str>, partition: &[(&str, &str)]) -> OnArtifact {
    OnArtifact {
        name: "model".to_owned(),
        version: version.map(str::to_owned),
        partition: partition.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

fn partition(texts: &[(&str, &str)]) -> Partition {
    Partition { texts: on(None, texts).partition, ..Partition::default() }
}

#[test]
fn s20_6_a_version_is_wanted_by_its_name_and_by_its_partition() {
    let us = partition(&[("region", "us"), ("tier", "1")]);
    for (on, wants) in [
        (on(None, &[]), true),
        (on(Some("v1"), &[]), true),
        (on(Some("v2"), &[]), false),
        (on(None, &[("region", "us")]), true),
        (on(None, &[("region", "eu")]), false),
        (on(None, &[("region", "us"), ("other", "")]), false),
    ] {
        assert_eq!(on.wants("v1", &us), wants, "{on:?}");
    }
}
