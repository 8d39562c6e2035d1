//! What settings of several scopes come to, and what is refused.

use spanwise_proto::flyteidl2::settings::{
    Int64Setting, QuantitySetting, RunSettings, SettingState, StringMap, StringSetting, TaskResourceSettings,
};

use super::*;

const VALUE: SettingState = SettingState::SETTING_STATE_VALUE;
const UNSET: SettingState = SettingState::SETTING_STATE_UNSET;

fn text(state: SettingState, value: &str) -> StringSetting {
    StringSetting { state: state.into(), string_value: value.to_owned(), ..StringSetting::default() }
}

fn map(state: SettingState, entries: &[(&str, &str)]) -> StringMapSetting {
    let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let map_value = StringMap { entries, ..StringMap::default() }.into();
    StringMapSetting { state: state.into(), map_value, ..StringMapSetting::default() }
}

fn amount(value: &str) -> QuantitySetting {
    QuantitySetting { state: VALUE.into(), quantity_value: value.to_owned(), ..QuantitySetting::default() }
}

fn queue(setting: StringSetting) -> Settings {
    let run = RunSettings { default_queue: setting.into(), ..RunSettings::default() };
    Settings { run: run.into(), ..Settings::default() }
}

fn scopes() -> [Scope; 3] {
    let scope = |domain: &str, project: &str| Scope {
        org: "local".to_owned(),
        project: project.to_owned(),
        domain: domain.to_owned(),
    };
    [scope("", ""), scope("dev", ""), scope("dev", "p")]
}

fn effective_of(levels: &[Settings]) -> Settings {
    let bodies: Vec<Bytes> = levels.iter().map(|settings| checked(settings.clone()).unwrap().body).collect();
    effective(scopes().iter().zip(&bodies)).unwrap()
}

#[test]
fn s19_1_the_narrowest_scope_that_says_anything_counts() {
    let none = Settings::default;
    let (cpu, gpu) = (|| queue(text(VALUE, "cpu")), || queue(text(VALUE, "gpu")));
    for (levels, expected) in [
        ([cpu(), none(), none()], "cpu"),
        ([cpu(), gpu(), none()], "gpu"),
        ([cpu(), none(), gpu()], "gpu"),
        ([cpu(), queue(text(UNSET, "")), none()], ""),
        ([cpu(), queue(text(UNSET, "")), gpu()], "gpu"),
        ([none(), queue(StringSetting::default()), none()], ""),
        ([cpu(), queue(StringSetting::default()), none()], "cpu"),
    ] {
        let found = effective_of(&levels);
        assert_eq!(found.run.default_queue.string_value, expected, "{levels:?}");
        assert_eq!(defaults_of(&found).unwrap().queue.as_deref().unwrap_or_default(), expected);
        assert_eq!(found == Settings::default(), expected.is_empty(), "{found:?}");
    }
    let of_project = effective_of(&[cpu(), none(), gpu()]);
    assert_eq!(of_project.run.default_queue.scope_level, ScopeLevel::SCOPE_LEVEL_PROJECT);
}

#[test]
fn s19_1_of_maps_each_entry_counts_unless_all_are_unset() {
    let labels = |setting| Settings { labels: StringMapSetting::into(setting), ..Settings::default() };
    let org = || labels(map(VALUE, &[("team", "ml"), ("env", "prod")]));
    let found = |levels: &[Settings]| defaults_of(&effective_of(levels)).unwrap().labels;
    let pairs = |pairs: &[(&str, &str)]| -> Entries {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let domain = || labels(map(VALUE, &[("team", "größe")]));
    assert_eq!(found(&[org(), domain()]), pairs(&[("team", "größe"), ("env", "prod")]));
    let project = || labels(map(VALUE, &[("oncall", "me")]));
    assert_eq!(found(&[org(), labels(map(UNSET, &[])), project()]), pairs(&[("oncall", "me")]));
    assert_eq!(found(&[org(), labels(map(UNSET, &[]))]), pairs(&[]));
    assert_eq!(found(&[org(), domain(), project()]).len(), 3);
    let nothing = labels(StringMapSetting::default());
    assert_eq!(found(&[org(), nothing]), pairs(&[("team", "ml"), ("env", "prod")]));
}

#[test]
fn s19_3_resources_are_those_of_tasks_that_say_nothing() {
    let resources = |min: &str, max: &str, mirror: bool| {
        let of = |memory: &str| TaskResourceDefaults {
            memory: Some(amount(memory)).filter(|_| !memory.is_empty()).into(),
            ..TaskResourceDefaults::default()
        };
        let mirror = spanwise_proto::flyteidl2::settings::BoolSetting {
            state: VALUE.into(),
            bool_value: mirror,
            ..Default::default()
        };
        let task_resource = TaskResourceSettings {
            min: of(min).into(),
            max: of(max).into(),
            mirror_limits_request: mirror.into(),
            ..TaskResourceSettings::default()
        };
        Settings { task_resource: task_resource.into(), ..Settings::default() }
    };
    for (min, max, mirror, needed, limit) in [
        ("", "", false, 0, None),
        ("1Gi", "", false, 1 << 30, Some("1Gi")),
        ("", "2Gi", false, 0, Some("2Gi")),
        ("1Gi", "2Gi", false, 1 << 30, Some("2Gi")),
        ("1Gi", "2Gi", true, 1 << 30, Some("1Gi")),
    ] {
        let found = defaults_of(&effective_of(&[resources(min, max, mirror)])).unwrap();
        assert_eq!((found.needs.memory, found.memory_limit.as_deref()), (needed, limit), "{min} {max} {mirror}");
    }
    let refused = checked(resources("2Gi", "1Gi", false)).unwrap_err().to_string();
    assert_eq!(refused, "task_resource.min.memory: 2Gi is more than the maximum, 1Gi");
}

#[test]
fn s19_5_what_no_run_could_have_is_refused_by_its_name() {
    let run = |limit: i64| {
        let limit = Int64Setting { state: VALUE.into(), int_value: limit, ..Int64Setting::default() };
        let run = RunSettings { max_action_concurrency: limit.into(), ..RunSettings::default() };
        Settings { run: run.into(), ..Settings::default() }
    };
    let resources = |min: TaskResourceDefaults| {
        let task_resource = TaskResourceSettings { min: min.into(), ..TaskResourceSettings::default() };
        Settings { task_resource: task_resource.into(), ..Settings::default() }
    };
    let none = TaskResourceDefaults::default;
    let variables = |entries: &[(&str, &str)]| Settings {
        environment_variables: map(VALUE, entries).into(),
        ..Settings::default()
    };
    for (settings, named) in [
        (run(1), "run.max_action_concurrency: 1 must be"),
        (run(-1), "run.max_action_concurrency: -1 must be"),
        (run(1 << 40), "run.max_action_concurrency: 1099511627776 must be"),
        (queue(text(VALUE, "two words")), "run.default_queue: "),
        (resources(TaskResourceDefaults { cpu: amount("lots").into(), ..none() }), "task_resource.min.cpu: `lots`"),
        (resources(TaskResourceDefaults { memory: amount("5Xi").into(), ..none() }), "task_resource.min.memory: `5Xi`"),
        (resources(TaskResourceDefaults { gpu: amount("0.5").into(), ..none() }), "task_resource.min.gpu: `0.5`"),
        (resources(TaskResourceDefaults { storage: amount("-").into(), ..none() }), "task_resource.min.storage: `-`"),
        (variables(&[("A=B", "c")]), "environment_variables: `A=B`"),
        (variables(&[("", "c")]), "environment_variables: ``"),
        (variables(&[("A", "c\0")]), "environment_variables: `A`"),
        (Settings { labels: map(VALUE, &[("a\nb", "")]).into(), ..Settings::default() }, "labels"),
    ] {
        let refused = checked(settings).unwrap_err().to_string();
        assert!(refused.starts_with(named), "{named}: {refused}");
    }
    // What has no value asks for nothing.
    assert!(checked(queue(text(UNSET, "two words"))).is_ok());
    for good in [run(0), run(2), variables(&[("A", "="), ("größe", "")]), Settings::default()] {
        assert!(checked(good).is_ok());
    }
}

#[test]
fn s19_a_key_names_an_organisation_a_domain_or_a_project_of_a_domain() {
    let scope_of = |org: &str, domain: &str, project: &str| {
        let key = SettingsKey {
            org: org.to_owned(),
            domain: domain.to_owned(),
            project: project.to_owned(),
            ..SettingsKey::default()
        };
        scope(Some(&key)).map(|scope| (scope.org, scope.domain, scope.project)).map_err(|error| error.to_string())
    };
    let found = |org: &str, domain: &str, project: &str| Ok((org.to_owned(), domain.to_owned(), project.to_owned()));
    assert_eq!(scope_of("", "", ""), found("local", "", ""));
    assert_eq!(scope_of("acme", "dev", ""), found("acme", "dev", ""));
    assert_eq!(scope_of("acme", "dev", "p"), found("acme", "dev", "p"));
    for (org, domain, project, named) in [
        ("", "", "p", "key.domain"),
        ("a/b", "", "", "org"),
        ("", "..", "", "key.domain"),
        ("", "d", "p q", "key.project"),
    ] {
        assert!(scope_of(org, domain, project).unwrap_err().contains(named), "{named}");
    }
    assert!(scope(None).unwrap_err().to_string().contains("key"));
}

#[test]
fn s19_4_what_is_not_honoured_is_told_if_it_has_a_value() {
    let security = |state| spanwise_proto::flyteidl2::settings::SecuritySettings {
        service_account: text(state, "sa").into(),
        ..Default::default()
    };
    let settings = |state| Settings { security: security(state).into(), ..Settings::default() };
    assert_eq!(
        not_honoured(&settings(VALUE)),
        ["settings: security.service_account is not honoured: tasks run as the server's user"]
    );
    assert_eq!(not_honoured(&settings(UNSET)), [""; 0]);
    assert_eq!(not_honoured(&queue(text(VALUE, "gpu"))), [""; 0]);
}
