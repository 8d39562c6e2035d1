//! Who gets what from a server: other users of the machine, tasks, pages of a browser, and clients that want everything.

use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use spanwise_proto::Message as _;
use spanwise_proto::flyteidl2::common::ActionPhase;
use spanwise_proto::flyteidl2::workflow::{GetActionDetailsRequest, GetActionDetailsResponse};

use crate::dev_server::{DevServer, status_of};
use crate::hostile::{action_id, ask, program, started};
use crate::python::{self, Program};

/// How long a change is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

fn wait_until(what: &str, server: &DevServer, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}:\n{}", server.said());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn phase(server: &DevServer, run: &str) -> i32 {
    let request = GetActionDetailsRequest { action_id: action_id(run, "a0").into(), ..Default::default() };
    let answer = ask(server, "RunService/GetActionDetails", &request);
    assert_eq!(answer.status, 200, "{answer:?}");
    GetActionDetailsResponse::decode_from_slice(&answer.body).unwrap().details.status.phase.to_i32()
}

/// Runs a program of the shell as a task, to its end.
fn run_shell(server: &DevServer, name: &str, script: &str) {
    let run = started(server, program(name, &["/bin/sh", "-c", script]));
    let open = |phase: i32| phase < ActionPhase::ACTION_PHASE_SUCCEEDED as i32;
    wait_until("the task ends", server, || !open(phase(server, &run)));
}

fn a_free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// What `GET /healthz` says to a program of this user, which is root's choice.
fn asked_as(user: u32, host: &str, port: u16) -> String {
    let script = format!(
        "exec 3<>/dev/tcp/{host}/{port} && printf 'GET /healthz HTTP/1.1\\r\\nhost: localhost\\r\\nconnection: close\\r\\n\\r\\n' >&3 && cat <&3"
    );
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), "--clear-groups".to_owned()]).args(["bash", "-c", &script]);
    let output = command.stdin(Stdio::null()).output().expect("setpriv is there (util-linux)");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

const NOBODY: u32 = 65534;

#[test]
fn another_user_of_the_machine_is_refused_at_every_port_and_root_is_not() {
    if !is_root() {
        // Nobody else can become another user; `peers.rs` shows the rule for one.
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let collector = a_free_port();
    let server = DevServer::start_with(data.path(), &[("SPANWISE_COLLECTOR_PORT", &collector.to_string())]);
    for (port, own) in [(server.port(), "HTTP/1.1 200"), (collector, "HTTP/1.1 404")] {
        for host in ["127.0.0.1", "::1"] {
            if host == "::1" && TcpListener::bind((host, 0)).is_err() {
                continue;
            }
            let said = asked_as(NOBODY, host, port);
            assert!(said.starts_with("HTTP/1.1 403") && said.contains("--users all"), "{host} {port}: {said}");
            let said = asked_as(0, host, port);
            assert!(said.starts_with(own), "{host} {port}: {said}");
        }
    }
    wait_until("it is said", &server, || server.said().contains("another user of this machine is refused"));
    assert!(server.said().contains("65534"), "{}", server.said());
    server.stop();
    let open = DevServer::start_with(data.path(), &[("SPANWISE_USERS", "all")]);
    assert!(asked_as(NOBODY, "127.0.0.1", open.port()).starts_with("HTTP/1.1 200"));
    open.stop();
}

/// Opens connections and resets each at once: when the server takes one, the kernel does not know any more whose it was.
const RESETS: &str = r#"
import socket, struct, sys
for _ in range(20):
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.connect(("127.0.0.1", int(sys.argv[1])))
"#;

#[test]
fn a_connection_of_whom_the_system_does_not_tell_is_refused_and_said_once() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let told = "a connection is refused because this system does not tell whose it is";
    let port = server.port().to_string();
    let reset = || {
        let ended = Command::new(python::python()).args(["-c", RESETS, &port]).stdin(Stdio::null()).status().unwrap();
        assert!(ended.success());
    };
    wait_until("it is said", &server, || {
        reset();
        server.said().contains(told)
    });
    reset();
    assert_eq!(server.said().matches(told).count(), 1, "{}", server.said());
    assert_eq!(status_of(&format!("http://{}/healthz", server.endpoint())), Some(200), "its user's own are taken");
    server.stop();
}

#[test]
fn a_connection_that_its_user_has_closed_is_not_taken_for_roots() {
    if !is_root() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    // The whole request is there before the server looks who sends it, and the sender is gone: the kernel lists such a socket as root's.
    let script = format!(
        "for i in $(seq 200); do exec 3<>/dev/tcp/127.0.0.1/{} && printf 'PUT /s3/spanwise/stolen HTTP/1.1\\r\\nhost: localhost\\r\\ncontent-length: 1\\r\\n\\r\\nx' >&3; exec 3>&-; done",
        server.port()
    );
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={NOBODY}"), "--clear-groups", "bash", "-c", &script]);
    assert!(command.stdin(Stdio::null()).status().unwrap().success());
    // The connections are taken in their order: this one is behind them.
    assert!(asked_as(0, "127.0.0.1", server.port()).starts_with("HTTP/1.1 200"));
    assert!(!data.path().join("blobs/spanwise/stolen").exists());
    server.stop();
}

/// Everything in a directory, with its rights.
fn rights(directory: &Path) -> Vec<(String, u32)> {
    let (mut found, mut directories) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            // What ends meanwhile takes its files with it.
            let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
            if metadata.is_dir() {
                directories.push(path.clone());
            }
            if !metadata.is_symlink() {
                found.push((path.display().to_string(), metadata.mode() & 0o7777));
            }
        }
    }
    found
}

#[test]
fn the_data_directory_is_its_users_alone_and_what_tasks_write_elsewhere_is_as_the_user_wants_it() {
    let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let set = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    // As an earlier version has left it.
    DevServer::start(data.path()).stop();
    remove_home(data.path());
    let old = data.path().join("blobs/spanwise/old");
    std::fs::create_dir_all(old.parent().unwrap()).unwrap();
    std::fs::write(&old, "x").unwrap();
    for (path, mode) in [(data.path(), 0o755), (&*old, 0o644), (old.parent().unwrap(), 0o755)] {
        set(path, mode);
    }
    for environment in [&[][..], &[("SPANWISE_COLD", "true")]] {
        let server = DevServer::start_with(data.path(), environment);
        let shell = elsewhere.path().join(format!("shell{}", environment.len()));
        run_shell(&server, "doors.shell", &format!("touch {0}.in.work; touch {0}", shell.display()));
        let python = elsewhere.path().join(format!("python{}", environment.len()));
        let written = Program::new(&server, "doors.py").arg("a_file").env("SPANWISE_TEST_FILE", &python).start();
        assert_eq!(written.result(&server)["written"], true);
        for file in [shell, python] {
            let umask = umask();
            let mode = std::fs::metadata(&file).unwrap().mode() & 0o777;
            assert_eq!(mode, 0o666 & !umask, "{} {environment:?}", file.display());
        }
        let is_open = |(path, mode): &(String, u32)| {
            let is_work = Path::new(path).components().any(|part| part.as_os_str() == "work");
            // What a task writes into its own directory is its own, for as long as it runs.
            !is_work && mode & 0o077 != 0
        };
        wait_until("everything is closed", &server, || !rights(data.path()).iter().any(is_open));
        assert_eq!(std::fs::metadata(data.path()).unwrap().mode() & 0o777, 0o700);
        let found = rights(data.path());
        for name in [
            "journal.db",
            "journal.db-wal",
            "journal.db-shm",
            "spans.db",
            "1.log",
            "report.html",
            "signing.key",
            "lock",
        ] {
            assert!(found.iter().any(|(path, _)| path.ends_with(name)), "{name}: {found:?}");
        }
        let said = server.said().contains("could read");
        assert_eq!(said, environment.is_empty(), "once, as there is nothing to close later:\n{}", server.said());
        server.stop();
    }
}

/// The home of tests is in the data directory: what a user's cache has is nothing of the server's.
fn remove_home(data: &Path) {
    for entry in std::fs::read_dir(data).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with('.') && entry.file_type().unwrap().is_dir() {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}

/// Of this process, which a server inherits.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
    u32::from_str_radix(line.trim(), 8).unwrap()
}

#[test]
fn tasks_have_of_the_servers_environment_what_is_on_the_list_and_what_is_passed() {
    let scratch = tempfile::tempdir().unwrap();
    let given = [
        ("AWS_SECRET_ACCESS_KEY", "dummy"),
        ("GITHUB_TOKEN", "dummy"),
        ("PIP_INDEX_URL", "https://user:dummy@index.example"),
        ("SSH_AUTH_SOCK", "/dummy"),
        ("LC_SPANWISE", "listed"),
        ("TZ", "Europe/Zurich"),
        ("https_proxy", "http://listed.example"),
        ("OTEL_SPANWISE", "listed"),
        ("MY_SETTING", "passed"),
        ("SPANWISE_PASS_ENV", "MY_SETTING,NOT_THERE"),
    ];
    for cold in ["false", "true"] {
        let data = tempfile::tempdir().unwrap();
        let environment = [&given[..], &[("SPANWISE_COLD", cold)]].concat();
        let server = DevServer::start_with(data.path(), &environment);
        let file = scratch.path().join(cold);
        run_shell(&server, "doors.env", &format!("env > {}", file.display()));
        let shell = std::fs::read_to_string(&file).unwrap();
        let python = Program::new(&server, "doors.py").arg("its_environment").start().result(&server);
        let python = python["environment"].as_object().unwrap();
        for (name, value) in given {
            let is_there = matches!(value, "listed" | "passed" | "Europe/Zurich" | "http://listed.example");
            let found = shell.lines().any(|line| line == format!("{name}={value}"));
            assert_eq!(found, is_there, "shell, cold {cold}: {name}\n{shell}");
            assert_eq!(python.get(name).is_some_and(|found| found == value), is_there, "python, cold {cold}: {name}");
        }
        // None of their values by another name.
        assert!(!shell.contains("dummy") && !python.values().any(|value| value.as_str().unwrap().contains("dummy")));
        server.stop();
    }
}

#[test]
fn connections_without_end_cost_no_run_and_are_said() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let go = data.path().join("go");
    let run = started(
        &server,
        program("doors.patient", &["/bin/sh", "-c", &format!("until [ -e {} ]; do sleep 0.05; done", go.display())]),
    );
    wait_until("the task has begun", &server, || phase(&server, &run) != ActionPhase::ACTION_PHASE_QUEUED as i32);
    // No descriptor is left: a connection cannot be taken.
    let limit = |soft: &str| {
        let set =
            Command::new("prlimit").args([&format!("--pid={}", server.pid()), &format!("--nofile={soft}:")]).status();
        assert!(set.expect("prlimit is there (util-linux)").success());
    };
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    limit(&descriptors.to_string());
    let mut waiting: Vec<TcpStream> =
        (0..8).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap()).collect();
    wait_until("it is said", &server, || server.said().contains("no connection can be taken at the moment"));
    limit("1024");
    // Those that waited are served, and the run goes on.
    for stream in &mut waiting {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    std::fs::write(&go, "").unwrap();
    wait_until("the run ends", &server, || phase(&server, &run) >= ActionPhase::ACTION_PHASE_SUCCEEDED as i32);
    server.stop();
}

#[test]
fn what_a_task_prints_does_not_command_the_terminal_unless_it_is_asked_for() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let script = "printf 'one \\033[2J two \\302\\233 three \\342\\200\\256 four\\n'";
    let run = started(&server, program("doors.print", &["/bin/sh", "-c", script]));
    wait_until("the run ends", &server, || phase(&server, &run) >= ActionPhase::ACTION_PHASE_SUCCEEDED as i32);
    let logs = |more: &[&str]| {
        let mut command = Command::new(crate::dev_server::binary());
        python::remove_what_would_mislead(&mut command);
        command.args(["logs", &run, "--endpoint", &server.endpoint(), "--project", "hostile"]).args(more);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let commands = |text: &str| text.contains(['\x1b', '\u{9b}', '\u{202e}']);
    let shown = logs(&[]);
    assert_eq!(shown, "one \\u{1b}[2J two \\u{9b} three \\u{202e} four\n");
    let json = logs(&["--output", "json"]);
    assert!(!commands(&json), "{json}");
    let message = serde_json::from_str::<serde_json::Value>(json.trim()).unwrap()["message"].clone();
    let raw = logs(&["--raw"]);
    assert_eq!(
        (raw.trim_end(), message.as_str()),
        ("one \x1b[2J two \u{9b} three \u{202e} four", Some(raw.trim_end()))
    );
    server.stop();
}

#[test]
fn nothing_that_is_stored_runs_as_a_page_of_the_console() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let other = a_free_port().to_string();
    let program = Program::with(python::browser_python(), &server, "doors_browser.py");
    let program = program.env("SPANWISE_TEST_SDK", python::python()).env("SPANWISE_TEST_OTHER_PORT", other);
    let found = program.start().result(&server);
    assert_eq!(found["problems"], serde_json::json!([]), "{found}");
    // The report is not blank, and is drawn by its own script in an origin that is nobody's.
    let report = found["report"].as_str().unwrap();
    assert!(report.contains("The report") && report.contains("drawn in null"), "{report}");
    assert_eq!(found["ran"], 0, "{found}");
    server.stop();
}

/// Private memory of a process, in KiB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn runs_that_have_ended_leave_the_memory() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let run_many = |count: usize| {
        for _ in 0..count / 8 {
            let runs: Vec<String> = (0..8).map(|_| started(&server, program("doors.small", &["/bin/true"]))).collect();
            for run in runs {
                wait_until("a run ends", &server, || {
                    phase(&server, &run) >= ActionPhase::ACTION_PHASE_SUCCEEDED as i32
                });
            }
        }
        memory(server.pid())
    };
    // What is kept for those that come, until it is full: buffers, definitions, pages of the journal, and the pools of memory of the threads
    // that wait for the disk.
    let before = run_many(512);
    let after = run_many(768);
    eprintln!("private memory: {before} KiB after 512 runs, {after} KiB after 768 more");
    assert!(after < before + 512, "{before} KiB after 512 runs, {after} KiB after 768 more");
    server.stop();
}
