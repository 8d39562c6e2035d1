//! Versions of artifacts.

use bytes::Bytes;
use spanwise_core::artifact::{
    ArtifactId, ArtifactKey, ArtifactName, Granularity, Partition, PartitionSchema, TimePartition,
};
use spanwise_core::trigger::TriggerId;
use spanwise_core::{ActionName, AttemptNo, Phase, RunName, Timestamp};

use super::examples::{append, create, enqueued, run};
use crate::{Append, ArtifactQuery, ArtifactRow, ArtifactSource, NewArtifact, Retention, RunKey, Scope, Store};

fn scope(project: &str) -> Scope {
    Scope { org: "acme".to_owned(), project: project.to_owned(), domain: "dev".to_owned() }
}

fn name(name: &str) -> ArtifactName {
    ArtifactName { scope: scope("p"), name: name.to_owned() }
}

fn version(of: &str, version: &str) -> NewArtifact {
    NewArtifact {
        id: ArtifactId { name: name(of), version: version.to_owned() },
        partition: Partition::default(),
        metadata: Default::default(),
        source: ArtifactSource::Unknown,
        producer: None,
        body: Bytes::from(format!("{of} größe {version}")),
        created_at: Timestamp(10),
    }
}

fn in_partition(of: &str, number: &str, day: i64, texts: &[(&str, &str)]) -> NewArtifact {
    let time = TimePartition { key: "date".to_owned(), granularity: Granularity::Day, start: Timestamp(day) };
    let texts = texts.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    NewArtifact { partition: Partition { time: Some(time), texts }, ..version(of, number) }
}

fn put(store: &dyn Store, versions: &[NewArtifact]) {
    versions.iter().for_each(|version| assert!(store.put_artifact(version).unwrap().is_some()));
}

fn found(store: &dyn Store, query: &ArtifactQuery) -> Vec<String> {
    let shown = |row: ArtifactRow| format!("{}@{}", row.artifact.id.name.name, row.artifact.id.version);
    store.artifacts(query).unwrap().into_iter().map(shown).collect()
}

/// Once, as it was, with everything that is said of it.
pub fn a_version_is_kept_once(store: &dyn Store) {
    let source =
        ArtifactSource::Attempt { run: RunName::new("r1").unwrap(), action: ActionName::ROOT, attempt: AttemptNo(2) };
    let producer = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03".parse().ok();
    let first = NewArtifact { source, producer, ..in_partition("m", "v1", 5, &[("region", "größe \"us\"")]) };
    let key = store.put_artifact(&first).unwrap().unwrap();
    assert_eq!(store.put_artifact(&version("m", "v1")).unwrap(), None);
    let external = NewArtifact { source: ArtifactSource::External("hf://x".to_owned()), ..version("m", "v2") };
    put(store, std::slice::from_ref(&external));
    let rows = store.artifacts(&ArtifactQuery::of(&name("m"))).unwrap();
    assert_eq!(rows.iter().map(|row| &row.artifact).collect::<Vec<_>>(), [&external, &first]);
    assert_eq!(store.artifact_by_key(key).unwrap().unwrap().artifact, first);
    assert_eq!(store.artifact_by_key(ArtifactKey(99)).unwrap(), None);
    let one = ArtifactQuery { version: Some("v1".to_owned()), ..ArtifactQuery::of(&name("m")) };
    assert_eq!(found(store, &one), ["m@v1"]);
    assert_eq!(found(store, &ArtifactQuery::within(scope("q"))), [""; 0]);
    let mut seen = Vec::new();
    store.visit_values(&mut |value| seen.push(value.to_vec())).unwrap();
    assert_eq!(seen, [first.body.to_vec(), external.body.to_vec()]);
    assert_eq!(store.newest_fact().unwrap(), Some(Timestamp(10)));
    assert_eq!(store.projects().unwrap(), ["p"]);
}

/// By where they come from, by their times, by their partitions and by what is said of them.
pub fn versions_are_filtered_by_all_that_is_known_of_them(store: &dyn Store) {
    let by = |run: &str| ArtifactSource::Attempt {
        run: RunName::new(run).unwrap(),
        action: ActionName::ROOT,
        attempt: AttemptNo(1),
    };
    let words = |words: &[(&str, &str)]| words.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    put(
        store,
        &[
            NewArtifact { source: by("r1"), ..in_partition("m", "1", 1, &[("region", "us")]) },
            NewArtifact {
                source: by("r2"),
                created_at: Timestamp(20),
                ..in_partition("m", "2", 2, &[("region", "eu")])
            },
            NewArtifact {
                metadata: words(&[("kind", "model"), ("team", "a")]),
                ..in_partition("m", "3", 3, &[("region", "us")])
            },
            NewArtifact { metadata: words(&[("kind", "data")]), ..version("n", "4") },
        ],
    );
    let all = || ArtifactQuery::within(scope("p"));
    let of = |pairs: &[(&str, &[&str])]| -> Vec<(String, Vec<String>)> {
        let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        pairs.iter().map(|(key, of)| ((*key).to_owned(), values(of))).collect()
    };
    let text = |text: &str| Some(text.to_owned());
    for (query, expected) in [
        (all(), vec!["n@4", "m@3", "m@2", "m@1"]),
        (ArtifactQuery { name: text("m"), ..all() }, vec!["m@3", "m@2", "m@1"]),
        (ArtifactQuery { run: text("r2"), ..all() }, vec!["m@2"]),
        (ArtifactQuery { run: text("r2"), action: text("a1"), ..all() }, vec![]),
        (ArtifactQuery { action: text("a0"), ..all() }, vec!["m@2", "m@1"]),
        (ArtifactQuery { external: text("x"), ..all() }, vec![]),
        (ArtifactQuery { since: Some(Timestamp(11)), ..all() }, vec!["m@2"]),
        (ArtifactQuery { until: Some(Timestamp(20)), ..all() }, vec!["n@4", "m@3", "m@1"]),
        (ArtifactQuery { time_since: Some(Timestamp(2)), ..all() }, vec!["m@3", "m@2"]),
        (ArtifactQuery { time_since: Some(Timestamp(2)), time_until: Some(Timestamp(3)), ..all() }, vec!["m@2"]),
        (ArtifactQuery { partition: of(&[("region", &["us"])]), ..all() }, vec!["m@3", "m@1"]),
        (ArtifactQuery { partition: of(&[("region", &["us", "eu"])]), ..all() }, vec!["m@3", "m@2", "m@1"]),
        (ArtifactQuery { partition: of(&[("region", &["us"]), ("other", &["us"])]), ..all() }, vec![]),
        (ArtifactQuery { metadata: of(&[("kind", &["model", "data"])]), ..all() }, vec!["n@4", "m@3"]),
        (ArtifactQuery { metadata: of(&[("kind", &["model"]), ("team", &["a"])]), ..all() }, vec!["m@3"]),
        (ArtifactQuery { metadata: of(&[("kind", &["model"]), ("team", &["b"])]), ..all() }, vec![]),
        (ArtifactQuery { offset: 1, limit: 2, ..all() }, vec!["m@3", "m@2"]),
        (ArtifactQuery { after: Some(ArtifactKey(1)), limit: 2, ..all() }, vec!["m@2", "m@3"]),
    ] {
        assert_eq!(found(store, &query), expected, "{query:?}");
    }
    let keys = |of: Option<&str>| store.artifact_metadata_keys(&scope("p"), of).unwrap();
    assert_eq!((keys(None), keys(Some("n"))), (vec!["kind".to_owned(), "team".to_owned()], vec!["kind".to_owned()]));
}

/// The newest one of those that are asked for.
pub fn of_each_partition_the_newest_version_is_found(store: &dyn Store) {
    put(
        store,
        &[
            in_partition("m", "1", 1, &[("region", "us")]),
            in_partition("m", "2", 1, &[("region", "us")]),
            in_partition("m", "3", 1, &[("region", "eu")]),
            in_partition("m", "4", 2, &[("region", "us")]),
            version("n", "5"),
        ],
    );
    let latest = ArtifactQuery { latest_per_partition: true, ..ArtifactQuery::of(&name("m")) };
    assert_eq!(found(store, &latest), ["m@4", "m@3", "m@2"]);
    assert_eq!(found(store, &ArtifactQuery { time_until: Some(Timestamp(2)), ..latest }), ["m@3", "m@2"]);
    let groups = store.artifact_names(Some(&scope("p")), "", 0, 9).unwrap();
    let shown: Vec<_> = groups
        .iter()
        .map(|group| (group.latest.artifact.id.version.as_str(), group.versions, group.latest_time.map(|at| at.0)))
        .collect();
    assert_eq!(shown, [("5", 1, None), ("4", 4, Some(2))]);
    assert_eq!(store.artifact_names(Some(&scope("p")), "m", 0, 9).unwrap().len(), 1);
    assert_eq!(store.artifact_names(None, "", 1, 9).unwrap()[0].latest.artifact.id.version, "4");
    assert_eq!(store.artifact_names(Some(&scope("q")), "", 0, 9).unwrap(), []);
}

/// By whoever says it first.
pub fn the_keys_of_an_artifact_are_fixed_once(store: &dyn Store) {
    let of_first = in_partition("m", "1", 1, &[("region", "us")]);
    assert_eq!(store.artifact_schema(&name("m")).unwrap(), None);
    put(store, std::slice::from_ref(&of_first));
    put(store, &[version("m", "2")]);
    let schema = PartitionSchema::of(&of_first.partition);
    assert_eq!(store.artifact_schema(&name("m")).unwrap(), Some((schema.clone(), false)));
    let other = PartitionSchema { texts: vec!["b".to_owned(), "a".to_owned()], ..PartitionSchema::default() };
    assert_eq!(store.declare_artifact(&name("m"), &other).unwrap(), schema);
    assert_eq!(store.artifact_schema(&name("m")).unwrap(), Some((schema.clone(), false)));
    assert_eq!(store.declare_artifact(&name("m"), &schema).unwrap(), schema);
    assert_eq!(store.artifact_schema(&name("m")).unwrap(), Some((schema, true)));
    assert_eq!(store.declare_artifact(&name("n"), &other).unwrap(), other);
    put(store, &[version("n", "1")]);
    assert_eq!(
        store.artifact_schema(&name("n")).unwrap(),
        Some((other.clone(), true)),
        "in the order of the declaration"
    );
    // What the first version says goes with the last, what was declared stays.
    put(store, &[version("o", "1")]);
    for (of, left) in [("n", Some((other, true))), ("o", None)] {
        let id = ArtifactId { name: name(of), version: "1".to_owned() };
        assert!(store.delete_artifact(&id).unwrap());
        assert!(!store.delete_artifact(&id).unwrap());
        assert_eq!(store.artifact_schema(&name(of)).unwrap(), left);
    }
}

/// Whatever is deleted.
pub fn the_number_of_a_version_never_comes_again(store: &dyn Store) {
    assert_eq!(store.newest_artifact().unwrap(), ArtifactKey(0));
    put(store, &[version("m", "1"), version("m", "2")]);
    assert_eq!(store.newest_artifact().unwrap(), ArtifactKey(2));
    assert!(store.delete_artifact(&version("m", "2").id).unwrap());
    assert_eq!(store.newest_artifact().unwrap(), ArtifactKey(2));
    assert_eq!(store.put_artifact(&version("m", "2")).unwrap(), Some(ArtifactKey(3)));
}

/// With the events that it belongs to, or not at all; one that is there already stays as it is.
pub fn what_an_attempt_has_made_is_kept_with_its_success(store: &dyn Store) {
    let key = create(store, &run("one")).unwrap();
    let made = |first_seq, number: &str| Append {
        artifacts: vec![version("m", number)],
        ..append(key, first_seq, vec![enqueued(1)])
    };
    assert!(store.commit(&[made(7, "1")]).is_err());
    assert_eq!(found(store, &ArtifactQuery::of(&name("m"))), [""; 0]);
    store.commit(&[made(0, "1"), made(1, "2")]).unwrap();
    store.commit(&[made(2, "1")]).unwrap();
    assert_eq!(found(store, &ArtifactQuery::of(&name("m"))), ["m@2", "m@1"]);
}

/// As long as the run is there.
pub fn the_versions_that_a_run_was_given_are_found_from_both_sides(store: &dyn Store) {
    put(store, &[version("m", "1"), version("m", "2")]);
    let (one, two) = (ArtifactKey(1), ArtifactKey(2));
    let create = |name: &str, given: &[ArtifactKey]| {
        let run_phase = Some((Phase::Succeeded, Some(Timestamp(2))));
        let first = append(RunKey(0), 0, vec![enqueued(1)]);
        store.create_run(&run(name), Append { given: given.to_vec(), run_phase, ..first }).unwrap()
    };
    let (a, b) = (create("a", &[one, two, one]), create("b", &[one]));
    assert_eq!(store.runs_with_artifact(one, 9).unwrap(), [b, a]);
    assert_eq!(store.runs_with_artifact(one, 1).unwrap(), [b]);
    assert_eq!(store.runs_with_artifact(two, 9).unwrap(), [a]);
    assert_eq!(store.artifacts_of_run(a).unwrap(), [one, two]);
    let nothing = Retention { max_age: Some(std::time::Duration::ZERO), max_bytes: Some(0) };
    assert_eq!(store.prune(&nothing, Timestamp(1_000_000)).unwrap().runs.len(), 2);
    assert_eq!(store.runs_with_artifact(one, 9).unwrap(), []);
    assert_eq!(found(store, &ArtifactQuery::of(&name("m"))), ["m@2", "m@1"], "versions stay");
}

/// The last one that was settled; of this trigger alone.
pub fn versions_are_settled_for_each_trigger(store: &dyn Store) {
    let trigger = |task: &str| TriggerId { scope: scope("p"), task: task.to_owned(), name: "on_model".to_owned() };
    assert_eq!(store.settled_version(&trigger("a")).unwrap(), None);
    store.settle_version(&trigger("a"), ArtifactKey(5)).unwrap();
    store.settle_version(&trigger("a"), ArtifactKey(7)).unwrap();
    assert_eq!(store.settled_version(&trigger("a")).unwrap(), Some(ArtifactKey(7)));
    assert_eq!(store.settled_version(&trigger("b")).unwrap(), None);
}
