//! Versions across the wire, and what is refused.

use spanwise_core::{RunName, Scope};
use spanwise_proto::flyteidl2::core::{ArtifactInfo, Partitions, SimpleType, literal_type};
use spanwise_proto::flyteidl2::task::{ArtifactTrigger, NamedLiteral, Outputs, ProducedArtifact};

use super::*;

fn scope() -> Scope {
    Scope { org: "local".to_owned(), project: "p".to_owned(), domain: "dev".to_owned() }
}

fn id_of(name: &str, version: &str) -> ArtifactId {
    let name = ArtifactName { scope: scope(), name: name.to_owned() };
    ArtifactId { name, version: version.to_owned() }
}

fn spec() -> ArtifactSpec {
    ArtifactSpec { value: Literal::string("s3://x").into(), ..ArtifactSpec::default() }
}

fn texts(pairs: &[(&str, &str)]) -> Partitions {
    let label = |text: &str| LabelValue {
        value: Some(label_value::Value::StaticValue(text.to_owned())),
        ..LabelValue::default()
    };
    let value = pairs.iter().map(|(key, value)| ((*key).to_owned(), label(value))).collect();
    Partitions { value, ..Partitions::default() }
}

fn day(text: &str, granularity: core::Granularity, key: &str) -> core::TimePartition {
    let (seconds, _) = spanwise_proto::json::datetime(text).unwrap();
    let at = times::timestamp(Timestamp(seconds * 1_000_000));
    core::TimePartition {
        value: LabelValue { value: Some(label_value::Value::TimeValue(Box::new(at))), ..LabelValue::default() }.into(),
        granularity: granularity.into(),
        key: key.to_owned(),
        ..core::TimePartition::default()
    }
}

fn parent(name: &str, version: &str) -> ArtifactVersionId {
    let key = ArtifactKey { name: name.to_owned(), ..ArtifactKey::default() };
    ArtifactVersionId { key: key.into(), version: version.to_owned(), ..ArtifactVersionId::default() }
}

#[test]
fn s20_1_a_version_says_what_it_is_and_begins_its_partition_where_utc_says() {
    let sent = ArtifactSpec {
        partitions: texts(&[("region", "größe")]).into(),
        time_partition: day("2026-09-17T13:45:00Z", core::Granularity::WEEK, "").into(),
        parent_artifacts: vec![parent("", "v0"), parent("raw", "v9")],
        ..spec()
    };
    let described = registered(id_of("model", "v1"), sent).unwrap();
    assert_eq!(partition_text(&described.partition), "date=2026-09-14, region=größe");
    let version = Version::read(&described.id, &described.body(None).unwrap()).unwrap();
    assert_eq!(version.parents().collect::<Vec<_>>(), ["model@v0", "raw@v9"]);
    let shown = version.clone().shown(Timestamp(5_000_000));
    assert_eq!((shown.artifact_id.version.as_str(), shown.created_at.seconds), ("v1", 5));
    let said = &shown.spec.value.artifact_id;
    assert_eq!((said.key.name.as_str(), said.key.org.as_str(), said.version.as_str()), ("model", "local", "v1"));
    assert_eq!((said.key.project.as_str(), said.key.domain.as_str()), ("p", "dev"));
    let start = day("2026-09-14T00:00:00Z", core::Granularity::WEEK, "date");
    assert_eq!(*shown.spec.time_partition, start);
    assert_eq!((version.mismatch(), version.description()), (None, ""));
    let keys = PartitionSchema { texts: vec!["x".to_owned()], ..PartitionSchema::default() };
    let other = Version::read(&described.id, &described.body(Some(&keys)).unwrap()).unwrap();
    let said =
        "artifact `model` is partitioned by `x`, not by `date` (week), `region`: other keys are another artifact";
    assert_eq!(other.mismatch(), Some(said));
}

#[test]
fn s20_5_what_is_no_version_is_refused_by_its_field_and_the_limit() {
    let refused = |spec: ArtifactSpec| registered(id_of("model", "v1"), spec).unwrap_err().to_string();
    let parents = |count: usize| vec![parent("", "v0"); count];
    let words = |count: usize| {
        let user_metadata = (0..count).map(|number| (number.to_string(), String::new())).collect();
        ArtifactSpec { info: ArtifactInfo { user_metadata, ..Default::default() }.into(), ..spec() }
    };
    let run = RunId { name: RunName::new("r1").unwrap(), ..scope().run(RunName::new("r1").unwrap()) };
    let elsewhere = RunId { project: "q".to_owned(), ..run.clone() };
    let of = |run: &RunId| source_message(run, &ActionName::ROOT, AttemptNo(1)).into();
    let time = |granularity, key: &str| day("2026-09-17T00:00:00Z", granularity, key).into();
    let no_text = Partitions { value: [("a".to_owned(), LabelValue::default())].into(), ..Default::default() };
    for (spec, named) in [
        (ArtifactSpec::default(), "`spec.value` is missing"),
        (ArtifactSpec { parent_artifacts: parents(33), ..spec() }, "33 are too many, the limit is 32"),
        (ArtifactSpec { parent_artifacts: vec![parent("", "v1")], ..spec() }, "cannot derive from itself"),
        (ArtifactSpec { parent_artifacts: vec![parent("x", "")], ..spec() }, "artifact version"),
        (words(257), "the limit is 256"),
        (ArtifactSpec { partitions: texts(&[("", "x")]).into(), ..spec() }, "spec.partitions: ``"),
        (ArtifactSpec { partitions: no_text.into(), ..spec() }, "spec.partitions: `a` has no text"),
        (
            ArtifactSpec {
                partitions: texts(&[("date", "x")]).into(),
                time_partition: time(core::Granularity::DAY, "date"),
                ..spec()
            },
            "`date` is a partition by a text too",
        ),
        (ArtifactSpec { source: of(&elsewhere), ..spec() }, "an attempt of another project"),
    ] {
        let said = refused(spec);
        assert!(said.contains(named), "{named}: {said}");
    }
    assert!(registered(id_of("model", "v1"), ArtifactSpec { parent_artifacts: parents(32), ..spec() }).is_ok());
    let mine = registered(id_of("model", "v1"), ArtifactSpec { source: of(&run), ..spec() }).unwrap();
    assert_eq!(mine.made_by, Some((run, ActionName::ROOT, AttemptNo(1))));
    let large = ArtifactSpec { value: Literal::string("x".repeat(2 << 20)).into(), ..spec() };
    let large = registered(id_of("model", "v1"), large).unwrap().body(None).unwrap_err().to_string();
    assert!(large.contains("the limit is 1048576"), "{large}");
    for (wrong, named) in [
        (id_of("", "v1"), "artifact name"),
        (id_of("a\nb", "v1"), "artifact name"),
        (id_of("a", ""), "artifact version"),
    ] {
        assert!(id(Some(&identifier(&wrong))).unwrap_err().to_string().contains(named));
    }
}

#[test]
fn s20_3_keys_that_are_declared_cross_the_wire_and_none_is_there_twice() {
    let key = |key: &str, granularity: core::Granularity| TimePartitionKey {
        key: key.to_owned(),
        granularity: granularity.into(),
        ..TimePartitionKey::default()
    };
    let message = |time: Option<TimePartitionKey>, texts: &[&str]| ArtifactPartitionSchema {
        time_partition: time.into(),
        partition_keys: texts.iter().map(|text| (*text).to_owned()).collect(),
        ..ArtifactPartitionSchema::default()
    };
    for sent in [
        message(None, &[]),
        message(Some(key("hour", core::Granularity::HOUR)), &["region", "a"]),
        message(Some(key("when", core::Granularity::MONTH)), &[]),
    ] {
        assert_eq!(schema_message(&schema(&sent).unwrap()), sent);
    }
    let unnamed = schema(&message(Some(key("", core::Granularity::UNSET)), &[])).unwrap();
    assert_eq!(unnamed.time, Some(("date".to_owned(), Granularity::Day)));
    for wrong in
        [message(None, &["a", "a"]), message(None, &[""]), message(Some(key("a", core::Granularity::DAY)), &["a"])]
    {
        assert!(schema(&wrong).unwrap_err().to_string().contains("partition_schema"));
    }
}

fn outputs(artifacts: Vec<ProducedArtifact>) -> Bytes {
    let literals = vec![NamedLiteral::new("o0", Literal::string("a")), NamedLiteral::new("o1", Literal::string("b"))];
    Bytes::from(Outputs { literals, produced_artifacts: artifacts, ..Outputs::default() }.encode_to_vec())
}

fn artifact(output: &str, name: &str, version: &str) -> ProducedArtifact {
    ProducedArtifact {
        output: output.to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
        ..ProducedArtifact::default()
    }
}

#[test]
fn s20_2_what_a_task_produces_is_named_by_its_attempt_unless_it_says_a_version() {
    let run = scope().run(RunName::new("r1").unwrap());
    let by = ProducedBy { run: &run, action: &ActionName::ROOT, attempt: AttemptNo(2) };
    let found = |artifacts: Vec<ProducedArtifact>| {
        let (versions, refused) = produced(&outputs(artifacts), by).unwrap();
        let shown = |described: &Described| format!("{}@{}", described.id.name.name, described.id.version);
        (versions.iter().map(shown).collect::<Vec<_>>(), refused)
    };
    assert_eq!(found(vec![]), (vec![], vec![]));
    assert_eq!(found(vec![artifact("o0", "m", "")]).0, ["m@r1-a0-2"]);
    assert_eq!(found(vec![artifact("o0", "m", "v1"), artifact("o1", "n", "")]).0, ["m@v1", "n@r1-a0-2"]);
    assert_eq!(found(vec![artifact("o0", "m", ""), artifact("o1", "m", "")]).0, ["m@r1-a0-2-o0", "m@r1-a0-2-o1"]);
    let (versions, refused) =
        found(vec![artifact("o0", "m", "v1"), artifact("o1", "m", "v1"), artifact("o7", "x", "")]);
    assert_eq!(versions, ["m@v1"]);
    assert_eq!(
        refused,
        [
            "output `o1` is no version of artifact `m`: another output is this version already",
            "output `o7` is no version of artifact `x`: the task has no such output"
        ]
    );
    let (versions, _) = produced(&outputs(vec![artifact("o1", "m", "")]), by).unwrap();
    assert_eq!(versions[0].made_by, Some((run.clone(), ActionName::ROOT, AttemptNo(2))));
    let version = Version::read(&versions[0].id, &versions[0].body(None).unwrap()).unwrap();
    assert_eq!(version.value().value, Literal::string("b").value);
    assert_eq!(version.metadata().count(), 0);
}

#[test]
fn s20_7_inputs_say_which_versions_they_are() {
    let stamped = |name: &str, version: &str| {
        let mut literal = Literal::string(version);
        stamp(&mut literal, &id_of(name, version));
        literal
    };
    let list = Literal::list(vec![stamped("a", "1"), Literal::string("plain"), stamped("a", "2"), stamped("a", "1")]);
    let literals = vec![
        NamedLiteral::new("x", stamped("b", "9")),
        NamedLiteral::new("y", list),
        NamedLiteral::new("z", Literal::integer(1)),
    ];
    let inputs = crate::TaskInputs::from(spanwise_proto::flyteidl2::task::Inputs { literals, ..Default::default() });
    assert_eq!(consumed(&inputs), [id_of("b", "9"), id_of("a", "1"), id_of("a", "2")]);
}

#[test]
fn s20_6_a_run_that_a_version_starts_has_it_and_its_partition_among_its_inputs() {
    use spanwise_proto::flyteidl2::core::{Container, TaskTemplate, Variable, VariableEntry};
    let simple =
        |kind: SimpleType| LiteralType { r#type: Some(literal_type::Type::Simple(kind.into())), ..Default::default() };
    let variable = |name: &str, kind: SimpleType| VariableEntry {
        key: name.to_owned(),
        value: Variable { r#type: simple(kind).into(), ..Variable::default() }.into(),
        ..VariableEntry::default()
    };
    let mut template = TaskTemplate { target: Some(Container::default().into()), ..TaskTemplate::default() };
    template.id.get_or_insert_default().name = "t".to_owned();
    let interface = template.interface.get_or_insert_default().inputs.get_or_insert_default();
    interface.variables = vec![
        variable("model", SimpleType::STRING),
        variable("day", SimpleType::DATETIME),
        variable("text", SimpleType::STRING),
        variable("region", SimpleType::STRING),
    ];
    let spec = spanwise_proto::flyteidl2::task::TaskSpec { task_template: template.into(), ..Default::default() };
    let task = crate::task::TaskDefinition::of(spec).unwrap();
    let sent = ArtifactSpec {
        partitions: texts(&[("region", "us")]).into(),
        time_partition: day("2026-09-17T00:00:00Z", core::Granularity::DAY, "date").into(),
        ..self::spec()
    };
    let described = registered(id_of("m", "v1"), sent).unwrap();
    let version = Version::read(&described.id, &described.body(None).unwrap()).unwrap();
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let trigger = ArtifactTrigger {
        artifact_name: "m".to_owned(),
        input_arg: "model".to_owned(),
        partition_input_args: pairs(&[("day", "date"), ("text", "date"), ("region", "region")]),
        ..ArtifactTrigger::default()
    };
    let given = |trigger: &ArtifactTrigger| {
        triggered(trigger, &task, crate::TaskInputs::default(), (&version, &described.partition))
    };
    let inputs = given(&trigger).unwrap();
    let value =
        |name: &str| inputs.values().literals.iter().find(|literal| literal.name == name).unwrap().value.clone();
    assert_eq!(value("model").artifact_id.version, "v1");
    assert_eq!(value("day").as_datetime(), Some((1_789_603_200, 0)));
    assert_eq!(value("text").value, Literal::string("2026-09-17T00:00:00Z").value);
    assert_eq!(value("region").value, Literal::string("us").value);
    let missing = ArtifactTrigger { partition_input_args: pairs(&[("text", "tier")]), ..trigger };
    let refused = given(&missing).unwrap_err().to_string();
    assert!(refused.contains("has no `tier` in its partition, which `text` is to be"), "{refused}");
}
