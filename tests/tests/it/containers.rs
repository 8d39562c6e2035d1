//! Tasks whose container starts a program of its own, with the tools of the machine: `bwrap`, `skopeo`, `umoci`, `debootstrap`, and a real registry.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::cargo;
use crate::dev_server::DevServer;
use crate::images::{logs, wait_until};
use crate::needs;
use crate::python::Program;

/// What the fixture holds; its name changes with it.
const FOLDER: &str = "test-root-debian-12-v1";

/// Nothing outside of this machine is reached by it, and a mirror of Debian is.
const NO_REGISTRY: [(&str, &str); 2] = [("HTTPS_PROXY", "http://127.0.0.1:1"), ("https_proxy", "http://127.0.0.1:1")];

/// An image of Debian as a layout, made once for all tests by the server itself, and what its run has said; none if the machine cannot.
fn fixture(test: &str) -> Option<PathBuf> {
    let all = ["bwrap", "skopeo", "umoci", "debootstrap", "docker-registry"];
    if !all.iter().all(|program| needs::has(&[program], package(program), test)) {
        return None;
    }
    let target = PathBuf::from(cargo::metadata()["target_directory"].as_str().unwrap());
    let folder = target.join(FOLDER);
    let lock = File::create(target.join(format!("{FOLDER}.lock"))).unwrap();
    lock.lock().unwrap();
    if !folder.join("complete").exists() {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        make(&folder);
        File::create(folder.join("complete")).unwrap();
    }
    Some(folder)
}

fn package(program: &str) -> &str {
    if program == "bwrap" { "bubblewrap" } else { program }
}

fn make(folder: &Path) {
    let data = folder.join("data");
    let server = server(&data, "debian:12-slim", &NO_REGISTRY);
    let found = case(&server, "debian:12-slim", "greets_once");
    server.stop();
    std::fs::write(folder.join("said"), format!("{found}\n{}", logs(&data.join("logs")))).unwrap();
    let root = only_root(&data);
    let script = r#"
        tar -C "$1" -cf layer.tar .
        umoci init --layout layout && umoci new --image layout:debian
        umoci raw add-layer --image layout:debian layer.tar
        umoci config --image layout:debian --config.env SAID=image --config.workingdir /srv/work \
            --config.env PATH=/usr/local/bin:/usr/bin:/bin --config.cmd /bin/sh --config.cmd -c --config.cmd 'echo "$SAID $(pwd)" > /var/outputs/said'
        rm -rf layer.tar data
    "#;
    let made = Command::new("sh")
        .args(["-euc", script, "sh"])
        .arg(root)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// The root of the only image that a server has made.
fn only_root(data: &Path) -> PathBuf {
    let entries = std::fs::read_dir(data.join("roots")).unwrap().map(|entry| entry.unwrap().path());
    let roots: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    assert_eq!(roots.len(), 1, "{roots:?}");
    roots[0].join("root")
}

/// The names of what is in the directory of roots: records, and directories.
fn roots(data: &Path) -> (usize, usize) {
    let Ok(entries) = std::fs::read_dir(data.join("roots")) else { return (0, 0) };
    let names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let records = names.iter().filter(|name| name.ends_with(".json")).count();
    (records, names.len() - records)
}

fn server(data: &Path, image: &str, more: &[(&str, &str)]) -> DevServer {
    let own = [
        ("TEST_IMAGE", image),
        ("SPANWISE_PASS_ENV", "TEST_IMAGE"),
        ("SPANWISE_SECRET_SPANWISE_TEST_GIVEN", "s3cret-of-the-test"),
    ];
    DevServer::start_with(data, &[&own[..], more].concat())
}

fn program(server: &DevServer, image: &str, case: &str) -> Program {
    Program::new(server, "containers.py").arg(case).env("TEST_IMAGE", image)
}

fn case(server: &DevServer, image: &str, name: &str) -> Value {
    program(server, image, name).start().result(server)
}

fn text<'a>(found: &'a Value, key: &str) -> &'a str {
    found[key].as_str().unwrap_or_else(|| panic!("`{key}` in {found}"))
}

/// A server with the image of the fixture.
struct Ready {
    image: String,
    data: tempfile::TempDir,
    server: DevServer,
}

impl Ready {
    fn start(test: &str) -> Option<Ready> {
        let folder = fixture(test)?;
        let image = format!("oci:{}:debian", folder.join("layout").display());
        let data = tempfile::tempdir().unwrap();
        let server = server(data.path(), &image, &[("SPANWISE_GRACE_SECONDS", "5")]);
        Some(Ready { image, data, server })
    }

    fn case(&self, name: &str) -> Value {
        case(&self.server, &self.image, name)
    }

    fn logs(&self) -> String {
        logs(&self.data.path().join("logs"))
    }
}

#[test]
fn s21_4_values_go_in_and_out_of_a_container_as_files_as_a_root_a_child_and_deployed() {
    let Some(ready) = Ready::start("values of containers") else { return };
    let found = ready.case("values");
    assert_eq!(found["scalars"], json!([8, 1.5, true, 3661.5, "HIGH"]), "{found}");
    let together = text(&found, "together");
    assert!(
        together.contains("\"n\": 7\n") && together.contains("\"text\": \"größe 'x' $HOME\\n\\\"y\\\"\"\n"),
        "{together}"
    );
    for (path, name) in [("root", "root"), ("child", "Flyte"), ("deployed", "deployed")] {
        assert_eq!(found[path], format!("Hello, my name is {name}.\n"), "{found}");
    }
    assert_eq!(found["phases"], json!({"greets": ["succeeded"], "greeting": ["succeeded"]}));
    assert_eq!(found["image"], "image /srv/work\n", "what the image says is what is started");
    assert_eq!(found["secret"], 18);
    assert!(
        ready.logs().contains("Hello, my name is Flyte.") && !ready.logs().contains("s3cret-of-the-test"),
        "{}",
        ready.logs()
    );
    assert_eq!(roots(ready.data.path()), (1, 1));
}

#[test]
fn s21_4_files_and_directories_go_in_and_out_of_a_container() {
    let Some(ready) = Ready::start("files of containers") else { return };
    let found = ready.case("files_and_directories");
    let files = &found["files"];
    assert_eq!(text(files, "joined"), "12345");
    assert_eq!(text(files, "names"), "one\n\ndir:\na.txt\ninner\n\ntwo:\n0\n1\n");
    assert_eq!(text(files, "tree"), "inner/größe %.txt|inputs.json|link");
    let together: Value = serde_json::from_str(text(files, "json")).unwrap();
    assert_eq!(together, json!({"one": "/in/one", "two": ["/in/two/0", "/in/two/1"], "dir": "/in/dir"}));
    assert_eq!(found["named"], "fasta:\ngenome.fasta\n\nreads:\n1_r.fastq.gz\nr.fastq.gz\n");
}

#[test]
fn s21_4_a_shell_task_has_its_globs_its_streams_and_its_flags() {
    let Some(ready) = Ready::start("shell tasks") else { return };
    let found = ready.case("shells");
    assert_eq!(found, json!({"sizes": "0,1,2", "said": "-verbose --a 1\n", "n": "3", "out": "größe 'x' $HOME\n"}));
}

#[test]
fn s21_4_what_goes_wrong_in_a_container_is_told_by_its_cause() {
    let Some(ready) = Ready::start("failures of containers") else { return };
    let found = ready.case("failures");
    for (which, code, parts) in [
        ("exits", "TaskProcessFailed", &["exited with 3", "the reason"][..]),
        ("errs", "ContainerError", &["no such sample"]),
        ("leaves_nothing", "InvalidContainerOutput", &["output `n`", "has left no file `n`"]),
        ("leaves_no_number", "InvalidContainerOutput", &["output `n`", "an integer of 64 bits", "five"]),
        ("leaves_a_way_out", "InvalidContainerOutput", &["output `file`", "link out of the directory"]),
        ("no_program", "TaskCannotStart", &["/no/such/program", "No such file"]),
        ("no_image", "ImageNotFound", &["oci:/no/such/layout:tag"]),
        ("no_input", "BadTaskSpecification", &["input `none`"]),
        ("elsewhere", "InputNotFetched", &["input `file`", "https://example.org/x.txt"]),
        ("shell", "TaskProcessFailed", &["exited with 4", "out of samples"]),
    ] {
        let failure = &found["failures"][which];
        assert_eq!(failure["code"], code, "{which}: {failure}");
        assert!(parts.iter().all(|part| text(failure, "message").contains(part)), "{which}: {failure}");
    }
    assert_eq!(found["root"]["code"], "TaskProcessFailed", "{found}");
    assert_eq!(found["timed out"], "timed_out", "{found}");
    assert!(text(&found["memory"], "message").contains("64Mi"), "{}", found["memory"]);
}

#[test]
fn s21_2_attempts_see_nothing_of_each_other_and_are_tried_again_and_cached_as_any_task() {
    let Some(ready) = Ready::start("attempts of containers") else { return };
    let found = ready.case("attempts");
    assert_eq!(found["alone"], json!(["mine 0", "mine 0", "mine 0", "mine 0"]), "{found}");
    assert_eq!((&found["retried"], &found["cached"]), (&json!(1), &json!([true, false])), "{found}");
    let work = ready.data.path().join("work");
    wait_until("what attempts have written is gone", || std::fs::read_dir(&work).map_or(0, Iterator::count) == 0);
}

/// A file that the container of the only attempt under way looks for.
fn let_go(data: &Path) {
    let found =
        Command::new("find").arg(data.join("work")).args(["-path", "*/1/inputs", "-type", "d"]).output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    let inputs: Vec<&str> = found.lines().collect();
    assert_eq!(inputs.len(), 1, "{found}");
    File::create(Path::new(inputs[0]).join("go")).unwrap();
}

#[test]
fn s21_3_a_container_goes_on_while_the_server_is_killed_and_is_run_once() {
    for ends_without_a_server in [false, true] {
        let Some(mut ready) = Ready::start("containers across a restart") else { return };
        let mut running = program(&ready.server, &ready.image, "across_a_restart").start();
        let (logs_of, data) = (ready.data.path().join("logs"), ready.data.path().to_owned());
        running.wait_until(|_| logs(&logs_of).contains("begun"), &ready.server);
        ready.server.kill();
        if ends_without_a_server {
            let_go(&data);
            let exits =
                || Command::new("find").arg(data.join("work")).args(["-name", "*.exit"]).output().unwrap().stdout;
            wait_until("the container has ended", || !exits().is_empty());
            ready.server.restart();
        } else {
            ready.server.restart();
            let_go(&data);
        }
        let found = running.result(&ready.server);
        assert_eq!(found, json!({"n": 5, "text": "x\n", "attempts": 1}), "{}", ready.server.said());
        ready.server.stop();
    }
}

/// Whether a process of this machine has these words in its arguments.
fn is_there(words: &str) -> bool {
    let found = Command::new("pgrep").args(["-f", &format!("^{words}$")]).output().unwrap();
    !found.stdout.is_empty()
}

#[test]
fn s21_2_an_abort_ends_all_that_is_in_a_container_after_its_time_of_grace() {
    let Some(ready) = Ready::start("aborted containers") else { return };
    let logs_of = ready.data.path().join("logs").display().to_string();
    let found = program(&ready.server, &ready.image, "aborted").env("TEST_LOGS", logs_of).start().result(&ready.server);
    assert_eq!(found["phase"], "aborted");
    wait_until("nothing is left", || !is_there("sleep 34567"));
    wait_until("it was asked first", || ready.logs().contains("got TERM"));
}

/// A registry on loopback with the image of the fixture.
struct Registry {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Registry {
    fn start(layout: &Path) -> Registry {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = json!({
            "version": 0.1, "log": {"level": "error"}, "storage": {"filesystem": {"rootdirectory": folder.path()}},
            "http": {"addr": format!("127.0.0.1:{port}")},
        });
        let file = folder.path().join("settings.yml");
        std::fs::write(&file, settings.to_string()).unwrap();
        let (out, err) = (Stdio::null(), Stdio::null());
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn();
        let registry = Registry { child: child.unwrap(), port, _folder: folder };
        wait_until("the registry answers", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        let mut copy = Command::new("skopeo");
        copy.args(["copy", "--insecure-policy", "--dest-tls-verify=false"])
            .arg(format!("oci:{}:debian", layout.display()));
        let copied = copy.arg(format!("docker://{}", registry.image("12"))).output().unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        registry
    }

    fn image(&self, tag: &str) -> String {
        format!("localhost:{}/team/debian:{tag}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn s21_1_an_image_of_a_registry_is_made_once_and_one_that_is_not_there_is_refused() {
    let Some(folder) = fixture("images of a registry") else { return };
    let registry = Registry::start(&folder.join("layout"));
    let (data, image) = (tempfile::tempdir().unwrap(), registry.image("12"));
    let server = server(data.path(), &image, &[]);
    let found = case(&server, &image, "two_at_once");
    assert_eq!(found["said"], json!(["Hello, my name is 0.\n", "Hello, my name is 1.\n"]));
    let said = logs(&data.path().join("logs"));
    assert_eq!(said.matches("getting the image").count(), 1, "{said}");
    assert_eq!(roots(data.path()), (1, 1));
    let refused = case(&server, &registry.image("none"), "refused");
    assert_eq!(refused["code"], "ImageNotFound", "{refused}");
    assert!(text(&refused, "message").contains("manifest unknown"), "{refused}");
    assert_eq!(roots(data.path()), (1, 1), "nothing is left of the try");
}

#[test]
fn s21_1_a_root_that_was_being_made_when_the_server_died_is_made_anew() {
    let Some(_) = fixture("roots across a restart") else { return };
    // It takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("localhost:{}/team/debian:12", silent.local_addr().unwrap().port());
    let data = tempfile::tempdir().unwrap();
    let mut server = server(data.path(), &image, &[("SPANWISE_GRACE_SECONDS", "1")]);
    let _driver = program(&server, &image, "greets_once").start();
    let getting = || logs(&data.path().join("logs")).matches("getting the image").count();
    wait_until("the image is fetched", || getting() == 1);
    server.kill();
    server.restart();
    wait_until("the image is fetched again", || getting() == 2);
    assert_eq!(roots(data.path()), (0, 1), "what the first try has left is gone");
}

#[test]
fn s21_1_debian_stands_in_for_its_image_where_no_registry_is_reached_and_is_told() {
    let Some(folder) = fixture("a stand-in for an image") else { return };
    let said = std::fs::read_to_string(folder.join("said")).unwrap();
    assert!(said.contains(r#"{"said":"Hello, my name is once.\n"}"#), "{said}");
    assert!(
        said.contains(
            "warning: the image debian:12-slim could not be had: its root is a Debian bookworm made by debootstrap from"
        ),
        "{said}"
    );
}

#[test]
fn s21_1_a_registry_that_is_not_reached_is_tried_again_and_named() {
    if fixture("a registry that is not reached").is_none() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let image = "registry.invalid/team/none:1";
    let server = server(data.path(), image, &NO_REGISTRY);
    let refused = case(&server, image, "refused");
    assert_eq!(refused["code"], "MaxSystemFailuresExceeded", "{refused}");
    let message = text(&refused, "message");
    assert!(
        message.contains(&format!("get the image {image} failed")) && message.contains("pinging container registry"),
        "{refused}"
    );
}

#[test]
fn the_example_of_the_guide_runs_as_it_is_written() {
    let Some(ready) = Ready::start("the guide on containers") else { return };
    let guide = std::fs::read_to_string(cargo::root().join("docs/containers.md")).unwrap();
    let (_, rest) = guide.split_once("```python\n").unwrap();
    let (code, _) = rest.split_once("```").unwrap();
    assert!(code.contains("localhost:8585") && code.contains("print(run.outputs()[0])"), "{code}");
    let code = code.replace("debian:12-slim", &ready.image).replace("localhost:8585", &ready.server.endpoint());
    let code = code.replace("print(run.outputs()[0])", "print('RESULT', run.outputs()[0])");
    let found = Program::new(&ready.server, "example.py").file("example.py", &code).start().result(&ready.server);
    assert_eq!(found, 3);
}
