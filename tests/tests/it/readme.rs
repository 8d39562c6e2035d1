//! What the README shows is what happens: its first Python program, run by its own command.

use std::fs;
use std::process::{Command, Stdio};

use crate::cargo;
use crate::dev_server::DevServer;
use crate::python::{launch, python, remove_what_would_mislead};

/// The text between the fences of the first block of a language.
fn first_block<'a>(text: &'a str, language: &str) -> &'a str {
    let begin = text.find(&format!("```{language}\n")).unwrap() + language.len() + 4;
    &text[begin..begin + text[begin..].find("```").unwrap()]
}

#[test]
fn the_python_quick_start_works() {
    let readme = fs::read_to_string(cargo::root().join("README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hello.py"), first_block(&readme, "python")).unwrap();
    let line = readme.lines().find_map(|line| line.strip_prefix("$ flyte ")).unwrap();
    let server = DevServer::shared();
    let line = line.replace("localhost:8585", &server.endpoint());
    let mut command = launch(python(), python().with_file_name("flyte"));
    remove_what_would_mislead(&mut command);
    command.args(line.split_whitespace()).current_dir(folder.path()).env("HOME", folder.path()).stdin(Stdio::null());
    let ran = command.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    // The address is printed as a link of the terminal, with control characters around it.
    let (_, run) = said.split_once("/runs/").unwrap_or_else(|| panic!("{said}"));
    let run = run.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).next().unwrap();
    wait_for_success(&server, run);
}

/// The text of the first element with this id, without its markup.
fn element(page: &str, id: &str) -> String {
    let (_, rest) = page.split_once(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("{id}: {page}"));
    let (_, content) = rest.split_once('>').unwrap();
    let content = content.split("</").next().unwrap();
    ["&#60;<", "&#62;>", "&#34;\"", "&#39;'", "&#38;&"].iter().fold(content.to_owned(), |text, escaped| {
        let (from, to) = escaped.split_at(5);
        text.replace(from, to)
    })
}

fn first_instruction(server: &DevServer, path: &str) -> String {
    let answer = ureq::get(format!("http://{}{path}", server.endpoint())).call();
    element(&answer.unwrap().body_mut().read_to_string().unwrap(), "first-run")
}

#[test]
fn the_consoles_first_instruction_works_when_it_is_copied() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let commands = first_instruction(&server, "/");
    let readme = fs::read_to_string(cargo::root().join("README.md")).unwrap();
    assert!(commands.contains(first_block(&readme, "python")), "the README's own file: {commands}");
    let billing = first_instruction(&server, "/v2/domain/production/project/billing/runs");
    assert!(billing.contains("--project billing --domain production"), "{billing}");

    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    remove_what_would_mislead(&mut shell);
    shell.args(["-e", "-c", &commands]).current_dir(folder.path()).env("HOME", folder.path()).stdin(Stdio::null());
    shell.env("PATH", format!("{}:{path}", python().parent().unwrap().display()));
    let ran = shell.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    // What the SDK's own process ends with may be a signal (`launch.py` says why): the run says whether it worked.
    let (_, run) = said.split_once("/runs/").unwrap_or_else(|| panic!("{commands}\n{said}"));
    let run = run.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).next().unwrap();
    wait_for_success(&server, run);
    server.stop();
}

/// The command line of the SDK does not wait for the run, ours can be asked.
fn wait_for_success(server: &DevServer, run: &str) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let shown = Command::new(crate::dev_server::binary())
            .args(["get", run, "--endpoint", &server.endpoint()])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        if text.matches("SUCCEEDED").count() == 3 {
            return;
        }
        assert!(std::time::Instant::now() < deadline && shown.status.success(), "{run:?} {shown:?}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
