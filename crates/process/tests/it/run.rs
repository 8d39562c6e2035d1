//! Starting, waiting, stopping and adopting.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use spanwise_process::{
    Ending, Error, Limits, Process, ProcessId, adopt, ask_remains, end_remains, memory_limits, ran_out_of_memory, spawn,
};
use tempfile::tempdir;

use super::script;
use super::waiting::{DEADLINE, runs, soon, text, until};

#[tokio::test]
async fn a_process_gets_exactly_what_its_launch_says() {
    let home = tempdir().unwrap();
    std::fs::write(home.path().join("log"), "before\n").unwrap();
    let mut launch =
        script(home.path(), "pwd; env | sort | grep -v ^_; readlink /proc/self/fd/0; echo err >&2; exit 7");
    launch.env.push(("GREETING".to_owned(), "hello\nworld".to_owned()));
    let process = spawn(&launch).unwrap();
    assert_eq!(soon("ends", process.wait()).await, Ending::Exited(7));
    assert_eq!(process.ending(), Some(Ending::Exited(7)));
    let directory = home.path().canonicalize().unwrap();
    let expected = format!(
        "before\n{0}\nGREETING=hello\nPATH=/usr/bin:/bin\nPWD={0}\nworld\n/dev/null\nerr\n",
        directory.display()
    );
    assert_eq!(text(&launch.log), expected);
    until("the zombie is reaped", || {
        (!std::path::Path::new(&format!("/proc/{}", process.id().pid)).exists()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_started_says_what_and_where() {
    let home = tempdir().unwrap();
    let mut launch = script(home.path(), "");
    launch.argv[0] = "no-such-program".to_owned();
    let error = spawn(&launch).unwrap_err();
    assert!(matches!(error, Error::Start { .. }) && error.to_string().contains("no-such-program"), "{error}");
    launch.argv.clear();
    assert!(matches!(spawn(&launch).unwrap_err(), Error::NoProgram));
    let mut launch = script(home.path(), "");
    launch.directory = home.path().join("missing");
    assert!(matches!(spawn(&launch).unwrap_err(), Error::Start { .. }));
    let mut launch = script(home.path(), "");
    launch.log = home.path().join("missing/log");
    assert!(matches!(spawn(&launch).unwrap_err(), Error::Log { .. }));
}

#[tokio::test]
async fn a_signal_is_told_from_an_exit() {
    let home = tempdir().unwrap();
    let process = spawn(&script(home.path(), "kill -KILL $$")).unwrap();
    assert_eq!(soon("ends", process.wait()).await, Ending::Signalled(9));
}

#[tokio::test]
async fn waiting_may_be_given_up_and_taken_up_by_several() {
    let home = tempdir().unwrap();
    let process = spawn(&script(home.path(), "while [ ! -e go ]; do sleep 0.01; done; exit 3")).unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(20), process.wait()).await.is_err());
    let other = process.clone();
    let waiting = tokio::spawn(async move { other.wait().await });
    std::fs::write(home.path().join("go"), "").unwrap();
    assert_eq!(soon("ends", process.wait()).await, Ending::Exited(3));
    assert_eq!(soon("ends", waiting).await.unwrap(), Ending::Exited(3));
    assert_eq!(process.wait().await, Ending::Exited(3));
}

#[tokio::test]
async fn a_task_that_heeds_sigterm_is_not_killed() {
    let home = tempdir().unwrap();
    let process =
        spawn(&script(home.path(), "trap 'echo bye; exit 4' TERM; echo up; while :; do sleep 0.01; done")).unwrap();
    until("it is up", || text(home.path().join("log")).contains("up").then_some(())).await;
    assert_eq!(soon("ends", process.stop(Duration::from_secs(600))).await, Ending::Exited(4));
    // The shell may also tell that its `sleep` was terminated: the signal is for the whole group.
    let log = text(home.path().join("log"));
    assert!(log.ends_with("\nbye\n"), "{log}");
}

#[tokio::test]
async fn a_task_and_children_that_ignore_sigterm_are_killed_after_the_grace() {
    let home = tempdir().unwrap();
    let process =
        spawn(&script(home.path(), "trap '' TERM; sleep 1000 & echo $!; (sleep 1001 & echo $!); wait")).unwrap();
    let log = until("both children are up", || {
        let log = text(home.path().join("log"));
        (log.lines().count() == 2).then_some(log)
    })
    .await;
    let start = Instant::now();
    assert_eq!(soon("ends", process.stop(Duration::from_millis(100))).await, Ending::Signalled(9));
    assert!(start.elapsed() >= Duration::from_millis(100));
    for child in log.lines() {
        until("the children are gone", || (!runs(child)).then_some(())).await;
    }
    assert_eq!(process.stop(Duration::ZERO).await, Ending::Signalled(9), "what has ended is stopped");
}

#[tokio::test]
async fn the_result_counts_when_the_leader_ends_and_the_rest_is_killed() {
    let home = tempdir().unwrap();
    let leader = "trap '' TERM; (sleep 1000 & echo $! >>log); sh -c 'sleep 1001 & echo $!' >>log; exit 5";
    let process = spawn(&script(home.path(), leader)).unwrap();
    assert_eq!(soon("ends", process.wait()).await, Ending::Exited(5));
    let log = text(home.path().join("log"));
    assert_eq!(log.lines().count(), 2);
    for child in log.lines() {
        until("the rest is gone", || (!runs(child)).then_some(())).await;
    }
}

#[tokio::test]
async fn a_process_that_nobody_holds_is_reaped() {
    let home = tempdir().unwrap();
    let id = spawn(&script(home.path(), "exit 0")).unwrap().id().clone();
    until("it is reaped", || (!std::path::Path::new(&format!("/proc/{}", id.pid)).exists()).then_some(())).await;
}

#[tokio::test]
async fn limits_hold_from_the_start() {
    let home = tempdir().unwrap();
    let mut launch = script(
        home.path(),
        "exec python3 -c 'import resource as r; print(r.getrlimit(r.RLIMIT_DATA)); bytearray(1 << 30)'",
    );
    launch.limits = Limits { memory_bytes: Some(192 << 20), reserved_bytes: 64 << 20 };
    launch.env = std::env::vars().filter(|(name, _)| name == "PATH").collect();
    let process = spawn(&launch).unwrap();
    assert_eq!(soon("ends", process.wait()).await, Ending::Exited(1));
    let log = text(&launch.log);
    assert!(log.contains("(268435456, 268435456)\n") && log.contains("MemoryError"), "{log}");
}

/// Where there are control groups, what is reserved costs nothing, and what all processes of a launch use counts.
#[tokio::test]
async fn the_memory_of_all_processes_of_a_launch_counts_where_there_are_control_groups() {
    if !memory_limits().starts_with("by control groups") {
        eprintln!("not tried: {}", memory_limits());
        return;
    }
    let home = tempdir().unwrap();
    let launch = |name: &str, body: &str| {
        let mut launch = script(home.path(), &format!("exec python3 -c '{body}'"));
        launch.claim = Some(home.path().join(name));
        launch.limits = Limits { memory_bytes: Some(96 << 20), reserved_bytes: 0 };
        launch.env = std::env::vars().filter(|(name, _)| name == "PATH").collect();
        launch
    };
    let reserves = "import mmap; m = mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); m[0] = 1; bytearray(20 << 20)";
    let uses = "bytearray(256 << 20)";
    let together = "import os, time\nfor _ in range(4):\n  if os.fork() == 0:\n    held = bytearray(40 << 20); time.sleep(60)\nos.wait()";
    for (name, body, expected, is_killed) in [
        ("reserves", reserves, Ending::Exited(0), false),
        ("uses", uses, Ending::Signalled(9), true),
        ("together", together, Ending::Exited(0), true),
    ] {
        let launch = launch(name, body);
        let claim = launch.claim.clone().unwrap();
        let process = spawn(&launch).unwrap();
        let ending = soon("ends", process.wait()).await;
        let log = text(&launch.log);
        // The kernel chooses whom it kills: one of the children, or their parent.
        let is_expected = ending == expected || name == "together" && ending == Ending::Signalled(9);
        assert!(is_expected, "{name}: {ending:?} {log}");
        assert_eq!(ran_out_of_memory(&claim), is_killed, "{name}: {log}");
        end_remains(&claim);
        assert!(!ran_out_of_memory(&claim), "{name}: its group is gone");
    }
}

#[tokio::test]
async fn a_thousand_short_processes_leave_nothing() {
    let home = tempdir().unwrap();
    let mut launch = script(home.path(), "");
    launch.argv = vec!["true".to_owned()];
    for _ in 0..20 {
        let processes: Vec<Process> = (0..50).map(|_| spawn(&launch).unwrap()).collect();
        for process in processes {
            assert_eq!(soon("ends", process.wait()).await, Ending::Exited(0));
        }
    }
}

/// A process that is no child of this one, as those of an earlier server are.
fn foreign(home: &std::path::Path, body: &str) -> ProcessId {
    let script = format!("setsid sh -c {} >>log 2>&1 </dev/null & echo $!", shell_quoted(body));
    let output =
        Command::new("sh").args(["-c", &script]).current_dir(home).stderr(Stdio::null()).output().unwrap().stdout;
    let pid: u32 = String::from_utf8(output).unwrap().trim().parse().unwrap();
    let field = |number: usize| -> Option<u64> {
        let stat = text(format!("/proc/{pid}/stat"));
        stat.rsplit(')').next()?.split_whitespace().nth(number - 3)?.parse().ok()
    };
    let start = Instant::now();
    while field(5) != Some(u64::from(pid)) {
        assert!(start.elapsed() < DEADLINE, "it leads a group");
        std::thread::yield_now();
    }
    ProcessId::of(pid).unwrap()
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[tokio::test]
async fn an_adopted_process_is_waited_for() {
    let home = tempdir().unwrap();
    let id = foreign(home.path(), "sleep 1000 & echo $! >child; while [ ! -e go ]; do sleep 0.01; done");
    let stored = serde_json::to_string(&id).unwrap();
    let process = adopt(&serde_json::from_str(&stored).unwrap()).unwrap().unwrap();
    let child =
        until("its child is up", || Some(text(home.path().join("child"))).filter(|pid| pid.ends_with('\n'))).await;
    assert_eq!(process.ending(), None);
    std::fs::write(home.path().join("go"), "").unwrap();
    assert_eq!(soon("ends", process.wait()).await, Ending::Gone);
    until("the rest is gone", || (!runs(child.trim())).then_some(())).await;
    assert!(adopt(&id).unwrap().is_none());
}

#[tokio::test]
async fn an_adopted_process_is_stopped() {
    let home = tempdir().unwrap();
    let id = foreign(home.path(), "trap '' TERM; echo up; while :; do sleep 0.01; done");
    until("it is up", || text(home.path().join("log")).contains("up").then_some(())).await;
    let process = adopt(&id).unwrap().unwrap();
    assert_eq!(soon("ends", process.stop(Duration::from_millis(50))).await, Ending::Gone);
    assert!(!runs(&id.pid.to_string()));
}

#[tokio::test]
async fn a_number_that_belongs_to_another_process_is_not_adopted() {
    let home = tempdir().unwrap();
    let id = foreign(home.path(), "exec sleep 1000");
    let process = adopt(&id).unwrap().unwrap();
    assert!(adopt(&ProcessId { started: id.started + 1, ..id.clone() }).unwrap().is_none());
    assert!(adopt(&ProcessId { boot: "another".to_owned(), ..id.clone() }).unwrap().is_none());
    for pid in [0, 1, u32::MAX] {
        assert!(adopt(&ProcessId { pid, ..id.clone() }).unwrap().is_none());
    }
    assert_eq!(soon("ends", process.stop(Duration::from_secs(600))).await, Ending::Gone);
}

/// Any program: what a task in Rust starts is found in the same way.
#[tokio::test]
async fn s4_children_in_sessions_of_their_own_are_asked_and_then_killed_and_others_are_let_be() {
    let home = tempdir().unwrap();
    let child =
        |trap: &str, name: &str| format!("setsid sh -c 'trap \"{trap}\" TERM; echo $$ >{name}; sleep 1000 & wait' &");
    let body = format!(
        "{} {} while [ ! -s heeds ] || [ ! -s ignores ]; do sleep 0.01; done; echo up; while :; do sleep 0.01; done",
        child("echo asked >>log; exit", "heeds"),
        child("", "ignores")
    );
    let mut launch = script(home.path(), &body);
    launch.claim = Some(home.path().join("claim"));
    let claim = launch.claim.clone().unwrap();
    let process = spawn(&launch).unwrap();
    until("it is up", || text(home.path().join("log")).contains("up").then_some(())).await;
    let [heeds, ignores] = ["heeds", "ignores"].map(|name| text(home.path().join(name)).trim().to_owned());
    end_remains(&home.path().join("another claim"));
    assert!(runs(&heeds) && runs(&ignores));

    // As a later server finds it.
    let process = adopt(process.id()).unwrap().unwrap();
    ask_remains(&claim, process.id());
    until("one heeds it", || (!runs(&heeds)).then_some(())).await;
    assert!(text(home.path().join("log")).contains("asked"));
    assert!(runs(&ignores) && process.ending().is_none(), "the group is asked by another");
    soon("ends", process.stop(Duration::ZERO)).await;
    end_remains(&claim);
    until("the other is killed", || (!runs(&ignores)).then_some(())).await;
}
