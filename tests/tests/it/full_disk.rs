//! A server whose disk is full for a while: it says so at every door, accepts nothing that it could not keep, loses nothing, and goes on
//! when there is room. The disk is a small one of its own, in memory.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;

use crate::dev_server::{DevServer, status_of};
use crate::python::{self, Program};

const PATIENCE: Duration = Duration::from_secs(60);

fn wait_for_ready(server: &DevServer, expected: u16) {
    let since = Instant::now();
    let url = format!("http://{}/readyz", server.endpoint());
    while status_of(&url) != Some(expected) {
        assert!(since.elapsed() < PATIENCE, "/readyz is not {expected}\n{}", server.said());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Writes until nothing more can be written.
fn fill_with_bytes(disk: &Path) {
    std::fs::create_dir(disk.join("fill")).unwrap();
    let mut file = std::fs::File::create(disk.join("fill/bytes")).unwrap();
    while std::io::Write::write_all(&mut file, &[7; 1024]).is_ok() {}
}

/// Makes files until there can be no more.
fn fill_with_files(disk: &Path) {
    std::fs::create_dir(disk.join("fill")).unwrap();
    for number in 0..1 << 20 {
        if std::fs::write(disk.join(format!("fill/{number}")), "").is_err() {
            return;
        }
    }
    panic!("the disk takes a million files");
}

fn put(server: &DevServer, key: &str) -> u16 {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let url = format!("http://{}/s3/spanwise/{key}", server.endpoint());
    agent.put(&url).send(&[7u8; 100_000][..]).unwrap().status().as_u16()
}

#[test]
fn s4_a_full_disk_is_told_refuses_alike_and_passes() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::on_small_disk(data.path());
    let disk = server.disk();
    let mut program = Program::new(&server, "full_disk.py").arg("three").start();
    program.wait_for_marks("works", |lines| lines.len() == 3, &server);
    type Fill = fn(&Path);
    let unread = python::run_case(&server, "full_disk.py", "unread")["run"].as_str().unwrap().to_owned();
    let fills: [(&str, Fill); 2] = [("bytes", fill_with_bytes), ("files", fill_with_files)];
    for (what, fill) in fills {
        assert_eq!(put(&server, &format!("before/{what}")), 200);
        fill(&disk);
        wait_for_ready(&server, 503);
        assert_eq!(put(&server, &format!("full/{what}")), 503, "{what}");
        if what == "bytes" {
            let aborted = program.started_run();
            let told = Program::new(&server, "full_disk.py").arg("refused").arg(&aborted).start().result(&server);
            let told_of = |name: &str| told[name].as_str().unwrap().to_lowercase();
            // Its code is uploaded first.
            let is_passing = told_of("create").contains("unavailable") || told_of("create").contains("status 507");
            assert!(is_passing && told_of("create").contains("is full"), "{told}");
            let read = Program::new(&server, "full_disk.py").arg("read").arg(&unread).start().result(&server);
            assert_eq!(read, json!({ "input": 9, "output": 9 }), "reading takes no room");
            // It ends all the same: it may be what fills the disk.
            assert!(told_of("abort") == "accepted" || told_of("abort").contains("is full"), "{told}");
        }
        std::fs::remove_dir_all(disk.join("fill")).unwrap();
        wait_for_ready(&server, 200);
        assert_eq!(put(&server, &format!("full/{what}")), 200, "{what}");
        assert_eq!(python::run_case(&server, "full_disk.py", "one")["output"], 7, "{what}");
    }
    program.touch("works.go");
    let found = program.result(&server);
    assert_eq!(found["phases"], json!(["aborted", "succeeded", "succeeded"]), "{found}\n{}", server.said());
    for number in 1..3 {
        let times = |word: &str| {
            let line = format!("{word} {number}");
            found["log"].as_array().unwrap().iter().filter(|entry| **entry == line).count()
        };
        assert_eq!((times("start"), times("end")), (1, 1), "{found}");
    }
    // What was refused does not exist.
    let copy = tempfile::tempdir().unwrap();
    for name in ["journal.db", "journal.db-wal"] {
        std::fs::copy(disk.join("data").join(name), copy.path().join(name)).unwrap();
    }
    let journal = Connection::open(copy.path().join("journal.db")).unwrap();
    assert_eq!(journal.query_row("SELECT count(*) FROM runs", [], |row| row.get::<_, i64>(0)).unwrap(), 6);
    server.stop();
}

#[test]
fn s4_code_that_has_no_room_to_be_unpacked_is_unpacked_later() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    // Twice it has no room, then it is the real one.
    let tar = format!(
        "#!/bin/sh\nif [ ! -e '{0}' ]; then\n  if [ -e '{1}' ]; then touch '{0}'; else touch '{1}'; fi\n  \
         echo 'tar: session.py: Cannot open: No space left on device' >&2\n  exit 2\nfi\nPATH='{2}' exec tar \"$@\"\n",
        at("twice"),
        at("once"),
        std::env::var("PATH").unwrap()
    );
    std::fs::create_dir(at("bin")).unwrap();
    std::fs::write(at("bin/tar"), tar).unwrap();
    std::fs::set_permissions(at("bin/tar"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", at("bin"), std::env::var("PATH").unwrap());
    for cold in ["false", "true"] {
        let data = tempfile::tempdir().unwrap();
        let server = DevServer::start_with(data.path(), &[("PATH", &path), ("SPANWISE_COLD", cold)]);
        assert_eq!(python::run_case(&server, "full_disk.py", "one")["output"], 7, "{}", server.said());
        for mark in ["once", "twice"] {
            std::fs::remove_file(at(mark)).unwrap_or_else(|_| panic!("{mark}: {}", server.said()));
        }
        let journal = Connection::open(data.path().join("journal.db")).unwrap();
        let again = r#"SELECT count(*) FROM events WHERE body LIKE '%"attempt":2%'"#;
        assert_eq!(journal.query_row(again, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "one attempt is enough");
        server.stop();
    }
}

#[test]
fn a_data_directory_that_was_deleted_is_noticed_and_a_lock_made_anew() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let mut server = DevServer::start(&data);
    std::fs::remove_file(data.join("lock")).unwrap();
    let since = Instant::now();
    while !data.join("lock").exists() {
        assert!(since.elapsed() < PATIENCE, "{}", server.said());
        wait_for_ready(&server, 200);
        std::thread::sleep(Duration::from_millis(50));
    }
    std::fs::remove_dir_all(&data).unwrap();
    wait_for_ready(&server, 503);
    assert_eq!(put(&server, "after/it"), 503);
    assert!(!data.join("blobs").exists(), "nothing is written where nobody looks for it");
    server.kill();
}

#[test]
fn a_log_is_cut_where_the_setting_says_and_says_so() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start_with(data.path(), &[("SPANWISE_MAX_LOG", "64KiB")]);
    let found = python::run_case(&server, "full_disk.py", "much");
    assert_eq!(found["output"], 10_000, "the task goes on undisturbed");
    let mut command = std::process::Command::new(crate::dev_server::binary());
    python::remove_what_would_mislead(&mut command);
    let shown =
        command.args(["logs", found["run"].as_str().unwrap(), "--endpoint", &server.endpoint()]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("spanwise: the log is cut at 64 KiB (--max-log)"),
        "{}",
        &shown[shown.len().saturating_sub(400)..]
    );
    let log = std::fs::metadata(data.path().join("logs/1/a0/1.log")).unwrap();
    assert!((64 << 10..66 << 10).contains(&log.len()), "{} bytes", log.len());
    server.stop();
}
