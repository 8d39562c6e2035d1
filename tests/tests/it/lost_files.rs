//! A file of the data directory that is lost or damaged: the journal is refused by its name and nothing is deleted; nothing else keeps
//! the server from starting.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::dev_server::{DevServer, binary};
use crate::python;

/// Every file of blobs and logs, as paths below the data directory.
fn files(data: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut pending = vec![data.join("blobs/spanwise"), data.join("logs")];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                found.insert(path.strip_prefix(data).unwrap().display().to_string());
            }
        }
    }
    found
}

fn start_refused(data: &Path) -> Output {
    let mut command = Command::new(binary());
    command.args(["dev", "--port", "0", "--collector-port", "0", "--data-dir"]).arg(data);
    command.arg("--python").arg(python::python());
    python::remove_what_would_mislead(&mut command);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_ne!(ended.status.code(), Some(0));
    ended
}

/// A data directory with a finished run, and its name.
fn used() -> (tempfile::TempDir, String) {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let found = python::run_case(&server, "full_disk.py", "one");
    server.stop();
    (data, found["run"].as_str().unwrap().to_owned())
}

fn get(server: &DevServer, path: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.get(format!("http://{}{path}", server.endpoint())).call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

fn page_of(run: &str) -> String {
    format!("/v2/domain/development/project/flytesnacks/runs/{run}")
}

#[test]
fn a_lost_journal_is_refused_by_name_deletes_nothing_and_is_begun_anew_if_asked() {
    let (data, run) = used();
    let data = data.path();
    let before = files(data);
    assert!(
        before.iter().any(|file| file.contains(&run)) && before.iter().any(|file| file.starts_with("logs/1/")),
        "{before:?}"
    );
    type Lose = fn(&Path);
    let losses: [(&str, Lose); 3] = [
        ("is missing", |data| std::fs::remove_file(data.join("journal.db")).unwrap()),
        ("is empty", |data| std::fs::write(data.join("journal.db"), "").unwrap()),
        // As an earlier version has left it.
        ("knows no run", |data| std::fs::remove_file(data.join("journal.id")).unwrap()),
    ];
    for (told, lose) in losses {
        lose(data);
        let ended = start_refused(data);
        let said = String::from_utf8_lossy(&ended.stderr);
        let names = data.join("journal.db").display().to_string();
        assert!(said.contains(told) && said.contains(&names) && said.contains("--repair"), "{told}: {said}");
        assert_eq!(files(data), before, "{told}");
    }

    let server = DevServer::start_repairing(data);
    assert!(
        server.said().contains("a new journal was begun") || server.said().contains("nothing of theirs is deleted"),
        "{}",
        server.said()
    );
    assert_eq!(get(&server, &page_of(&run)).0, 404);
    let found = python::run_case(&server, "full_disk.py", "one");
    server.stop();
    let after = files(data);
    assert!(after.is_superset(&before), "{:?}", before.difference(&after).collect::<Vec<_>>());
    // Its files are not among those of the lost run.
    let journal = Connection::open(data.join("journal.db")).unwrap();
    let key = "SELECT key FROM runs WHERE name = ?1";
    assert_eq!(journal.query_row(key, [found["run"].as_str().unwrap()], |row| row.get::<_, i64>(0)).unwrap(), 2);
    drop(journal);
    // It is a journal like any other from now on.
    let server = DevServer::start(data);
    assert_eq!(get(&server, &page_of(found["run"].as_str().unwrap())).0, 200);
    server.stop();
    assert!(files(data).is_superset(&before));
}

#[test]
fn no_other_file_that_is_damaged_keeps_the_server_from_starting() {
    let (data, run) = used();
    let data = data.path();
    let noise: Vec<u8> = (0..20_000u32).map(|number| ((number * 7919) >> 3) as u8).collect();
    for (file, told) in [
        ("spans.db", "spans.db.damaged-1"),
        ("signing.key", "the key of signed URLs is damaged"),
        ("journal.id", ""),
        ("server.json", ""),
        ("lock", ""),
        ("journal.db-shm", ""),
    ] {
        std::fs::write(data.join(file), &noise).unwrap();
        let server = DevServer::start(data);
        let since = Instant::now();
        while !server.said().contains(told) {
            assert!(since.elapsed() < Duration::from_secs(10), "{file}: {}", server.said());
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(get(&server, &page_of(&run)).0, 200, "{file}");
        server.stop();
    }
    assert_eq!(std::fs::read(data.join("spans.db.damaged-1")).unwrap(), noise);
}

#[test]
fn spans_that_cannot_be_opened_now_turn_the_collector_off_and_stay() {
    let (data, run) = used();
    let (spans, aside) = (data.path().join("spans.db"), data.path().join("kept"));
    std::fs::rename(&spans, &aside).unwrap();
    // A name that leads to itself cannot be opened, and is not known to be anything else than the file of spans.
    std::os::unix::fs::symlink(&spans, &spans).unwrap();
    let server = DevServer::start(data.path());
    let since = Instant::now();
    while !server.said().contains("the collector is off until the server is started again") {
        assert!(since.elapsed() < Duration::from_secs(10), "{}", server.said());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(server.said().contains("spans.db"), "{}", server.said());
    assert_eq!(get(&server, "/v1/traces/0af7651916cd43dd8448eb211c80319c").0, 404, "there is no collector");
    assert_eq!(get(&server, &page_of(&run)).0, 200);
    server.stop();
    assert!(spans.is_symlink() && !data.path().join("spans.db.damaged-1").exists(), "nothing is thrown away");
    std::fs::remove_file(&spans).unwrap();
    std::fs::rename(&aside, &spans).unwrap();
    let server = DevServer::start(data.path());
    assert!(!server.said().contains("the collector is off"), "{}", server.said());
    server.stop();
}

#[test]
fn a_run_that_cannot_be_read_is_shown_as_such_and_the_others_are_served() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let mut program = python::Program::new(&server, "full_disk.py").arg("three").start();
    program.wait_for_marks("works", |lines| lines.len() == 3, &server);
    let damaged = program.started_run();
    server.kill();
    let journal = Connection::open(data.path().join("journal.db")).unwrap();
    let damage = "UPDATE events SET body = '[[1,{' WHERE run = (SELECT key FROM runs WHERE name = ?1) AND seq = 0";
    assert_eq!(journal.execute(damage, [&damaged]).unwrap(), 1);
    drop(journal);
    server.restart();

    assert!(server.said().contains("a run cannot be read") && server.said().contains(&damaged), "{}", server.said());
    let (status, list) = get(&server, "/");
    assert!(status == 200 && list.contains("Unreadable") && list.contains("the data is damaged"), "{list}");
    let (status, page) = get(&server, &page_of(&damaged));
    assert!(status == 500 && page.contains("cannot be read") && page.contains("the data is damaged"), "{page}");
    let spanwise = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        python::remove_what_would_mislead(&mut command);
        let ended = command.args(arguments).args(["--endpoint", &server.endpoint()]).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr))
    };
    let listed = spanwise(&["list"]);
    assert_eq!(listed.matches("UNREADABLE").count(), 1, "{listed}");
    let told = spanwise(&["get", &damaged]);
    assert!(told.contains("cannot be read") && told.contains("the data is damaged"), "{told}");
    // The other two go on to their ends; a new one is accepted.
    program.touch("works.go");
    program.wait_for_marks("works", |lines| lines.iter().filter(|line| line.starts_with("end")).count() >= 2, &server);
    assert_eq!(python::run_case(&server, "full_disk.py", "one")["output"], 7);
    let since = Instant::now();
    while spanwise(&["list"]).matches("SUCCEEDED").count() < 3 {
        assert!(since.elapsed() < Duration::from_secs(60), "{}", spanwise(&["list"]));
        std::thread::sleep(Duration::from_millis(50));
    }
    server.stop();
}
