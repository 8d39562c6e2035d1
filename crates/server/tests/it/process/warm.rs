//! The stock SDK's `a0`, forked and started: there must be no difference that a task could see.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use spanwise_process::{Ending, Launch, Limits, Process, Script, Warm, adopt, end_remains, spawn_script};
use tempfile::{TempDir, tempdir};

use super::waiting::{runs, soon, text, until};
use crate::python;

/// Tasks that tell what they see. Addresses of objects and numbers of processes are left out.
const TASKS: &str = r#"
import atexit, json, os, random, resource, signal, sys, threading
import flyte

env = flyte.TaskEnvironment("probe")


@env.task
async def look() -> str:
    atexit.register(print, "goodbye")
    print("to stdout")
    print("to stderr", file=sys.stderr)
    main = sys.modules["__main__"]
    handlers = {str(number): signal.getsignal(number) for number in signal.valid_signals() - {signal.SIGINT}}
    return json.dumps(
        {
            "argv": sys.argv,
            "arguments of the interpreter": sys.orig_argv,
            "comm": open("/proc/self/comm").read(),
            "cwd": os.getcwd(),
            "environment": dict(sorted(os.environ.items())),
            "executable": sys.executable,
            "files": sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)),
            "filters": str(__import__("warnings").filters),
            "flags": str(sys.flags),
            "group": os.getpgid(0) == os.getpid(),
            "hash": hash("x") if "PYTHONHASHSEED" in os.environ else None,
            "levels": [flyte.logger.level, flyte.logger.handlers[0].level, flyte.logger.parent.name],
            "limits": [resource.getrlimit(limit) for limit in range(16)],
            "main": [sorted(vars(main)), main.__file__, str(main.__loader__)[:40], main.__spec__],
            "name": __name__,
            "path": sys.path,
            "recursion": sys.getrecursionlimit(),
            "signals": {number: str(handler) for number, handler in handlers.items()},
            "stdin": [repr(sys.stdin), sys.stdin.read()],
            "streams": [
                [repr(s), type(s.buffer).__name__, s.line_buffering, s.write_through, s.errors]
                for s in (sys.stdout, sys.stderr)
            ],
            "threads": sorted(thread.name for thread in threading.enumerate()),
            "umask": [os.umask(0o22)],
            "blocked": str(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        },
        sort_keys=True,
    )


class Last:
    def __init__(self):
        self.cycle = self

    def __del__(self, write=os.write):
        write(1, b"gone at last\n")


@env.task
async def trust() -> str:
    import httpx, ssl
    contexts = [httpx.create_ssl_context() for _ in range(5)]
    contexts[0].set_alpn_protocols(["h2"])
    return json.dumps(
        {
            "different": len({id(context) for context in contexts}),
            "stores": [context.cert_store_stats() for context in contexts],
            "modes": [str((context.verify_mode, context.check_hostname, context.options)) for context in contexts],
            "keys": [context.keylog_filename for context in contexts],
            "another": ssl.create_default_context(cafile=os.environ.get("ANOTHER")).cert_store_stats(),
            "name": ssl.create_default_context.__name__,
        }
    )


@env.task
async def end() -> str:
    global last, unflushed
    last, unflushed = Last(), open(os.environ["LEFT"], "w")
    unflushed.write("kept without a flush")
    atexit.register(lambda: print("goodbye with", __import__("xml.dom").__name__))
    return "ended"


@env.task
async def draw() -> str:
    how = "forked" if "fork_server" in open("/proc/self/cmdline").read() else "started"
    return f"{random.random()} {how} {os.getppid()}"


@env.task
async def fail():
    raise ValueError("as it must be")


@env.task
async def leave():
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("left", os.getpid(), flush=True)
        signal.pause()
    os._exit(3)


@env.task
async def detach():
    import subprocess
    subprocess.Popen(["sh", "-c", "trap '' TERM; echo detached $$; exec sleep 1000"], start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("detached", os.getpid(), flush=True)
            while True:
                signal.pause()
        os._exit(0)
    while open("../detach/log").read().count("detached") < 2:
        pass


@env.task
async def kill():
    os.kill(os.getpid(), signal.SIGKILL)


@env.task
async def hang():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("up", flush=True)
    while True:
        signal.pause()
"#;

/// How a launch ended, its outputs or error, and its log.
type Ran = (Ending, String, Vec<String>);

/// A task, whether it is forked, and the variables that it has besides.
type Case = (&'static str, bool, &'static [(&'static str, &'static str)]);

struct Home {
    directory: TempDir,
    python: PathBuf,
    script: Script,
}

/// The script that an installer has put beside an interpreter.
fn beside(python: &Path) -> Script {
    Script {
        interpreter: python.to_owned(),
        options: Vec::new(),
        path: python.with_file_name("a0"),
        beside: spanwise_server::BESIDE_SDK,
    }
}

impl Home {
    fn new() -> Home {
        let directory = tempdir().unwrap();
        fs::create_dir(directory.path().join("code")).unwrap();
        fs::write(directory.path().join("code/tasks_of_test.py"), TASKS).unwrap();
        fs::write(directory.path().join("inputs.pb"), "").unwrap();
        let python = python::with_flyte();
        Home { directory, script: beside(&python), python }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What all tasks have in common.
    fn environment(&self) -> Vec<(String, String)> {
        let bin = self.python.parent().unwrap().display();
        [
            ("PATH", format!("{bin}:/usr/bin:/bin")),
            ("LANG", "C.UTF-8".to_owned()),
            ("HOME", self.directory.path().display().to_string()),
            ("PYTHONUNBUFFERED", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    fn launch(&self, task: &str, name: &str) -> Launch {
        let at = |file: &str| self.path(name).join(file).display().to_string();
        let inputs = self.path("inputs.pb").display().to_string();
        let arguments = [
            "--inputs",
            &inputs,
            "--outputs-path",
            &at("out"),
            "--version",
            "v1",
            "--raw-data-path",
            &at("raw"),
            "--checkpoint-path",
            &at("out/_flytecheckpoints"),
            "--prev-checkpoint",
            "",
            "--run-name",
            "r1",
            "--name",
            "a0",
            "--run-start-time",
            "2026-01-01T00:00:00Z",
            "--resolver",
            "flyte._internal.resolvers.default.DefaultTaskResolver",
            "mod",
            "tasks_of_test",
            "instance",
            task,
        ];
        let mut env = self.environment();
        let base = at("base");
        env.extend(
            [
                ("ACTION_NAME", "a0"),
                ("RUN_NAME", "r1"),
                ("FLYTE_INTERNAL_EXECUTION_PROJECT", "p"),
                ("FLYTE_INTERNAL_EXECUTION_DOMAIN", "d"),
                ("FLYTE_ATTEMPT_NUMBER", "0"),
                ("_U_ORG_NAME", "local"),
                ("_U_RUN_BASE", &base),
                ("_U_EP_OVERRIDE", "localhost:1"),
                ("_U_INSECURE", "true"),
                ("_U_USE_ACTIONS", "1"),
                ("FSSPEC_FILE", r#"{"auto_mkdir": true}"#),
                ("DO_NOT_TRACK", "1"),
                ("LOG_LEVEL", "20"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        Launch {
            argv: self.script.command().into_iter().chain(arguments.map(str::to_owned)).collect(),
            env,
            directory: self.path("code"),
            log: self.path(name).join("log"),
            limits: Limits::default(),
            claim: None,
            mounted: None,
            container: None,
        }
    }

    /// A task that runs until it is killed.
    async fn hang(&self, warm: &Warm) -> Process {
        self.clear("hang");
        let process = warm.spawn(&self.script, &self.launch("hang", "hang")).await.unwrap();
        until("it is up", || text(self.path("hang/log")).contains("up\n").then_some(())).await;
        process
    }

    /// An environment with the same packages and a place for others, and that place.
    fn environment_of_its_own(&self) -> (PathBuf, PathBuf) {
        let asked = "import sys, sysconfig; print(sys._base_executable, sysconfig.get_path('purelib'), sep='\\n')";
        let answer = Command::new(&self.python).args(["-c", asked]).output().unwrap().stdout;
        let answer = String::from_utf8(answer).unwrap();
        let (base, shared) = answer.trim().split_once('\n').unwrap();
        let venv = self.path("venv");
        let made = Command::new(base).args(["-m", "venv", "--without-pip"]).arg(&venv).status().unwrap();
        assert!(made.success());
        let python = venv.join("bin/python");
        let lib = fs::read_dir(venv.join("lib")).unwrap().next().unwrap().unwrap().path();
        let packages = lib.join("site-packages");
        fs::write(packages.join("shared.pth"), shared).unwrap();
        let script = venv.join("bin/a0");
        let body =
            "import sys\nfrom flyte._bin.runtime import main\nif __name__ == '__main__':\n    sys.exit(main())\n";
        fs::write(&script, format!("#!{}\n{body}", python.display())).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        (python, packages)
    }

    /// An empty directory for what an attempt writes.
    fn clear(&self, name: &str) {
        let _ = fs::remove_dir_all(self.path(name));
        fs::create_dir(self.path(name)).unwrap();
    }

    /// Runs a launch: how it ends, its outputs or error, and its log without what differs from run to run.
    async fn run(&self, name: &str, launch: &Launch, warm: Option<&Warm>) -> Ran {
        self.clear(name);
        let process = match warm {
            Some(warm) => warm.spawn(&self.script, launch).await.unwrap(),
            None => spawn_script(&self.script, launch).unwrap(),
        };
        let ending = soon("the task ends", process.wait()).await;
        let at = |file: &str| fs::read(self.path(name).join("out").join(file)).unwrap_or_default();
        let result = [at("outputs.pb"), at("error.pb")].concat();
        let mut log: Vec<String> = text(&launch.log).lines().map(settled).collect();
        // Threads write some of it.
        log.sort();
        (ending, String::from_utf8_lossy(&result).into_owned(), log)
    }
}

/// A line without digits and addresses: times and durations are in many.
fn settled(line: &str) -> String {
    let line = line.split(" at 0x").next().unwrap_or_default();
    line.chars().filter(|character| !character.is_ascii_digit()).collect()
}

fn same(cold: &Ran, warm: &Ran) {
    assert_eq!((cold.0, &cold.1), (warm.0, &warm.1));
    let only = |one: &Ran, other: &Ran| one.2.iter().filter(|line| !other.2.contains(line)).cloned().collect();
    let differences: [Vec<String>; 2] = [only(cold, warm), only(warm, cold)];
    assert_eq!(differences, [vec![], vec![]] as [Vec<String>; 2]);
}

fn with(mut launch: Launch, variables: &[(&str, &str)]) -> Launch {
    for (name, value) in variables {
        launch.env.retain(|(known, _)| known != name);
        launch.env.push(((*name).to_owned(), (*value).to_owned()));
    }
    launch
}

fn parent_of(process: &Process) -> String {
    let stat = text(format!("/proc/{}/stat", process.id().pid));
    stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().to_owned()
}

fn is_forked(process: &Process) -> bool {
    text(format!("/proc/{}/cmdline", process.id().pid)).contains("fork_server")
}

#[tokio::test]
async fn a_task_cannot_tell_a_fork_from_a_start() {
    let home = Home::new();
    let warm = Warm::new(home.environment());
    assert!(warm.prepare(&home.script).await);
    // A variable that the interpreter reads before a fork could change it makes the fork become a fresh process.
    let (forked, fresh) = (true, false);
    let cases: [Case; 8] = [
        ("look", forked, &[]),
        ("fail", forked, &[]),
        ("missing", forked, &[]),
        ("look", forked, &[("LOG_LEVEL", "30"), ("TZ", "Asia/Tokyo"), ("GREETING", "hé\nllo")]),
        ("look", forked, &[("PYTHONPATH", "/nowhere/a:relative:../base")]),
        ("look", fresh, &[("LOG_LEVEL", "10"), ("USER_LOG_LEVEL", "error")]),
        ("look", fresh, &[("PYTHONHASHSEED", "7")]),
        ("look", fresh, &[("PYTHONUNBUFFERED", ""), ("LC_ALL", "C"), ("PYTHONPATH", "code")]),
    ];
    for (task, is_forked, variables) in cases {
        let launch = with(home.launch(task, "same"), variables);
        let cold = home.run("same", &launch, None).await;
        same(&cold, &home.run("same", &launch, Some(&warm)).await);
        let expected = if task == "look" { "environment" } else { "Error" };
        assert!(cold.1.contains(expected), "{cold:?}");
        assert!(task != "look" || cold.2.contains(&"goodbye".to_owned()), "{cold:?}");

        let launch = with(home.launch("draw", "draw"), variables);
        let (_, drawn, log) = home.run("draw", &launch, Some(&warm)).await;
        assert_eq!(drawn.contains(" forked "), is_forked, "{variables:?} {drawn} {log:?}");
    }
}

#[tokio::test]
async fn options_of_the_interpreter_are_those_of_a_start() {
    let mut home = Home::new();
    home.script.options = ["-O", "-X", "utf8"].map(str::to_owned).to_vec();
    let warm = Warm::new(home.environment());
    // Forked, and made fresh from a fork.
    for variables in [&[] as &[(&str, &str)], &[("PYTHONHASHSEED", "7")]] {
        let launch = with(home.launch("look", "same"), variables);
        let cold = home.run("same", &launch, None).await;
        same(&cold, &home.run("same", &launch, Some(&warm)).await);
        assert!(cold.1.contains("optimize=1") && cold.1.contains("utf8_mode=1"), "{cold:?}");
    }
    let process = home.hang(&warm).await;
    assert!(is_forked(&process));
    process.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn what_a_task_leaves_to_the_end_of_the_interpreter_ends_alike() {
    let home = Home::new();
    let warm = Warm::new(home.environment());
    assert!(warm.prepare(&home.script).await);
    let left = home.path("left");
    let launch = with(home.launch("end", "same"), &[("LEFT", &left.display().to_string())]);
    for warm in [None, Some(&warm)] {
        let (ending, result, log) = home.run("same", &launch, warm).await;
        assert!(ending == Ending::Exited(0) && result.contains("ended"), "{ending:?} {result} {log:?}");
        assert!(log.contains(&"gone at last".to_owned()), "{log:?}");
        assert!(log.contains(&"goodbye with xml".to_owned()), "{log:?}");
        assert_eq!(text(&left), "kept without a flush");
        fs::remove_file(&left).unwrap();
    }
}

#[tokio::test]
async fn certificates_are_those_of_a_start() {
    let home = Home::new();
    let warm = Warm::new(home.environment());
    assert!(warm.prepare(&home.script).await);
    let bundle = Command::new(&home.python).args(["-c", "import certifi; print(certifi.where())"]).output().unwrap();
    let bundle = text(String::from_utf8(bundle.stdout).unwrap().trim());
    let (first, second) = bundle.split_once("-----END CERTIFICATE-----").unwrap();
    let one = home.path("one.pem");
    fs::write(&one, format!("{first}-----END CERTIFICATE-----\n")).unwrap();
    assert!(second.contains("BEGIN CERTIFICATE"));
    let (one, keys) = (one.display().to_string(), home.path("keys").display().to_string());
    let (one, keys) = (one.as_str(), keys.as_str());
    let cases: [&[(&str, &str)]; 3] = [
        &[("ANOTHER", one)],
        &[("ANOTHER", one), ("SSL_CERT_FILE", one)],
        &[("ANOTHER", one), ("SSLKEYLOGFILE", keys)],
    ];
    for variables in cases {
        let launch = with(home.launch("trust", "same"), variables);
        let cold = home.run("same", &launch, None).await;
        same(&cold, &home.run("same", &launch, Some(&warm)).await);
        assert!(cold.1.contains(r#""different": 5"#), "{cold:?}");
    }
}

#[tokio::test]
async fn the_locale_that_the_interpreter_chooses_is_seen_alike() {
    let home = Home::new();
    let without = |mut env: Vec<(String, String)>| {
        env.retain(|(name, _)| name != "LANG");
        env
    };
    let warm = Warm::new(without(home.environment()));
    for task in ["look", "draw"] {
        let mut launch = home.launch(task, "same");
        launch.env = without(launch.env);
        launch.limits = Limits { memory_bytes: Some(4 << 30), ..Limits::default() };
        let forked = home.run("same", &launch, Some(&warm)).await;
        if task == "look" {
            same(&home.run("same", &launch, None).await, &forked);
            // What a control group counts is no limit of the process.
            let is_counted = spanwise_process::memory_limits().starts_with("by control groups");
            let limit = if is_counted { "[-1, -1]" } else { "[4294967296, 4294967296]" };
            assert!(forked.1.contains("LC_CTYPE") && forked.1.contains(limit), "{forked:?}");
        } else {
            assert!(forked.1.contains(" forked "), "{forked:?}");
        }
    }
}

#[tokio::test]
async fn code_of_one_task_is_not_seen_by_the_next_and_new_packages_are() {
    let home = Home::new();
    let (python, packages) = home.environment_of_its_own();
    let script = beside(&python);
    let warm = Warm::new(home.environment());
    let launch = |name: &str| {
        let mut launch = home.launch("draw", name);
        launch.argv.splice(..2, script.command());
        launch
    };
    let mut servers = Vec::new();
    for (name, code) in [("one", "'first'"), ("two", "'second'"), ("three", "__import__('new_package').__name__")] {
        if name == "three" {
            fs::write(packages.join("new_package.py"), "").unwrap();
        }
        let body = format!("{TASKS}\n@env.task\nasync def draw() -> str:\n    return {code} + f' {{os.getppid()}} '\n");
        fs::write(home.path("code/tasks_of_test.py"), body).unwrap();
        home.clear(name);
        let process = warm.spawn(&script, &launch(name)).await.unwrap();
        assert_eq!(soon("ends", process.wait()).await, Ending::Exited(0));
        let output = fs::read(home.path(name).join("out/outputs.pb")).unwrap();
        let output = String::from_utf8_lossy(&output).into_owned();
        let expected = ["first", "second", "new_package"][servers.len()];
        assert!(output.contains(expected), "{output} {}", text(launch(name).log));
        servers.push(output.split_whitespace().last().unwrap().to_owned());
    }
    assert_eq!(servers[0], servers[1], "one fork server serves both");
    assert_ne!(servers[1], servers[2], "another environment needs another fork server");
}

#[tokio::test]
async fn a_script_that_fails_before_the_task_fails_alike() {
    let home = Home::new();
    let warm = Warm::new(home.environment());
    let mut launch = home.launch("look", "same");
    launch.argv.truncate(4);
    let cold = home.run("same", &launch, None).await;
    same(&cold, &home.run("same", &launch, Some(&warm)).await);
    assert_eq!(cold.0, Ending::Exited(2));

    // An exception that nobody catches: the traceback ends in the same frames.
    let mut launch = home.launch("look", "same");
    launch.env.retain(|(name, _)| name != "_U_ORG_NAME");
    let cold = home.run("same", &launch, None).await;
    same(&cold, &home.run("same", &launch, Some(&warm)).await);
    assert_eq!(cold.0, Ending::Exited(1));
    assert!(cold.2.iter().any(|line| line.contains("AssertionError")), "{cold:?}");
}

#[tokio::test]
async fn forks_end_like_other_processes() {
    let home = Home::new();
    let warm = Warm::new(home.environment());
    let (ending, _, log) = home.run("kill", &home.launch("kill", "kill"), Some(&warm)).await;
    assert_eq!(ending, Ending::Signalled(9), "{log:?}");

    let (ending, ..) = home.run("leave", &home.launch("leave", "leave"), Some(&warm)).await;
    assert_eq!(ending, Ending::Exited(3));
    let log = text(home.path("leave/log"));
    let left = log.lines().find_map(|line| line.strip_prefix("left "));
    if let Some(left) = left {
        until("the rest is gone", || (!runs(left)).then_some(())).await;
    }

    let process = home.hang(&warm).await;
    assert!(is_forked(&process));
    assert_eq!(soon("ends", process.stop(Duration::from_millis(50))).await, Ending::Signalled(9));
    until("it is reaped", || (!Path::new(&format!("/proc/{}", process.id().pid)).exists()).then_some(())).await;
}

/// One of them has been forked twice and never became another program.
#[tokio::test]
async fn s4_what_a_task_leaves_in_sessions_of_its_own_ends_with_the_attempt() {
    let home = Home::new();
    let warm = Warm::new(home.environment());
    for warm in [None, Some(&warm)] {
        let mut launch = home.launch("detach", "detach");
        let claim = home.path("claim");
        let _ = fs::remove_file(&claim);
        launch.claim = Some(claim.clone());
        let (ending, _, log) = home.run("detach", &launch, warm).await;
        assert_eq!(ending, Ending::Exited(0), "{log:?}");
        let log = text(&launch.log);
        let left: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("detached ")).collect();
        assert_eq!(left.len(), 2, "{log}");
        assert!(left.iter().all(|pid| runs(pid)), "{log}");
        end_remains(&claim);
        for pid in left {
            until("the rest is gone", || (!runs(pid)).then_some(())).await;
        }
    }
}

#[tokio::test]
async fn many_forks_at_once_are_many_processes() {
    let home = Home::new();
    let warm = Warm::new(home.environment());
    let names: Vec<String> = (0..6).map(|number| format!("draw{number}")).collect();
    let mut launches: Vec<Launch> = names.iter().map(|name| home.launch("draw", name)).collect();
    // Far more than a pipe or a socket holds; each single one is below what exec would take.
    launches[0].env.extend((0..20).map(|number| (format!("LARGE{number}"), "x".repeat(100_000))));
    names.iter().for_each(|name| home.clear(name));
    let processes =
        futures_util::future::join_all(launches.iter().map(|launch| warm.spawn(&home.script, launch))).await;
    for process in processes {
        assert_eq!(soon("ends", process.unwrap().wait()).await, Ending::Exited(0));
    }
    let mut drawn = BTreeSet::new();
    for name in &names {
        let output = fs::read(home.path(name).join("out/outputs.pb")).unwrap();
        let output = String::from_utf8_lossy(&output).into_owned();
        let (number, _) = output.split_once(" forked ").unwrap_or_else(|| panic!("it is forked: {output}"));
        drawn.insert(number.to_owned());
    }
    assert_eq!(drawn.len(), names.len(), "each has random numbers of its own: {drawn:?}");
}

#[tokio::test]
async fn a_fork_server_that_dies_takes_nobody_along_and_is_replaced() {
    let home = Home::new();
    let warm = Warm::new(home.environment());
    let process = home.hang(&warm).await;
    let server = parent_of(&process);
    assert!(Command::new("kill").args(["-9", &server]).status().unwrap().success());
    until("it is gone", || (!runs(&server)).then_some(())).await;
    assert!(runs(&process.id().pid.to_string()));

    let (ending, result, log) = home.run("draw", &home.launch("draw", "draw"), Some(&warm)).await;
    assert_eq!(ending, Ending::Exited(0), "{log:?}");
    assert!(result.contains(" forked "), "{result}");
    assert_eq!(soon("ends", process.stop(Duration::ZERO)).await, Ending::Gone);
}

#[tokio::test]
async fn an_end_is_reported_after_its_warm_is_gone() {
    let home = Home::new();
    let warm = Warm::new(home.environment());
    let process = home.hang(&warm).await;
    drop(warm);
    assert_eq!(soon("ends", process.stop(Duration::ZERO)).await, Ending::Signalled(9));
}

#[test]
fn a_fork_server_ends_with_ours_and_its_children_do_not() {
    let home = Home::new();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime();
    let process = server.block_on(async { home.hang(&Warm::new(home.environment())).await });
    let parent = parent_of(&process);
    assert!(runs(&parent));
    drop(server);

    runtime().block_on(async {
        until("the fork server is gone", || (!runs(&parent)).then_some(())).await;
        let adopted = adopt(process.id()).unwrap().unwrap();
        assert_eq!(adopted.ending(), None);
        assert_eq!(soon("ends", adopted.stop(Duration::ZERO)).await, Ending::Gone);
    });
}

#[tokio::test]
async fn what_cannot_be_warm_is_cold() {
    let home = Home::new();
    let warm = Warm::new(home.environment());
    assert!(!warm.prepare(&beside(Path::new("/usr/bin/python3"))).await);

    home.clear("other");
    let mut launch = home.launch("look", "other");
    launch.argv = ["sh", "-c", "exit 6"].map(str::to_owned).to_vec();
    let process = warm.spawn(&home.script, &launch).await.unwrap();
    assert_eq!(soon("ends", process.wait()).await, Ending::Exited(6));

    // An environment whose SDK cannot be imported.
    let bin = home.path("bin");
    fs::create_dir(&bin).unwrap();
    let python = bin.join("python");
    std::os::unix::fs::symlink("/usr/bin/python3", &python).unwrap();
    let script = beside(&python);
    fs::write(&script.path, "raise SystemExit(8)\n").unwrap();
    launch.argv = script.command();
    let process = warm.spawn(&script, &launch).await.unwrap();
    assert_eq!(soon("ends", process.wait()).await, Ending::Exited(8), "{}", text(&launch.log));

    // A launch that cannot be started at all says why.
    let mut launch = home.launch("look", "other");
    launch.directory = home.path("missing");
    assert!(warm.spawn(&home.script, &launch).await.is_err());
}
