//! What the golden files of `spanwise-proto` say is what the real package says: they are made again and compared.

use std::fs;
use std::process::{Command, Stdio};

use crate::cargo;
use crate::python::{self, python};

#[test]
fn the_wheel_declares_and_computes_what_the_golden_files_say() {
    let golden = cargo::root().join("crates/proto/tests/golden");
    let folder = tempfile::tempdir().unwrap();
    fs::copy(golden.join("make.py"), folder.path().join("make.py")).unwrap();
    let mut command = Command::new(python());
    python::remove_what_would_mislead(&mut command);
    let made = command.arg("make.py").current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for file in ["golden.json", "idl.json"] {
        let (fresh, committed) = (fs::read(folder.path().join(file)).unwrap(), fs::read(golden.join(file)).unwrap());
        assert!(fresh == committed, "{file} is not what the wheel gives: run make.py and look at the difference");
    }
}
