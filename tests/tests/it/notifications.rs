//! Notifications of the ends of runs, asked for by the stock SDK: to real receivers that take them, fail, hang, are away and come back, with a
//! server that is killed in between.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::command_line::spanwise;
use crate::dev_server::DevServer;
use crate::python::Program;
use crate::waiting::page;

const PATIENCE: Duration = Duration::from_secs(60);

/// What a receiver of requests answers if it is to answer nothing.
const HANGS: u16 = 0;

/// A request that came.
#[derive(Clone, Debug)]
struct Request {
    line: String,
    headers: Vec<String>,
    body: String,
    /// What was answered.
    status: u16,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find_map(|header| header.strip_prefix(&format!("{name}: ")));
        found.unwrap_or_else(|| panic!("{name} in {self:?}"))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A receiver on the loopback: of requests, or of mail.
struct Receiver<T> {
    port: u16,
    came: Arc<Mutex<Vec<T>>>,
    status: Arc<AtomicU16>,
}

impl<T: Clone + std::fmt::Debug + Send + 'static> Receiver<T> {
    fn start(listener: TcpListener, status: u16, take: fn(&mut TcpStream, &AtomicU16) -> Option<T>) -> Receiver<T> {
        let (came, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU16::new(status)));
        let port = listener.local_addr().unwrap().port();
        let (noted, of_status) = (Arc::clone(&came), Arc::clone(&status));
        std::thread::spawn(move || {
            for mut connection in listener.incoming().map_while(Result::ok) {
                let (noted, status) = (Arc::clone(&noted), Arc::clone(&of_status));
                std::thread::spawn(move || {
                    let taken = take(&mut connection, &status);
                    noted.lock().unwrap_or_else(PoisonError::into_inner).extend(taken);
                });
            }
        });
        Receiver { port, came, status }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn came(&self) -> Vec<T> {
        self.came.lock().unwrap().clone()
    }

    /// Waits until as many have come as are wanted, by a rule.
    fn wait_for(&self, what: &str, server: &DevServer, is_so: impl Fn(&[T]) -> bool) -> Vec<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let came = self.came();
            if is_so(&came) {
                return came;
            }
            assert!(Instant::now() < deadline, "{what} did not come: {came:?}\n{}", server.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn free() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).unwrap()
}

/// Takes one request of a connection. Requests that hang are noted as the others are.
fn request(connection: &mut TcpStream, status: &AtomicU16) -> Option<Request> {
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let length = lines.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    std::io::Read::read_exact(&mut reader, &mut body).ok()?;
    let status = status.load(Ordering::SeqCst);
    if status != HANGS {
        let said = "no_service /end/s3cret";
        let head = format!(
            "HTTP/1.1 {status} x\r\nlocation: /elsewhere\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            said.len()
        );
        connection.write_all(format!("{head}{said}").as_bytes()).ok()?;
    }
    let body = String::from_utf8(body).ok()?;
    let line = lines.remove(0);
    let headers = lines.into_iter().map(|line| match line.split_once(':') {
        Some((name, value)) => format!("{}: {}", name.to_ascii_lowercase(), value.trim()),
        None => line,
    });
    let request = Request { line, headers: headers.collect(), body, status };
    if status == HANGS {
        let kept = connection.try_clone().ok()?;
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(120));
            drop(kept);
        });
    }
    Some(request)
}

/// A mail that came: who gets it, and its text.
#[derive(Clone, Debug)]
struct Mail {
    recipients: Vec<String>,
    text: String,
}

/// Takes one mail as RFC 5321 has it.
fn mail(connection: &mut TcpStream, _: &AtomicU16) -> Option<Mail> {
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    let mut say = |line: &str| connection.write_all(format!("{line}\r\n").as_bytes()).ok();
    let mut read = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        Some(line)
    };
    let mut found = Mail { recipients: Vec::new(), text: String::new() };
    say("220 sink")?;
    loop {
        let line = read()?;
        match line.get(..4)?.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" | "MAIL" => say("250 sink")?,
            "RCPT" => {
                found.recipients.push(line.split(['<', '>']).nth(1)?.to_owned());
                say("250 ok")?;
            }
            "DATA" => {
                say("354 go on")?;
                while let Some(line) = read().filter(|line| line != ".\r\n") {
                    found.text.push_str(&line);
                }
                say("250 taken")?;
                return Some(found);
            }
            _ => say("250 ok")?,
        }
    }
}

fn get(server: &DevServer, run: &str) -> Value {
    let output = spanwise(server, &["get", run, "-o", "json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn states(server: &DevServer, run: &str) -> Vec<String> {
    let notifications = get(server, run)["notifications"].clone();
    notifications.as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect()
}

fn wait_for_states(server: &DevServer, run: &str, wanted: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    while states(server, run) != wanted {
        assert!(Instant::now() < deadline, "{run}: {}\n{}", get(server, run)["notifications"], server.said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn page_of(run: &str) -> String {
    format!("/v2/domain/development/project/flytesnacks/runs/{run}")
}

/// What people see of a run and of all runs.
fn shown(server: &DevServer, run: &str) -> String {
    let table = spanwise(server, &["get", run]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    format!("{}\n{}\n{table}\n{}\n{}", page(server, &page_of(run)), page(server, "/"), get(server, run), server.said())
}

#[test]
fn s13_a_driver_in_rust_has_somebody_told_in_each_way() {
    let (receiver, sink) = (Receiver::start(free(), 204, request), Receiver::start(free(), 0, mail));
    let data = tempfile::tempdir().unwrap();
    let smtp = format!("smtp://127.0.0.1:{}", sink.port);
    let server = DevServer::start_with(data.path(), &[("SPANWISE_SMTP_URL", &smtp)]);
    let found = crate::remote_runs::run("notifies", &server, &[("RECEIVER", &receiver.url())]);
    let run = found["run"].as_str().unwrap();
    assert_eq!(found["failed"], true);
    assert!(found["refused"].as_str().unwrap().contains("delivery_template.webhook.url"), "{found}");
    assert!(found["here"].as_str().unwrap().contains("notifications are sent by a server"), "{found}");
    let came = receiver.wait_for("three requests", &server, |came| came.len() >= 3);
    let of =
        |line: &str| came.iter().find(|request| request.line.starts_with(line)).unwrap_or_else(|| panic!("{came:?}"));
    assert_eq!(of("PUT /hook").header("x-run"), run);
    assert!(of("PUT /hook").json()["why"].as_str().unwrap().contains("no more"), "{came:?}");
    assert_eq!(of("POST /slack").json()["text"], format!("{run} \u{1f680}"));
    assert_eq!(of("POST /teams").json()["title"], "FAILED");
    let mail = sink.wait_for("a mail", &server, |came| !came.is_empty()).remove(0);
    assert_eq!(mail.recipients, ["oncall@example.com", "d@example.com"]);
    assert!(mail.text.contains(&format!("Subject: {run} is FAILED\r\n")), "{}", mail.text);
    wait_for_states(&server, run, &["delivered", "delivered", "delivered", "delivered", "unwanted"]);
}

#[test]
fn s13_every_kind_of_the_stock_sdk_is_sent_at_the_end_of_a_run() {
    let (receiver, sink) = (Receiver::start(free(), 204, request), Receiver::start(free(), 0, mail));
    let data = tempfile::tempdir().unwrap();
    let smtp = format!("smtp://127.0.0.1:{}", sink.port);
    let settings = [("SPANWISE_SMTP_URL", smtp.as_str()), ("SPANWISE_SMTP_FROM", "Spanwise <spanwise@example.com>")];
    let server = DevServer::start_with(data.path(), &settings);
    let program = Program::new(&server, "notifications.py").arg("kinds").env("RECEIVER", receiver.url());
    let found = program.start().result(&server);
    let (failed, fired) = (found["failed"].as_str().unwrap(), found["fired"].as_str().unwrap());
    let came = receiver.wait_for("four requests", &server, |came| came.len() >= 4);
    let of = |path: &str| {
        let found: Vec<&Request> = came.iter().filter(|request| request.line.contains(path)).collect();
        assert_eq!(found.len(), 1, "{path}: {came:?}");
        found[0].clone()
    };
    let hook = of("/hook/s3cret");
    assert_eq!(hook.line, format!("PUT /hook/s3cret?run={failed} HTTP/1.1"));
    assert_eq!((hook.header("x-api-key"), hook.header("x-phase")), ("k3y", "FAILED"));
    assert_eq!(hook.header("content-type"), "application/json");
    let body = hook.json();
    assert_eq!((&body["run"], &body["where"]), (&failed.into(), &"flytesnacks/development".into()), "{body}");
    assert_eq!(body["n"], serde_json::json!([1, "notifications.work"]), "{body}");
    assert!(body["error"].as_str().unwrap().contains("no such \"größe\" <!channel>\nsecond line"), "{body}");
    let slack = of("POST /slack/s3cret");
    assert!(slack.json()["text"].as_str().unwrap().starts_with(&format!("{failed}: ")), "{slack:?}");
    assert_eq!(of("POST /teams/s3cret").json()["title"], format!("Run {failed} FAILED"));
    let trigger = of("POST /trigger/s3cret").json();
    assert_eq!((&trigger["run"], &trigger["phase"]), (&fired.into(), &"SUCCEEDED".into()), "{trigger}");
    let ids: BTreeSet<&str> = came.iter().map(|request| request.header("idempotency-key")).collect();
    assert_eq!(ids.len(), 4, "{ids:?}");

    let mail = sink.wait_for("a mail", &server, |came| !came.is_empty()).remove(0);
    assert_eq!(mail.recipients, ["oncall@example.com", "b@example.com", "c@example.com", "d@example.com"]);
    for part in [
        "Subject: Task notifications.work: FAILED\r\n",
        "From: Spanwise <spanwise@example.com>\r\n",
        "@spanwise>\r\n",
        "<p>",
        "multipart/alternative",
    ] {
        assert!(mail.text.contains(part), "{part}: {}", mail.text);
    }
    assert!(!mail.text.contains("d@example.com"), "{}", mail.text);

    wait_for_states(&server, failed, &["delivered", "delivered", "delivered", "delivered", "unwanted"]);
    wait_for_states(&server, found["succeeded"].as_str().unwrap(), &["unwanted"; 5]);
    wait_for_states(&server, fired, &["delivered"]);
    let shown = shown(&server, failed);
    assert!(shown.contains("e-mail to oncall@example.com and 3 more: delivered"), "{shown}");
    assert!(!shown.contains("s3cret") && !shown.contains("k3y") && !shown.contains("is not honoured"), "{shown}");
    assert_eq!((receiver.came().len(), sink.came().len()), (4, 1), "each once");
    server.stop();
}

#[test]
fn s13_a_server_that_is_killed_before_the_delivery_delivers_afterwards_and_a_receiver_that_is_away_disturbs_no_other() {
    let receiver = Receiver::start(free(), HANGS, request);
    let away = free();
    let other_url = format!("http://{}", away.local_addr().unwrap());
    drop(away);
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let program = Program::new(&server, "notifications.py").arg("two_receivers");
    let program = program.env("RECEIVER", receiver.url()).env("OTHER_RECEIVER", &other_url);
    let found = program.start().result(&server);
    let runs: Vec<&str> = found["runs"].as_array().unwrap().iter().map(|run| run.as_str().unwrap()).collect();
    receiver.wait_for("the first request", &server, |came| came.len() == 1);
    server.kill();
    receiver.status.store(503, Ordering::SeqCst);
    server.restart();
    receiver.wait_for("more tries", &server, |came| came.iter().filter(|request| request.status == 503).count() >= 2);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = shown(&server, runs[2]) + &shown(&server, runs[0]);
        let of_receiver = format!("webhook at {} is not notified yet", receiver.url());
        let of_other = format!("webhook at {other_url} is not notified yet");
        if seen.contains(&of_receiver)
            && seen.contains("it answers 503: no_service ***********")
            && seen.contains(&of_other)
        {
            assert!(!seen.contains("s3cret"), "{seen}");
            assert!(seen.contains("a notification is not delivered: it is tried again"), "{seen}");
            break;
        }
        assert!(Instant::now() < deadline, "{seen}");
        std::thread::sleep(Duration::from_millis(50));
    }
    receiver.status.store(200, Ordering::SeqCst);
    let taken = |came: &[Request]| came.iter().filter(|request| request.status == 200).cloned().collect::<Vec<_>>();
    let came = receiver.wait_for("all", &server, |came| taken(came).len() >= 3);
    let phases: BTreeSet<(String, String)> = taken(&came)
        .iter()
        .map(|request| {
            (request.json()["run"].as_str().unwrap().to_owned(), request.json()["phase"].as_str().unwrap().to_owned())
        })
        .collect();
    let expected = [(runs[0], "SUCCEEDED"), (runs[1], "FAILED"), (runs[2], "SUCCEEDED")];
    assert_eq!(phases, expected.map(|(run, phase)| (run.to_owned(), phase.to_owned())).into());
    // The same number for each try, across the kill.
    let ids: BTreeSet<String> = came.iter().map(|request| request.header("idempotency-key").to_owned()).collect();
    assert_eq!(ids.len(), 3, "{came:?}");
    for run in &runs {
        wait_for_states(&server, run, &["delivered", "waiting"]);
    }
    let port = other_url.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    let other = Receiver::start(TcpListener::bind(("127.0.0.1", port)).unwrap(), 200, request);
    other.wait_for("what waited for the other", &server, |came| came.len() >= 3);
    for run in &runs {
        wait_for_states(&server, run, &["delivered", "delivered"]);
    }
    server.kill();
    server.restart();
    // Nothing that was noted is sent again by the next server: it has looked by the time that it answers for a run.
    for run in &runs {
        wait_for_states(&server, run, &["delivered", "delivered"]);
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((taken(&receiver.came()).len(), other.came().len()), (3, 3));
    server.stop();
}

#[test]
fn s13_what_cannot_be_followed_is_told_and_what_is_wrong_is_refused_by_its_field() {
    let server = DevServer::shared();
    let found = crate::python::run_case(&server, "notifications.py", "what_nobody_can_follow");
    for (run, told) in [
        ("named", "notifications is not honoured: there are no rules with names"),
        ("delivery", "notifications is not honoured: there are no deliveries with names"),
        ("mail", "notifications by e-mail are not honoured: this server sends none"),
    ] {
        let page = page(&server, &page_of(found[run].as_str().unwrap()));
        assert!(page.contains(told), "{page}");
    }
    for (rule, told) in [
        ("template", "rules[0].delivery_template.webhook.body_template: `{{.Nobody}}` stands for nothing"),
        ("scheme", "rules[0].delivery_template.webhook.url: it begins with http:// or https://"),
        ("method", "rules[0].delivery_template.webhook.method: CONNECT and TRACE notify nobody"),
        ("address", "rules[0].delivery_template.email.to[0].address: `nobody` is no address"),
    ] {
        let refused = found["refused"][rule].as_str().unwrap_or_default();
        assert!(refused.contains(told), "{rule}: {refused}");
    }
}
