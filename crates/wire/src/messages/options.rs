//! The options of a run: Flyte's `RunSpec`.

use bytes::Bytes;
use spanwise_core::lifecycle::TRACE_LABEL;
use spanwise_core::{CacheOptions, Relation, RunId, RunOptions, Scope};
use spanwise_proto::flyteidl2::task::{Annotations, CacheConfig, CacheLookupScope, Envs, Labels, Recover, RunSpec};
use spanwise_proto::{DecodeError, Message};

use crate::context::pairs;
use crate::relation::{self, AskedRelation};
use crate::{Invalid, Stored, notification, shown, support};

/// What a new run is created with: its options, which are stored as they were sent, with what is needed of them read out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentOptions {
    /// The form that is stored.
    pub stored: Stored,
    /// The options.
    pub options: RunOptions,
    /// Where the run comes from.
    pub relation: AskedRelation,
    /// Whom the run notifies of its end.
    pub rules: Vec<notification::Rule>,
    /// What is asked for and not honoured, one sentence each.
    pub not_honoured: Vec<String>,
}

impl SentOptions {
    /// The options that were sent for a run of a scope.
    ///
    /// # Errors
    /// [`Invalid`] names the field.
    pub fn of(message: &RunSpec, scope: &Scope) -> Result<SentOptions, Invalid> {
        Ok(SentOptions {
            stored: Stored::of(message),
            options: of_message(message),
            relation: relation::asked_for(message.relation.as_option(), scope)?,
            rules: notification::rules(message)?,
            not_honoured: support::not_honoured(message),
        })
    }

    /// The same for options that were accepted before, with what of them is left out, as a sentence: notifications that are refused now.
    ///
    /// # Errors
    /// [`Invalid`] names the field.
    pub fn of_accepted(mut message: RunSpec, scope: &Scope) -> Result<(SentOptions, Option<String>), Invalid> {
        let refused = notification::rules(&message).err();
        if refused.is_some() {
            message.notification_settings = None;
        }
        let left_out = refused.map(|refused| format!("its notifications are left out: {refused}"));
        Ok((SentOptions::of(&message, scope)?, left_out))
    }

    /// The options of a run that repeats another one, from what that one was created with, and what of that is left out, one sentence each:
    /// labels and notifications that were accepted then and are refused now.
    ///
    /// # Errors
    /// [`Invalid::Decode`] if the stored form is none.
    pub fn of_rerun(source: &RunId, stored: &[u8]) -> Result<(SentOptions, Vec<String>), Invalid> {
        let mut message = decode(stored)?;
        message.relation = relation::to_message(&source.scope(), &Relation::Rerun { run: source.name.clone() }).into();
        let with_nul: Vec<String> = of_message(&message).labels_with_nul().map(str::to_owned).collect();
        if let Some(labels) = message.labels.as_option_mut() {
            labels.values.retain(|key, _| !with_nul.contains(key));
        }
        let left_out =
            |label: &String| format!("label `{}` of run `{}` is left out: it holds a NUL", shown(label), source.name);
        let mut left_out: Vec<String> = with_nul.iter().map(left_out).collect();
        let (sent, notifications) = SentOptions::of_accepted(message, &source.scope())?;
        left_out.extend(notifications);
        Ok((sent, left_out))
    }
}

/// Reads the stored form.
///
/// # Errors
/// [`Invalid::Decode`] if the bytes are no such message.
pub fn decode(bytes: &[u8]) -> Result<RunSpec, Invalid> {
    RunSpec::decode_from_slice(bytes).map_err(|source: DecodeError| Invalid::Decode { what: "run settings", source })
}

/// The stored form of the message of a run with these options.
pub fn encode(options: &RunOptions) -> Bytes {
    Bytes::from(to_message(options).encode_to_vec())
}

/// The options that a message holds. How the run is traced is one of its labels, and stays it.
pub fn of_message(spec: &RunSpec) -> RunOptions {
    let config = &spec.cache_config;
    RunOptions {
        max_action_concurrency: Some(spec.max_action_concurrency).filter(|limit| *limit > 0),
        queue: Some(spec.queue.clone()).filter(|queue| !queue.is_empty()),
        labels: spec.labels.values.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        annotations: spec.annotations.values.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        env: spec.envs.values.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect(),
        trace: spec.labels.values.get(TRACE_LABEL).cloned(),
        cache: CacheOptions {
            overwrite: spec.overwrite_cache || config.overwrite_cache,
            any_project: config.cache_lookup_scope.as_known() == Some(CacheLookupScope::CACHE_LOOKUP_SCOPE_GLOBAL),
        },
        rerun_actions: spec.recover.force_rerun_actions.clone(),
    }
}

/// The message of a run with these options; what is not chosen is not in it.
pub fn to_message(options: &RunOptions) -> RunSpec {
    let level = options.trace.iter().map(|level| (TRACE_LABEL.to_owned(), level.clone()));
    let labels = Labels { values: options.labels.clone().into_iter().chain(level).collect(), ..Labels::default() };
    let annotations =
        Annotations { values: options.annotations.clone().into_iter().collect(), ..Annotations::default() };
    let envs = Envs { values: pairs(options.env.clone()), ..Envs::default() };
    let recover = Recover { force_rerun_actions: options.rerun_actions.clone(), ..Recover::default() };
    RunSpec {
        max_action_concurrency: options.max_action_concurrency.unwrap_or_default(),
        queue: options.queue.clone().unwrap_or_default(),
        labels: Some(labels).filter(|labels| !labels.values.is_empty()).into(),
        annotations: Some(annotations).filter(|annotations| !annotations.values.is_empty()).into(),
        envs: Some(envs).filter(|envs| !envs.values.is_empty()).into(),
        cache_config: cache_config(&options.cache).into(),
        recover: Some(recover).filter(|recover| !recover.force_rerun_actions.is_empty()).into(),
        ..RunSpec::default()
    }
}

fn cache_config(cache: &CacheOptions) -> Option<CacheConfig> {
    let scope = match cache.any_project {
        true => CacheLookupScope::CACHE_LOOKUP_SCOPE_GLOBAL,
        false => CacheLookupScope::CACHE_LOOKUP_SCOPE_UNSPECIFIED,
    };
    (*cache != CacheOptions::default()).then(|| CacheConfig {
        overwrite_cache: cache.overwrite,
        cache_lookup_scope: scope.into(),
        ..CacheConfig::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_cross_the_wire() {
        let map = |key: &str| [(key.to_owned(), "v".to_owned())].into();
        let options = RunOptions {
            max_action_concurrency: Some(3),
            queue: Some("gpu".to_owned()),
            labels: map("team"),
            annotations: map("owner"),
            env: map("HOME"),
            cache: CacheOptions { overwrite: true, any_project: true },
            rerun_actions: vec!["a1".to_owned()],
            ..RunOptions::default()
        };
        assert_eq!(of_message(&to_message(&options)), options);
        let traced = RunOptions { trace: Some("full".to_owned()), ..options };
        let read = of_message(&to_message(&traced));
        assert_eq!((read.trace.as_deref(), read.labels[TRACE_LABEL].as_str()), (Some("full"), "full"));
        assert_eq!(to_message(&RunOptions::default()), RunSpec::default());
    }

    #[test]
    fn a_run_that_is_repeated_loses_the_labels_that_no_run_may_have() {
        let source = Scope { org: "o".to_owned(), project: "p".to_owned(), domain: "d".to_owned() };
        let source = source.run(spanwise_core::RunName::new("r1").unwrap());
        let left_out = |label: &str| format!("label `{label}` of run `r1` is left out: it holds a NUL");
        for (labels, stays, told_of) in [
            (vec![("team", "a b")], vec!["team"], vec![]),
            (vec![("team", "a\0b"), ("stage", "dev")], vec!["stage"], vec![left_out("team")]),
            (vec![("te\0am", "a")], vec![], vec![left_out("te\\0am")]),
        ] {
            let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            let stored = encode(&RunOptions { labels, ..RunOptions::default() });
            let (sent, left_out) = SentOptions::of_rerun(&source, &stored).unwrap();
            assert_eq!(sent.options.labels.keys().collect::<Vec<_>>(), stays);
            assert_eq!(of_message(&decode(&sent.stored.body).unwrap()), sent.options);
            assert_eq!(left_out, told_of);
            assert!(sent.relation.recorded.is_some());
        }
    }
}
