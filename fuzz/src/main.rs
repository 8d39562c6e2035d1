//! Drives one decoder of the server with libFuzzer: `just fuzz inputs 60`. The variable `SPANWISE_FUZZ` names the decoder.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

fn decoder() -> fn(&[u8]) {
    static DECODER: OnceLock<fn(&[u8])> = OnceLock::new();
    *DECODER.get_or_init(|| {
        let name = std::env::var("SPANWISE_FUZZ").unwrap_or_default();
        let known = spanwise_server::fuzzing::target_names();
        spanwise_server::fuzzing::target(&name)
            .unwrap_or_else(|| panic!("SPANWISE_FUZZ=`{name}`: one of {known} is needed"))
    })
}

fuzz_target!(|data: &[u8]| decoder()(data));
