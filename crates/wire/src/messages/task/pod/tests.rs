//! Pods as they are described, and what is made and said of them.

use std::collections::BTreeSet;

use serde_json::json;
use spanwise_proto::google::protobuf::Struct;

use super::*;

fn read(spec: Json) -> Pod {
    named(spec, None)
}

fn named(spec: Json, primary: Option<&str>) -> Pod {
    let Json::Object(spec) = spec else { panic!("{spec}") };
    let pod = K8sPod { pod_spec: Struct::from(spec).into(), ..K8sPod::default() };
    let config = primary.map(|primary| (PRIMARY.to_owned(), primary.to_owned())).into_iter().collect();
    Pod::of(&TaskTemplate { config, ..TaskTemplate::default() }, &pod)
}

fn container(field: &str, value: Json) -> Json {
    json!({"containers": [{"name": "primary", field: value}]})
}

#[test]
fn the_primary_container_is_the_container_of_the_task() {
    let primary = json!({
        "name": "main", "image": "team/flyte:1", "command": ["a0"], "args": ["--at", "$(WHERE)/x", "$(NOWHERE) $$(WHERE) $5"],
        "env": [{"name": "ROOT", "value": "/r"}, {"name": "WHERE", "value": "$(ROOT)/w"}, {"name": "EMPTY"}],
        "resources": {"requests": {"memory": "1Gi", "cpu": 1, "nvidia.com/gpu": "1"}, "limits": {"memory": "2Gi"}},
    });
    let pod = named(json!({"containers": [{"name": "side"}, primary], "restartPolicy": "Never"}), Some("main"));
    let Container { image, command, args, env, resources, .. } = &pod.container;
    assert_eq!((image.as_str(), command.join(" ")), ("team/flyte:1", "a0".to_owned()));
    assert_eq!(args.join(" "), "--at /r/w/x $(NOWHERE) $(WHERE) $5");
    let env: Vec<_> = env.iter().map(|pair| (pair.key.as_str(), pair.value.as_str())).collect();
    assert_eq!(env, [("ROOT", "/r"), ("WHERE", "/r/w"), ("EMPTY", "")]);
    let entry =
        |entries: &[resources::ResourceEntry]| entries.iter().map(|entry| entry.value.clone()).collect::<Vec<_>>();
    assert_eq!(
        (entry(&resources.requests), entry(&resources.limits)),
        (vec!["1".into(), "1Gi".into()], vec!["2Gi".to_owned()])
    );
    let said = pod.not_honoured.join("\n");
    assert!(
        said.contains("containers `side`") && said.contains("requests.nvidia.com/gpu") && pod.not_honoured.len() == 2,
        "{said}"
    );
    assert!(pod.refused.is_empty(), "{:?}", pod.refused);
}

#[test]
fn the_first_container_is_the_primary_one_where_none_is_named_and_a_name_that_is_missing_is_refused() {
    let two = json!({"containers": [{"name": "a", "image": "one"}, {"name": "b", "image": "two"}]});
    assert_eq!(read(two.clone()).container.image, "one");
    assert_eq!(named(two.clone(), Some("b")).container.image, "two");
    assert!(named(two, Some("c")).refused[0].contains("`c`"));
    for none in [json!({}), json!({"containers": []})] {
        assert!(read(none).refused[0].contains("containers"));
    }
}

#[test]
fn a_variable_whose_value_only_a_cluster_has_is_refused_and_an_optional_one_is_told() {
    let from = |source: Json| read(container("env", json!([{"name": "TOKEN", "valueFrom": source}])));
    let refused = from(json!({"secretKeyRef": {"name": "s", "key": "k"}}));
    assert!(refused.refused[0].contains("container.env `TOKEN`"), "{refused:?}");
    let optional = from(json!({"secretKeyRef": {"name": "s", "key": "k", "optional": true}}));
    assert!(optional.refused.is_empty() && optional.not_honoured[0].contains("`TOKEN`"), "{optional:?}");
    let all =
        |optional: bool| read(container("envFrom", json!([{"configMapRef": {"name": "c", "optional": optional}}])));
    assert!(all(false).refused[0].contains("container.envFrom"));
    assert!(all(true).refused.is_empty() && all(true).not_honoured[0].contains("container.envFrom"));
}

#[test]
fn s10_every_field_of_a_pod_is_honoured_told_or_refused_as_the_table_says_and_the_docs_have_it() {
    let docs = include_str!("../../../../../../docs/compatibility.md");
    let tables = [("", &fields::POD[..]), ("container.", &fields::CONTAINER[..])];
    for (prefix, table) in tables {
        let names: BTreeSet<&str> = table.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), table.len(), "a field has two rows");
        for (field, fate) in
            table.iter().filter(|(field, _)| !["containers", "name", "image", "env", "args", "command"].contains(field))
        {
            let field = if *field == "*" { "fieldOfTomorrow" } else { field };
            let value = json!({"x": "y"});
            let pod = match prefix {
                "" => read(json!({"containers": [{"name": "primary"}], field: value})),
                _ => read(container(field, value)),
            };
            let told = pod.not_honoured.iter().any(|said| said.contains(&format!("pod_template.{prefix}{field}")));
            let refused = pod.refused.iter().any(|said| said.contains(&format!("pod_template.{prefix}{field}")));
            let expected = (matches!(fate, Fate::Warned(_)), matches!(fate, Fate::Refused(_)));
            let of_its_own = matches!((prefix, field), ("", "os") | ("container.", "resources"));
            assert!((told, refused) == expected || of_its_own, "{prefix}{field}: {pod:?}");
            assert!(
                docs.contains(&format!("`{field}`")) || field == "fieldOfTomorrow",
                "{field} is not in docs/compatibility.md"
            );
        }
    }
}

/// Thirty variables of which each has the one before it twice would be ten gigabytes.
#[test]
fn variables_that_grow_by_being_put_in_are_refused_before_they_fill_the_memory() {
    let doubled = |count: usize| -> Vec<Json> {
        let value = |at: usize| match at {
            0 => "xxxxxxxxxx".to_owned(),
            _ => format!("$(A{0})$(A{0})", at - 1),
        };
        (0..count).map(|at| json!({"name": format!("A{at}"), "value": value(at)})).collect()
    };
    let small = read(container("env", json!(doubled(10))));
    assert_eq!((small.refused.len(), small.container.env[9].value.len()), (0, 10 << 9));
    let large = read(container("env", json!(doubled(60))));
    assert!(large.refused[0].contains("container.env") && large.refused[0].contains("2097152 bytes"), "{large:?}");
    let many: Vec<Json> = (0..50_000).map(|at| json!({"name": format!("A{}", at % 40_000), "value": at})).collect();
    let many = read(container("env", json!(many)));
    assert_eq!((many.refused.len(), many.container.env.len()), (0, 40_000));
    // Set a second time, it stands where it was set last.
    assert_eq!((many.container.env[0].key.as_str(), many.container.env[39_999].value.as_str()), ("A10000", "49999"));
}

#[test]
fn s10_a_field_of_another_kind_than_it_has_in_kubernetes_is_refused_by_its_name() {
    for (field, value) in [
        ("env", json!({"A": "1"})),
        ("command", json!("a0 --x")),
        ("args", json!(1)),
        ("image", json!(["a"])),
        ("resources", json!("1Gi")),
    ] {
        let pod = read(container(field, value));
        assert!(pod.refused[0].starts_with(&format!("pod_template.container.{field}: ")), "{pod:?}");
    }
}
