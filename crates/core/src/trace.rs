//! Trace and span ids: W3C's text form, and ids that are derived from names, so that every process of a run computes the same ones.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use blake2::Blake2bMac;
use blake2::digest::consts::{U8, U16};
use blake2::digest::{FixedOutput, Update};
use serde::{Deserialize, Serialize};

use crate::{ActionName, RunId};

/// The key of the caller's span in a carrier (W3C Trace Context).
pub const TRACEPARENT: &str = "traceparent";

/// The key of what vendors say about the caller's trace in a carrier (W3C Trace Context).
pub const TRACESTATE: &str = "tracestate";

/// The keys of a carrier that tie it to a trace: W3C Trace Context and Baggage.
pub const CARRIER_KEYS: [&str; 3] = [TRACEPARENT, TRACESTATE, "baggage"];

/// The id of a trace: 16 bytes, not all of them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub [u8; 16]);

/// The id of a span: 8 bytes, not all of them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(pub [u8; 8]);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// A span as its children name it: the header `traceparent` of W3C Trace Context, level 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The span in it.
    pub span: SpanId,
    /// The flags, kept whatever they are: level 2 defines `02`, and opentelemetry-python sends `03`.
    pub flags: u8,
}

/// A text that is no `traceparent`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent of W3C Trace Context: 00-<32 hex>-<16 hex>-<2 hex>, in lower case, ids not zero")]
pub struct NotATraceParent;

impl TraceParent {
    /// The flag that says that the caller records the trace.
    pub const SAMPLED: u8 = 1;

    /// True if the caller records the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & TraceParent::SAMPLED != 0
    }

    /// The same trace, seen from another span of it.
    pub fn at(self, span: SpanId) -> TraceParent {
        TraceParent { span, ..self }
    }
}

impl FromStr for TraceParent {
    type Err = NotATraceParent;

    fn from_str(header: &str) -> Result<TraceParent, NotATraceParent> {
        let mut parts = header.split('-');
        let mut next = || parts.next().ok_or(NotATraceParent);
        let (version, trace, span, flags) = (next()?, next()?, next()?, next()?);
        // Version 00 has four parts; a later one may have more; ff is forbidden.
        let version = hex(version, 2)?;
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return Err(NotATraceParent);
        }
        let (trace, span) = (hex(trace, 32)?, hex(span, 16)? as u64);
        if trace == 0 || span == 0 {
            return Err(NotATraceParent);
        }
        let flags = hex(flags, 2)? as u8;
        Ok(TraceParent { trace: TraceId(trace.to_be_bytes()), span: SpanId(span.to_be_bytes()), flags })
    }
}

/// A number of exactly this many digits, in lower case as the recommendation demands.
fn hex(text: &str, digits: usize) -> Result<u128, NotATraceParent> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != digits || !text.bytes().all(is_digit) {
        return Err(NotATraceParent);
    }
    u128::from_str_radix(text, 16).map_err(|_| NotATraceParent)
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TraceParent { trace, span, flags } = self;
        write!(f, "00-{trace}-{span}-{flags:02x}")
    }
}

impl TryFrom<String> for TraceParent {
    type Error = NotATraceParent;
    fn try_from(header: String) -> Result<TraceParent, NotATraceParent> {
        header.parse()
    }
}

impl From<TraceParent> for String {
    fn from(parent: TraceParent) -> String {
        parent.to_string()
    }
}

/// What vendors say about a trace: the header `tracestate` of W3C Trace Context, well-formed and not empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceState(Arc<str>);

/// A text that is no `tracestate`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a tracestate of W3C Trace Context: up to 32 members key=value with commas between, no key twice")]
pub struct NotATraceState;

impl TraceState {
    /// Members that a list may have.
    const MOST_MEMBERS: usize = 32;

    /// Bytes that are carried; the recommendation asks for 512 at least.
    const MOST_BYTES: usize = 4096;

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TraceState {
    type Err = NotATraceState;

    fn from_str(header: &str) -> Result<TraceState, NotATraceState> {
        let is_blank = |character: char| character == ' ' || character == '\t';
        let members = header.split(',').map(|member| member.trim_matches(is_blank)).filter(|member| !member.is_empty());
        let members: Vec<&str> = members.collect();
        if members.is_empty() || members.len() > TraceState::MOST_MEMBERS || header.len() > TraceState::MOST_BYTES {
            return Err(NotATraceState);
        }
        let mut keys = Vec::with_capacity(members.len());
        for member in &members {
            let (key, value) = member.split_once('=').ok_or(NotATraceState)?;
            if !is_state_key(key) || !is_state_value(value) || keys.contains(&key) {
                return Err(NotATraceState);
            }
            keys.push(key);
        }
        Ok(TraceState(members.join(",").into()))
    }
}

/// `simple` or `tenant@system`, in lower case.
fn is_state_key(key: &str) -> bool {
    let is_rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte);
    let is_word = |word: &str, most: usize, may_begin_with_digit: bool| {
        let Some(first) = word.bytes().next() else { return false };
        let begins = first.is_ascii_lowercase() || (may_begin_with_digit && first.is_ascii_digit());
        begins && word.len() <= most && word.bytes().all(is_rest)
    };
    match key.split_once('@') {
        Some((tenant, system)) => is_word(tenant, 241, true) && is_word(system, 14, false),
        None => is_word(key, 256, false),
    }
}

/// Printable, without commas and equals signs.
fn is_state_value(value: &str) -> bool {
    let is_printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b',' && byte != b'=';
    !value.is_empty() && value.len() <= 256 && value.bytes().all(is_printable)
}

impl TryFrom<String> for TraceState {
    type Error = NotATraceState;
    fn try_from(header: String) -> Result<TraceState, NotATraceState> {
        header.parse()
    }
}

impl From<TraceState> for String {
    fn from(state: TraceState) -> String {
        state.0.as_ref().to_owned()
    }
}

/// The trace id of a run that came with no trace of its own: the same 16 bytes as Flyte's OpenTelemetry plugin derives
/// (`flyteplugins.otel._ids`), so that all attempts and all processes of a run meet in one trace.
///
/// blake2b with a 16-byte digest, personalised `flyte.otel.run.v`, over org, project, domain and run name joined by NUL.
/// The invalid id 0 becomes 1.
pub fn derived_trace_id(run: &RunId) -> TraceId {
    let mut hash = Blake2bMac::<U16>::new_with_salt_and_personal(None, &[], b"flyte.otel.run.v")
        .expect("no key, no salt and 16 bytes of personalisation are in bounds");
    update_joined(&mut hash, &run_parts(run));
    let id: [u8; 16] = hash.finalize_fixed().into();
    match u128::from_be_bytes(id) {
        0 => TraceId(1u128.to_be_bytes()),
        _ => TraceId(id),
    }
}

/// The span id of a span that the engine makes: the same for everyone who makes it, so exporting it twice is harmless.
///
/// blake2b with an 8-byte digest, personalised `spanwise.span.v1`, over org, project, domain, run, action, kind, attempt and
/// ordinal joined by NUL. The invalid id 0 becomes 1.
pub fn derived_span_id(run: &RunId, action: &ActionName, kind: &str, attempt: u32, ordinal: u32) -> SpanId {
    let mut hash = Blake2bMac::<U8>::new_with_salt_and_personal(None, &[], b"spanwise.span.v1")
        .expect("no key, no salt and 16 bytes of personalisation are in bounds");
    let (attempt, ordinal) = (attempt.to_string(), ordinal.to_string());
    update_joined(&mut hash, &run_parts(run));
    hash.update(&[0]);
    update_joined(&mut hash, &[action.as_str(), kind, &attempt, &ordinal]);
    let id: [u8; 8] = hash.finalize_fixed().into();
    match u64::from_be_bytes(id) {
        0 => SpanId(1u64.to_be_bytes()),
        _ => SpanId(id),
    }
}

fn run_parts(run: &RunId) -> [&str; 4] {
    [&run.org, &run.project, &run.domain, run.name.as_str()]
}

fn update_joined(hash: &mut impl Update, parts: &[&str]) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hash.update(&[0]);
        }
        hash.update(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunName;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn derived(org: &str, project: &str, domain: &str, run: &str) -> String {
        let id = RunId {
            org: org.to_owned(),
            project: project.to_owned(),
            domain: domain.to_owned(),
            name: RunName::new(run).unwrap(),
        };
        derived_trace_id(&id).to_string()
    }

    #[test]
    fn s2_derived_trace_ids_equal_those_of_flytes_plugin() {
        assert_eq!(derived("acme", "proj", "dev", "run-abc"), "f1e52035191e0f4149814b4f2f9da267");
        assert_eq!(derived("", "flytesnacks", "development", "rabc"), "e1df7e88ebd55d3165f93fb14a1549d8");
    }

    #[test]
    fn s1_10_flags_other_than_00_and_01_travel_unchanged() {
        for flags in ["00", "01", "02", "03", "ff"] {
            let header = format!("00-{TRACE}-{SPAN}-{flags}");
            assert_eq!(header.parse::<TraceParent>().unwrap().to_string(), header);
        }
        assert!(format!("01-{TRACE}-{SPAN}-01-later").parse::<TraceParent>().is_ok());
    }

    #[test]
    fn s1_10_malformed_and_upper_case_headers_are_refused() {
        let zero = "0".repeat(32);
        for bad in [
            String::new(),
            "00".to_owned(),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{zero}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-extra"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-+1"),
            format!("00-{TRACE}é-{SPAN}-01"),
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(NotATraceParent), "{bad}");
        }
    }

    #[test]
    fn s1_10_a_tracestate_is_kept_as_it_is_unless_it_is_malformed() {
        let longest = format!("{}@{}={}", "t".repeat(241), "s".repeat(14), "v".repeat(256));
        for good in ["vendor=1", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", "1a-_*/z@s=a b:~", &longest] {
            assert_eq!(good.parse::<TraceState>().unwrap().as_str(), good);
        }
        assert_eq!("a=1 , ,b=2\t".parse::<TraceState>().unwrap().as_str(), "a=1,b=2");
        let many = (0..33).map(|number| format!("k{number}=v")).collect::<Vec<_>>().join(",");
        for bad in [
            "", " ", "a", "a=", "=1", "A=1", "a=1,a=2", "a=1=2", "a=é", "@s=1", "a@=1", "a@1s=1", "a b=1", "a=\u{1}",
            &many,
        ] {
            assert_eq!(bad.parse::<TraceState>(), Err(NotATraceState), "{bad}");
        }
    }
}
