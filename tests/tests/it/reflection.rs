//! Each field of the stock messages by which something is asked for, one at a time, against the tables of the documentation.

use crate::cargo;
use crate::dev_server::DevServer;
use crate::python::Program;

#[test]
fn s10_each_field_of_the_stock_messages_is_honoured_told_or_refused_as_its_row_says() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let tables = cargo::root().join("docs/compatibility.md");
    let program = Program::new(&server, "reflection.py").arg("each_field").env("SPANWISE_TEST_TABLES", tables);
    let found = program.start().result(&server);
    assert!(found["problems"].is_null(), "{found:#}");
    for (kind, least) in [("RunSpec", 40), ("TaskSpec", 100), ("TriggerSpec", 40), ("app Spec", 60), ("Settings", 20)] {
        let count = &found[kind];
        let number = |what: &str| count[what].as_u64().unwrap_or_default();
        assert!(number("fields") >= least, "{kind}: {found:#}");
        // A test in which nothing is warned about, or all is refused, shows nothing.
        assert!(number("warned") > 0 && number("refused") * 2 < number("fields"), "{kind}: {found:#}");
    }
    server.stop();
}
