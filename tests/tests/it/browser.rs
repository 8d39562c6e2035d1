//! The console in a real browser: from the list to the failing child, live, with the keyboard, in light and dark.

use crate::dev_server::DevServer;
use crate::python::{self, Program};

#[test]
fn the_console_is_followed_and_used_in_a_browser() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let mut program =
        Program::with(python::browser_python(), &server, "browser.py").env("SPANWISE_TEST_SDK", python::python());
    if let Some(pictures) = std::env::var_os("SPANWISE_TEST_PICTURES") {
        program = program.env("SPANWISE_TEST_PICTURES", pictures);
    }
    let found = program.start().result(&server);
    assert_eq!(found["violations"], serde_json::json!([]), "{found}");
    assert!(found["layout_shift"].as_f64().unwrap() < 0.05, "{found}");
    server.stop();
}
