//! Every decoder of bytes that come from outside, as functions from any bytes to nothing: what they must not do is panic, hang or take
//! memory without end. The package `fuzz` drives them for long, the tests here for a moment.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use spanwise_blobs::BlobUri;
use spanwise_core::{ActionKind, RunOptions, Timestamp};
use spanwise_engine::{RunQuery, Scope};
use spanwise_process as process;
use spanwise_proto::flyteidl2::common::{ActionIdentifier, ListRequest, ProjectIdentifier, RunIdentifier};
use spanwise_proto::flyteidl2::task::{TaskIdentifier, TaskSpec};
use spanwise_proto::flyteidl2::{actions, cacheservice, dataproxy, project, secret, trigger, workflow};
use spanwise_proto::{Message, hash, msgpack};
use spanwise_wire::{
    CustomContext, Definition, action_name, failure, ids, options, path_name, shown, support, task, task::RunRules,
    title, values,
};

use crate::api::listing;
use crate::blobs::signed::Signer;

/// A decoder by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 12] = [
    ("requests", requests),
    ("definitions", definitions),
    ("inputs", inputs),
    ("outputs", outputs),
    ("error", error),
    ("names", names),
    ("uri", uri),
    ("token", token),
    ("listing", listing_of),
    ("msgpack", canonical),
    ("log", log),
    ("spans", spanwise_collector::fuzzing::spans),
];

fn decoded<M: Message>(data: &[u8]) {
    if let Ok(message) = M::decode_from_slice(data) {
        let bytes = message.encode_to_vec();
        let again = M::decode_from_slice(&bytes).expect("what was encoded is a message");
        assert_eq!(again.encode_to_vec(), bytes, "encoding is stable");
    }
}

fn requests(data: &[u8]) {
    decoded::<actions::EnqueueRequest>(data);
    decoded::<actions::WatchForUpdatesRequest>(data);
    decoded::<actions::SignalRequest>(data);
    decoded::<cacheservice::GetCacheRequest>(data);
    decoded::<dataproxy::UploadInputsRequest>(data);
    decoded::<dataproxy::CreateUploadLocationRequest>(data);
    decoded::<dataproxy::CreateDownloadLinkRequest>(data);
    decoded::<project::ListProjectsRequest>(data);
    decoded::<secret::CreateSecretRequest>(data);
    decoded::<trigger::DeployTriggerRequest>(data);
    decoded::<workflow::CreateRunRequest>(data);
    decoded::<workflow::EnqueueActionRequest>(data);
    decoded::<workflow::ListRunsRequest>(data);
    decoded::<workflow::SignalEventRequest>(data);
    if let Ok(signal) = workflow::SignalEventRequest::decode_from_slice(data) {
        let _ = values::of_payload(&signal.payload).and_then(|value| values::of_type(value, &Default::default()));
    }
    if let Ok(id) = ActionIdentifier::decode_from_slice(data)
        && let Ok((run, action)) = ids::action_id(&id)
    {
        let back = ids::to_action_identifier(&run, &action);
        assert_eq!(ids::action_id(&back).expect("an id that was accepted"), (run, action));
    }
    if let Ok(id) = RunIdentifier::decode_from_slice(data) {
        let _ = ids::run_id(&id);
    }
    if let Ok(id) = ProjectIdentifier::decode_from_slice(data) {
        let _ = ids::project_scope(&id);
    }
    if let Ok(id) = TaskIdentifier::decode_from_slice(data) {
        let _ = ids::task_key(&id);
    }
}

fn definitions(data: &[u8]) {
    for kind in [ActionKind::Task, ActionKind::Step, ActionKind::Condition, ActionKind::Timer] {
        let _ = Definition::decode(kind, data);
    }
    let Ok(spec) = task::decode(data) else { return };
    let run_spec = options::decode(data).unwrap_or_default();
    let _ = support::not_honoured(&run_spec);
    definition(&spec, &options::of_message(&run_spec));
}

fn definition(spec: &TaskSpec, options: &RunOptions) {
    let scope = Scope { org: "local".to_owned(), project: "p".to_owned(), domain: "d".to_owned() };
    let rules = RunRules { scope: &scope, options, defaults: &Default::default() };
    let _ = task::program(spec);
    let _ = task::not_honoured(spec);
    let inputs = task::with_defaults(spec, Default::default());
    let key = task::root_cache_key(spec, &inputs).unwrap_or_default();
    if let Ok(action) = task::action_spec(spec, "", None, "", key.as_deref(), &rules) {
        let stored = serde_json::to_string(&action).expect("what is accepted can be stored");
        serde_json::from_str::<spanwise_core::ActionSpec>(&stored).expect("and read again");
    }
}

fn inputs(data: &[u8]) {
    decoded::<spanwise_proto::flyteidl2::task::Inputs>(data);
    if let Ok(inputs) = values::inputs(data) {
        let _ = CustomContext::from_message(inputs.context.clone()).check();
        let _ = hash::inputs_hash(&inputs.literals);
        let again = values::inputs(&values::encode_inputs(&inputs)).expect("what was encoded is a message");
        assert_eq!(hash::inputs_hash(&again.literals), hash::inputs_hash(&inputs.literals));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = text.parse::<spanwise_core::trace::TraceParent>();
    }
}

fn outputs(data: &[u8]) {
    decoded::<spanwise_proto::flyteidl2::task::Outputs>(data);
    let _ = values::first_output(data);
}

fn error(data: &[u8]) {
    if let Ok(read) = failure::read(data) {
        let _ = failure::error_info(&read);
        let end = spanwise_core::End::Failed(Box::new(read));
        let _ = failure::execution_error(&end, true);
    }
}

fn names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let accepted = [path_name("name", &text).ok(), action_name(&text).ok().map(|name| name.to_string())];
    for name in accepted.into_iter().flatten() {
        assert!(!name.contains('/') && !name.starts_with('.'), "{name}");
    }
    let _ = title("name", &text);
    assert!(shown(&text).len() <= 80 * 10 + 3);
    let _ = task::quantity(&text);
}

fn uri(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for uri in [text.parse::<BlobUri>().ok(), BlobUri::from_key(&text).ok()].into_iter().flatten() {
        assert_eq!(uri.to_string().parse::<BlobUri>().as_ref(), Ok(&uri));
        assert!(uri.key().split('/').all(|segment| !matches!(segment, "" | "." | "..")), "{uri}");
    }
    let half = text.len() / 2;
    let (name, root) = text.split_at((0..=half).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
    if let Ok(uri) = crate::blobs::upload_uri("p", "d", Some(root), &[], name) {
        assert!(uri.key().starts_with("uploads/p/d/"), "{uri}");
    }
}

fn token(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (token, key) = text.split_once('\n').unwrap_or((&text, "a"));
    let signer = Signer::new([7; 32]);
    assert!(signer.check(token, key, SystemTime::now()).is_err(), "nobody can sign without the key");
}

fn listing_of(data: &[u8]) {
    if let Ok(request) = ListRequest::decode_from_slice(data) {
        let _ = listing::runs(&request, RunQuery::default());
        let _ = listing::Page::of(&request);
        for filter in &request.filters {
            let _ = listing::phases(filter);
        }
    }
}

fn canonical(data: &[u8]) {
    if let Some(canonical) = msgpack::reordered(data) {
        assert_eq!(msgpack::reordered(&canonical), None, "canonical is canonical");
    }
}

/// The first byte says how much of the rest is the sidecar.
fn log(data: &[u8]) {
    let Some((share, rest)) = data.split_first() else { return };
    let (times, log) = rest.split_at(rest.len() * usize::from(*share) / 256);
    let read = || -> io::Result<()> {
        let directory = std::env::temp_dir().join(format!("spanwise-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let file = directory.join(format!("{:?}.log", std::thread::current().id()));
        std::fs::write(&file, log)?;
        std::fs::write(file.with_extension("log.times"), times)?;
        let lines = process::read_all(&file)?;
        let _ = process::last_lines(&file, 100)?;
        let at: Vec<u64> = lines.iter().map(|line| line.offset).collect();
        assert!(at.is_sorted(), "lines are in order");
        assert!(lines.iter().all(|line| line.at != Timestamp(i64::MIN) || !times.is_empty()));
        std::fs::remove_dir_all(&directory)
    };
    let _ = read();
}

/// Bytes that a decoder may be given, to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    use spanwise_proto::flyteidl2::core::{Container, Literal, TaskTemplate};
    use spanwise_proto::flyteidl2::task::{Inputs, NamedLiteral};
    let container = Container { args: vec!["a0".to_owned(), "--tgz".to_owned()], ..Container::default() };
    let template =
        TaskTemplate { r#type: "python".to_owned(), target: Some(container.into()), ..TaskTemplate::default() };
    let spec = TaskSpec { task_template: template.into(), ..TaskSpec::default() };
    let literals = vec![NamedLiteral::new("x", Literal::integer(1)), NamedLiteral::new("y", Literal::string("s"))];
    let failure = spanwise_core::Failure::user("Code", "message");
    vec![
        spec.encode_to_vec(),
        Inputs { literals, ..Inputs::default() }.encode_to_vec(),
        failure::document(&failure),
        b"s3://spanwise/a/b".to_vec(),
        b"\x82\xa1b\x01\xa1a\x93\x01\x02\xc0".to_vec(),
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_vec(),
        b"\x0a\x34\x0a\x00\x12\x30\x0a\x03\x0a\x01s\x12\x29\x0a\x10tttttttttttttttt\x12\x08ssssssss\x2a\x01n\x4a\x06\x0a\x01k\x12\x01v".to_vec(),
        br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c"}]}]}]}"#.to_vec(),
        b"\x40line one\nline two\r\nthree".to_vec(),
    ]
}

/// The decoder of this name.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    TARGETS.iter().find(|(other, _)| *other == name).map(|(_, decode)| *decode)
}

/// Their names, in one line.
pub fn target_names() -> Arc<str> {
    TARGETS.map(|(name, _)| name).join(" ").into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any bytes; or a seed, changed in places and cut.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
        let changed = (prop::sample::select(seeds()), changes, any::<prop::sample::Index>(), any::<bool>());
        let changed = changed.prop_map(|(mut seed, changes, cut, is_cut)| {
            for (at, byte) in changes {
                let at = at.index(seed.len());
                seed[at] = byte;
            }
            if is_cut {
                seed.truncate(cut.index(seed.len()));
            }
            seed
        });
        prop_oneof![prop::collection::vec(any::<u8>(), 0..256), changed, ".{0,80}".prop_map(String::into_bytes)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_decoder_panics(data in bytes()) {
            for (_, decode) in TARGETS {
                decode(&data);
            }
        }
    }
}
