//! Drives one decoder of foreign bytes with libFuzzer: `just fuzz inputs 60`. The variable `SPANWISE_FUZZ` names the decoder.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use spanwise::{CustomContext, otel};

type Decoder = fn(&[u8]);

fn name() -> String {
    std::env::var("SPANWISE_FUZZ").unwrap_or_default()
}

fn decoder() -> Decoder {
    static DECODER: OnceLock<Decoder> = OnceLock::new();
    *DECODER.get_or_init(|| {
        let name = name();
        let known = spanwise_server::fuzzing::target_names();
        let found = if name == "carrier" { Some(carrier as Decoder) } else { spanwise_server::fuzzing::target(&name) };
        found.unwrap_or_else(|| panic!("SPANWISE_FUZZ=`{name}`: one of {known} carrier is needed"))
    })
}

/// W3C headers, one a line, as the SDK reads and writes them. What it has read and written once is read and written alike again.
fn carrier(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let mut written = CustomContext::new();
    for name in ["traceparent", "tracestate"] {
        written.set(name, lines.next().unwrap_or_default());
    }
    let mut turn = || {
        let mut again = CustomContext::new();
        otel::inject(&otel::extract(&written), &mut again);
        std::mem::replace(&mut written, again)
    };
    let (_, once) = (turn(), turn());
    assert_eq!(written, once);
}

/// What libFuzzer begins with, beside what it has kept of earlier runs.
fn plant_seeds() {
    let corpus = Path::new("corpus").join(name());
    let carrier = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03\na=1,b@c=2".to_vec();
    for (number, seed) in spanwise_server::fuzzing::seeds().into_iter().chain([carrier]).enumerate() {
        std::fs::write(corpus.join(format!("seed-{number}")), seed).expect("`just fuzz` makes the folder");
    }
}

fuzz_target!(init: plant_seeds(), |data: &[u8]| decoder()(data));
