//! The settings of organisations, domains and projects: what each says, and what all of them come to.

use bytes::Bytes;
use spanwise_core::admission::{Needs, check_queue_name};
use spanwise_core::quantity::{millis, quantity};
use spanwise_core::{RunDefaults, Scope};
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::settings::{
    ScopeLevel, SettingsKey, SettingsRecord, StringMapSetting, TaskResourceDefaults,
};

use crate::{Invalid, Stored, ids, path_name, shown, support, title};

mod leaves;

pub use spanwise_proto::flyteidl2::settings::Settings;

use leaves::each_leaf;

/// The scope that a key names: of a domain no project is named, of an organisation no domain either.
///
/// # Errors
/// [`Invalid`] names the part that is no name, or is missing.
pub fn scope(key: Option<&SettingsKey>) -> Result<Scope, Invalid> {
    let key = key.ok_or(Invalid::Missing("key"))?;
    if key.domain.is_empty() && !key.project.is_empty() {
        return Err(Invalid::field("key.domain: the settings of a project are those of it in one domain: say which"));
    }
    let part = |field, name: &str| if name.is_empty() { Ok(String::new()) } else { path_name(field, name) };
    Ok(Scope {
        org: ids::org(&key.org)?,
        project: part("key.project", &key.project)?,
        domain: part("key.domain", &key.domain)?,
    })
}

/// The key of a scope.
pub fn key(scope: &Scope) -> SettingsKey {
    SettingsKey {
        org: scope.org.clone(),
        domain: scope.domain.clone(),
        project: scope.project.clone(),
        ..SettingsKey::default()
    }
}

fn level(scope: &Scope) -> ScopeLevel {
    match (scope.domain.is_empty(), scope.project.is_empty()) {
        (true, _) => ScopeLevel::SCOPE_LEVEL_ORG,
        (false, true) => ScopeLevel::SCOPE_LEVEL_DOMAIN,
        (false, false) => ScopeLevel::SCOPE_LEVEL_PROJECT,
    }
}

/// Settings as somebody has sent them, in the form that is stored.
///
/// # Errors
/// [`Invalid`] names the setting that no run could have.
pub fn checked(settings: Settings) -> Result<Stored, Invalid> {
    let mut values = settings.clone();
    keep_values(&mut values);
    defaults_of(&values)?;
    let resources = &values.task_resource;
    let (least, most) = (needs("min", &resources.min)?.memory, needs("max", &resources.max)?.memory);
    if !resources.mirror_limits_request.bool_value && most > 0 && least > most {
        let [least, most] = [&resources.min, &resources.max].map(|of| of.memory.quantity_value.clone());
        return Err(Invalid::field(format!("task_resource.min.memory: {least} is more than the maximum, {most}")));
    }
    Ok(Stored::of(&settings))
}

/// Reads the stored form.
///
/// # Errors
/// [`Invalid::Decode`] if the bytes are no settings.
pub fn decode(body: &[u8]) -> Result<Settings, Invalid> {
    Settings::decode_from_slice(body).map_err(|source| Invalid::Decode { what: "settings", source })
}

/// The settings of a scope in a version, as they are shown: each says of which scope it is.
pub fn record(scope: &Scope, mut settings: Settings, version: u64) -> SettingsRecord {
    each_leaf(&mut settings, &mut |leaf| leaf.set_level(level(scope)));
    shown_record(scope, settings, version)
}

/// The same for settings whose scopes have been said.
pub fn shown_record(scope: &Scope, settings: Settings, version: u64) -> SettingsRecord {
    SettingsRecord { key: key(scope).into(), settings: settings.into(), version, ..SettingsRecord::default() }
}

/// What the settings of scopes come to, from the widest to the narrowest: each that has a value wins over those before; one that is unset is
/// as if nobody had said it; of maps each entry counts by itself.
///
/// # Errors
/// [`Invalid::Decode`] if the bytes of one are no settings.
pub fn effective<'a>(levels: impl IntoIterator<Item = (&'a Scope, &'a Bytes)>) -> Result<Settings, Invalid> {
    let mut all = Settings::default();
    for (scope, body) in levels {
        let settings = decode(body)?;
        leaves::lay_over(&mut all, settings, level(scope));
    }
    keep_values(&mut all);
    Ok(all)
}

/// Leaves nothing but what has a value.
fn keep_values(settings: &mut Settings) {
    leaves::remove_without_value(settings);
}

/// What of settings is not honoured, one sentence each.
pub fn not_honoured(settings: &Settings) -> Vec<String> {
    let mut values = settings.clone();
    keep_values(&mut values);
    support::not_honoured(&values).into_iter().map(|sentence| format!("settings: {sentence}")).collect()
}

/// What effective settings give to runs, from the form that is stored with a run.
///
/// # Errors
/// [`Invalid`] if the bytes are no settings that were accepted.
pub fn defaults(body: &[u8]) -> Result<RunDefaults, Invalid> {
    defaults_of(&decode(body)?)
}

/// The form of effective settings that is stored with a run; none if they say nothing.
pub fn to_store(settings: &Settings) -> Option<Stored> {
    (*settings != Settings::default()).then(|| Stored::of(settings))
}

/// What effective settings give to runs.
///
/// # Errors
/// [`Invalid`] names the setting that makes no sense.
pub fn defaults_of(settings: &Settings) -> Result<RunDefaults, Invalid> {
    let run = &settings.run;
    let queue = Some(run.default_queue.string_value.clone()).filter(|queue| !queue.is_empty());
    if let Some(queue) = &queue {
        check_queue_name(queue).map_err(|error| Invalid::field(format!("run.default_queue: {error}")))?;
    }
    let limit = run.max_action_concurrency.int_value;
    if limit == 1 || u32::try_from(limit).is_err() {
        let why = "must be 0, which is no limit, or from 2 to 4294967295: with 1 a run would wait for itself";
        return Err(Invalid::field(format!("run.max_action_concurrency: {limit} {why}")));
    }
    let resources = &settings.task_resource;
    let (mut min, max) = (needs("min", &resources.min)?, needs("max", &resources.max)?);
    let written = |of: &TaskResourceDefaults| Some(of.memory.quantity_value.clone()).filter(|text| !text.is_empty());
    let mirrored = resources.mirror_limits_request.bool_value;
    let memory_limit = written(&resources.max).filter(|_| !mirrored).or_else(|| written(&resources.min));
    // Each is of a scope of its own: what a narrower one allows is not widened by what a wider one asks for.
    if !mirrored && max.memory > 0 {
        min.memory = min.memory.min(max.memory);
    }
    Ok(RunDefaults {
        labels: entries("labels", &settings.labels)?,
        annotations: entries("annotations", &settings.annotations)?,
        env: variables(&settings.environment_variables)?,
        queue,
        max_action_concurrency: u32::try_from(limit).ok().filter(|limit| *limit > 0),
        needs: min,
        memory_limit,
    })
}

type Entries = std::collections::BTreeMap<String, String>;

fn entries(field: &'static str, setting: &StringMapSetting) -> Result<Entries, Invalid> {
    let entries: Entries = setting.map_value.entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    for (key, value) in &entries {
        title(field, key)?;
        if key.is_empty() || value.contains('\0') {
            return Err(Invalid::field(format!("{field}: `{}` has no name, or holds a NUL", shown(key))));
        }
    }
    Ok(entries)
}

fn variables(setting: &StringMapSetting) -> Result<Entries, Invalid> {
    let variables = entries("environment_variables", setting)?;
    match variables.keys().find(|name| name.contains('=')) {
        Some(name) => Err(Invalid::field(format!("environment_variables: `{}` is no name of a variable", shown(name)))),
        None => Ok(variables),
    }
}

/// What is asked for by resources.
fn needs(of: &str, resources: &TaskResourceDefaults) -> Result<Needs, Invalid> {
    let wrong = |what: &str, value: &str, example: &str| {
        Invalid::field(format!("task_resource.{of}.{what}: `{}` is no {example}", shown(value)))
    };
    let said = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
    let cpu = said(&resources.cpu.quantity_value);
    let cpu = cpu.map(|cpu| millis(&cpu).ok_or_else(|| wrong("cpu", &cpu, "number of processors, such as 2 or 500m")));
    let memory = said(&resources.memory.quantity_value);
    let memory =
        memory.map(|memory| quantity(&memory).ok_or_else(|| wrong("memory", &memory, "number of bytes, such as 4Gi")));
    let gpu = said(&resources.gpu.quantity_value);
    let gpu = gpu.map(|gpu| gpu.parse().map_err(|_| wrong("gpu", &gpu, "number of devices")));
    if let Some(storage) = said(&resources.storage.quantity_value).filter(|storage| quantity(storage).is_none()) {
        return Err(wrong("storage", &storage, "number of bytes, such as 10Gi"));
    }
    Ok(Needs {
        cpu: cpu.transpose()?,
        memory: memory.transpose()?.unwrap_or_default(),
        gpu: gpu.transpose()?.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
