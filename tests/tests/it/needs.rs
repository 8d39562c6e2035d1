//! Programs of the machine that some tests drive. A test whose program is missing is left out, and says so where it is seen: it neither
//! fails on a machine that cannot run it nor seems to have shown something.

use std::ffi::OsStr;
use std::io::Write as _;

/// Where every test has to run, as in CI.
pub(crate) const REQUIRE: &str = "SPANWISE_REQUIRE_TOOLS";

/// True if one of these programs is on the PATH. If none is, it says what is left out and how to get it; with [`REQUIRE`] the test fails.
pub(crate) fn has(programs: &[&str], package: &str, test: &str) -> bool {
    if is_there(programs, &std::env::var_os("PATH").unwrap_or_default()) {
        return true;
    }
    let text = format!("LEFT OUT: {test} needs {}, which is not on the PATH: apt-get install {package}", programs[0]);
    assert!(!std::env::var_os(REQUIRE).is_some_and(|value| !value.is_empty() && value != "0"), "{text}");
    // Not `eprintln!`, which is kept from who looks at a test that passes.
    let _ = writeln!(std::io::stderr(), "\n{text}");
    false
}

fn is_there(programs: &[&str], path: &OsStr) -> bool {
    std::env::split_paths(path).any(|place| programs.iter().any(|program| place.join(program).is_file()))
}

#[test]
fn a_program_is_looked_for_on_the_path() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("second"), "").unwrap();
    let path = std::env::join_paths(["/nowhere".into(), directory.path().to_owned()]).unwrap();
    assert!(is_there(&["first", "second"], &path));
    assert!(!is_there(&["first"], &path) && !is_there(&["second"], OsStr::new("")));
}
