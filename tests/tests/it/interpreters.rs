//! Which Python runs tasks: the one that the server was given or has found, however it is installed, and no other.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::command_line::spanwise;
use crate::dev_server::{DevServer, binary};
use crate::images::{logs, wait_until};
use crate::python::{python, remove_what_would_mislead, run_case};

/// Interpreters that are made for a test, and an `a0` that is first on the path and belongs to none of them.
struct Place {
    folder: TempDir,
    /// The interpreter below the environment that has the SDK.
    below: String,
    /// The directory of the SDK's packages.
    packages: String,
    path: String,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let asked = "import sys, sysconfig; print(sys._base_executable, sysconfig.get_path('purelib'), sep='\\n')";
        let answer = Command::new(python()).args(["-c", asked]).output().unwrap().stdout;
        let answer = String::from_utf8(answer).unwrap();
        let (below, packages) = answer.trim().split_once('\n').unwrap();
        let other = folder.path().join("other");
        std::fs::create_dir(&other).unwrap();
        script(&other.join("a0"), "echo the entry point of another environment; exit 1");
        let path = format!("{}:{}", other.display(), std::env::var("PATH").unwrap());
        Place { below: below.to_owned(), packages: packages.to_owned(), path, folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An environment without a package of its own.
    fn environment(&self, name: &str, options: &[&str]) -> PathBuf {
        let directory = self.at(name);
        let made =
            Command::new(&self.below).args(["-m", "venv", "--without-pip"]).args(options).arg(&directory).status();
        assert!(made.unwrap().success());
        directory
    }

    /// Makes the packages of the SDK visible in a directory of packages.
    fn share(&self, packages: &Path) {
        std::fs::create_dir_all(packages).unwrap();
        std::fs::write(packages.join("shared.pth"), format!("import site; site.addsitedir({:?})\n", self.packages))
            .unwrap();
    }

    /// What `pip install --user` makes of a home.
    fn home(&self) -> PathBuf {
        let version = Path::new(&self.packages).parent().unwrap().file_name().unwrap();
        self.share(&self.at("home/.local/lib").join(version).join("site-packages"));
        self.at("home")
    }

    /// What comes later in the environment wins.
    fn server(&self, data: &Path, interpreter: Option<&Path>, environment: &[(&str, &str)], cold: bool) -> DevServer {
        let cold = if cold { "true" } else { "false" };
        let all = [&[("PATH", &*self.path), ("SPANWISE_COLD", cold)], environment].concat();
        DevServer::start_by(data, interpreter, &all)
    }
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn packages_of(environment: &Path) -> PathBuf {
    std::fs::read_dir(environment.join("lib")).unwrap().next().unwrap().unwrap().path().join("site-packages")
}

/// A kind of installation.
struct Row<'a> {
    what: &'a str,
    /// What the server is given; none lets it find one.
    given: Option<PathBuf>,
    environment: Vec<(&'a str, String)>,
    /// What tasks see as their interpreter.
    runs: PathBuf,
    /// What a wrapper sets.
    wrapped: &'a str,
}

fn rows(place: &Place) -> Vec<Row<'static>> {
    let own = python().to_owned();
    let over = place.environment("a place with spaces", &[]);
    place.share(&packages_of(&over));
    let system = place.environment("system", &["--system-site-packages"]);
    let home = vec![("HOME", place.home().display().to_string())];
    let wrapper = place.at("wrapper");
    script(&wrapper, &format!("export WRAPPED=\"yes $NOTHING\"\nexec '{}' -X utf8 \"$@\"", own.display()));
    let shims = place.at("shims");
    std::fs::create_dir(&shims).unwrap();
    let body = format!(
        "export WRAPPED=shim PATH=\"{0}/of-the-shim:$PATH\"\nexec '{1}' \"$@\"",
        shims.display(),
        own.display()
    );
    script(&shims.join("python3"), &body);
    let path = format!("{}:{}", shims.display(), place.path);
    let link = place.at("link");
    symlink(&own, &link).unwrap();
    let row = |what, given: &Path, runs: &Path| {
        let (given, runs) = (Some(given.to_owned()), runs.to_owned());
        Row { what, given, environment: Vec::new(), runs, wrapped: "" }
    };
    let below = PathBuf::from(&place.below);
    let (over, system) = (over.join("bin/python"), system.join("bin/python"));
    vec![
        row("an environment", &own, &own),
        row("an environment over another one", &over, &over),
        Row { environment: home.clone(), ..row("packages of a user", &below, &below) },
        Row { environment: home, ..row("an environment that sees the packages of a user", &system, &system) },
        Row { wrapped: "yes ", ..row("a wrapper", &wrapper, &own) },
        row("a link from elsewhere", &link, &own),
        Row {
            given: None,
            environment: vec![("PATH", path)],
            wrapped: "shim",
            ..row("a shim on the path", &own, &own)
        },
    ]
}

fn check(place: &Place, row: &Row<'_>, cold: bool) {
    let data = tempfile::tempdir().unwrap();
    let environment: Vec<(&str, &str)> = row.environment.iter().map(|(name, value)| (*name, &**value)).collect();
    let server = place.server(data.path(), row.given.as_deref(), &environment, cold);
    let found = run_case(&server, "interpreters.py", "where");
    let what = format!("{}, cold: {cold}: {found}\n{}", row.what, server.said());
    let text = |seen: &Value, key: &str| seen[key].as_str().unwrap().to_owned();
    let entry = data.path().join("bin/a0").display().to_string();
    for seen in found["seen"].as_array().unwrap() {
        assert_eq!(Path::new(&text(seen, "executable")), row.runs, "{what}");
        assert_eq!(text(seen, "sdk"), format!("{}/flyte", place.packages), "{what}");
        assert_eq!((text(seen, "argv"), text(seen, "a0")), (entry.clone(), entry.clone()), "{what}");
        assert!(text(seen, "help").contains("--outputs-path"), "{what}");
        assert_eq!(text(seen, "wrapped"), row.wrapped, "{what}");
        assert_eq!(text(seen, "utf8"), if row.what == "a wrapper" { "1" } else { "0" }, "{what}");
    }
    assert!(!server.said().contains("start cold"), "{what}");
    let said = String::from_utf8(spanwise(&server, &["doctor"]).stdout).unwrap();
    assert!(said.contains(&format!("ok       tasks    {}", row.runs.display())), "{said}");
    assert!(said.contains(&format!("flyte 2.12.1 in {}/flyte", place.packages)), "{said}");
}

#[test]
fn each_kind_of_installation_runs_tasks_by_its_own_interpreter_warm_and_cold() {
    let place = Place::new();
    let rows = rows(&place);
    // Two at a time, because each does little else than wait for the start of interpreters.
    let half = rows.len() / 2;
    std::thread::scope(|scope| {
        for part in [&rows[..half], &rows[half..]] {
            let place = &place;
            scope.spawn(move || {
                for row in part {
                    check(place, row, false);
                    check(place, row, true);
                }
            });
        }
    });
}

#[test]
fn an_interpreter_without_the_sdk_has_an_environment_stand_in_for_it_which_is_made_once() {
    let place = Place::new();
    let without = place.environment("without", &[]).join("bin/python");
    let data = tempfile::tempdir().unwrap();
    let said = "the server's own interpreter has not the SDK: this task runs with";
    let mut made = None;
    for cold in [true, false] {
        let server = place.server(data.path(), Some(&without), &[], cold);
        let remedy = format!("{} -m pip install flyte==2.12.1", without.display());
        // Said after the banner, and read by a thread; not by a server that has found what stands in.
        let is_first = made.is_none();
        if is_first {
            wait_until("the start tells", || server.said().contains(&remedy));
        }
        let doctor = spanwise(&server, &["doctor"]);
        assert_eq!(doctor.status.code(), Some(0), "{doctor:?}");
        assert_eq!(String::from_utf8_lossy(&doctor.stdout).contains(&remedy), is_first, "{doctor:?}");
        assert!(is_first || !server.said().contains(&remedy), "{}", server.said());
        let found = run_case(&server, "interpreters.py", "where");
        assert_eq!(*made.get_or_insert_with(|| found.clone()), found, "the one that was there");
        let told = logs(&data.path().join("logs"));
        assert!(told.contains(said) && told.contains("installing the SDK with"), "{told}");
        assert_eq!(told.matches("making an environment for flyte 2.12.1").count(), 1, "{told}");
        server.stop();
    }
}

#[test]
fn an_interpreter_that_changes_or_goes_away_is_told_by_the_runs_that_meet_it() {
    let place = Place::new();
    for cold in [false, true] {
        let environment = place.environment(&format!("upgraded {cold}"), &[]);
        let (packages, interpreter) = (packages_of(&environment), environment.join("bin/python"));
        place.share(&packages);
        let data = tempfile::tempdir().unwrap();
        let server = place.server(data.path(), Some(&interpreter), &[], cold);
        run_case(&server, "interpreters.py", "where");
        assert!(!logs(&data.path().join("logs")).contains("spanwise: warning"), "{}", logs(&data.path().join("logs")));

        let upgraded = packages.join("flyte-2.13.0.dist-info");
        std::fs::create_dir(&upgraded).unwrap();
        std::fs::write(upgraded.join("METADATA"), "Metadata-Version: 2.1\nName: flyte\nVersion: 2.13.0\n").unwrap();
        run_case(&server, "interpreters.py", "where");
        let said = logs(&data.path().join("logs"));
        for told in ["tasks run with flyte 2.13.0", "when the server was started, it was", "flyte 2.12.1 in"] {
            assert!(said.contains(told), "{told}: {said}");
        }
        wait_until("the server tells", || server.said().contains("flyte 2.13.0 in"));
        let doctor = spanwise(&server, &["doctor"]);
        assert_eq!(doctor.status.code(), Some(0), "{doctor:?}");
        assert!(
            String::from_utf8_lossy(&doctor.stdout).contains("warning  tasks    tasks run with flyte 2.13.0"),
            "{doctor:?}"
        );

        let away = place.at("away");
        std::fs::rename(&environment, &away).unwrap();
        let failed = run_case(&server, "interpreters.py", "fails");
        let message = failed["message"].as_str().unwrap();
        assert!(message.contains("does not work as an interpreter"), "{failed}");
        assert!(message.contains(interpreter.to_str().unwrap()), "{failed}");
        std::fs::rename(&away, &environment).unwrap();
        std::fs::remove_dir_all(&upgraded).unwrap();
        run_case(&server, "interpreters.py", "where");
    }
}

#[test]
fn the_banner_says_which_interpreter_runs_tasks() {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary());
    command.args(["dev", "--port", "0", "--python"]).arg(python()).arg("--data-dir").arg(data.path());
    remove_what_would_mislead(&mut command);
    command.env("SPANWISE_COLLECTOR_PORT", "0").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = command.spawn().unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
    let tasks = lines.into_iter().find(|line| line.starts_with("Tasks "));
    server.kill().unwrap();
    server.wait().unwrap();
    let said = tasks.unwrap();
    assert!(said.contains(python().to_str().unwrap()) && said.contains("flyte 2.12.1 in /"), "{said}");
}
