//! The pages over HTTP, for runs that are made directly in the engine.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec, Failure, RunName};
use spanwise_engine::{Attempt, Call, Executor, NewRun, Report, RunHandle, RunOptions, RunSettings};
use spanwise_proto::flyteidl2::core::Literal;
use spanwise_proto::flyteidl2::task::{Inputs, NamedLiteral};
use spanwise_wire::{CustomContext, ids, values};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::control::ControlPlane;
use crate::{CollectorConfig, Config, Server};

mod doors;
mod waterfall;

/// Fails what is called `bad`, succeeds with everything else.
struct Tiny;

impl Executor for Tiny {
    fn execute(&self, attempt: Attempt) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        let task = attempt.run.action(&attempt.scope.action).map(|action| action.spec.task.to_string());
        let is_bad = task.is_some_and(|task| task.ends_with("bad"));
        let failure = Failure { causes: vec!["<u>cause</u>".into()], ..Failure::user("ValueError", "<b>no</b>") };
        Box::pin(std::future::ready(if is_bad { Report::Failed(failure) } else { Report::Succeeded(Bytes::new()) }))
    }
}

struct Console {
    control: ControlPlane,
    port: u16,
    _data: tempfile::TempDir,
    _stop: tokio::sync::oneshot::Sender<()>,
}

struct Answer {
    status: u16,
    head: String,
    etag: Option<String>,
    body: String,
}

impl Console {
    async fn start() -> Console {
        Console::start_with(None).await
    }

    async fn start_with(collector: Option<CollectorConfig>) -> Console {
        let data = tempfile::tempdir().unwrap();
        let config = Config { port: 0, python: Some("/bin/false".into()), collector, ..Config::dev(data.path()) };
        let server = Server::start(config).await.unwrap();
        let (control, port) = (server.control(), server.port());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Console { control, port, _data: data, _stop: stop }
    }

    async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            self.port,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).map(str::to_owned);
        Answer { status, head: head.to_lowercase(), etag, body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", "").await
    }

    fn run(&self, name: &str, task: &str, inputs: Inputs, settings: RunSettings) -> RunHandle {
        let scope = ids::scope("", "p", "d").unwrap();
        let id = scope.run(RunName::new(name).unwrap());
        let new = NewRun {
            id,
            spec: ActionSpec::task(task),
            inputs: values::encode_inputs(&inputs),
            settings,
            definitions: Vec::new(),
        };
        self.control.engine().create_run(new).unwrap()
    }
}

fn child(run: &RunHandle, name: &str, task: &str) -> ActionName {
    let name = ActionName::new(name).unwrap();
    let spec = ActionSpec { parent: Some(ActionName::ROOT), ..ActionSpec::task(task) };
    run.enqueue(name, spec, Bytes::new()).unwrap();
    name
}

async fn drive(run: &RunHandle, action: ActionName) {
    run.drive(Call { action, inputs: None, caller: None }, &Tiny).await.unwrap();
}

/// A run whose root is under way: an attempt that nobody ends.
async fn under_way(run: &RunHandle) {
    struct Never;
    impl Executor for Never {
        fn execute(&self, _: Attempt) -> Pin<Box<dyn Future<Output = Report> + Send>> {
            Box::pin(std::future::pending())
        }
    }
    let driven = run.clone();
    tokio::spawn(async move {
        let _ = driven.drive(Call { action: ActionName::ROOT, inputs: None, caller: None }, &Never).await;
    });
    let watch = run.watch(ActionName::ROOT);
    while run.action(&ActionName::ROOT).unwrap().attempt().is_none() {
        watch.changed().await;
    }
}

const RUN: &str = "/v2/domain/d/project/p/runs/evil";

#[tokio::test]
async fn nothing_that_a_run_says_is_markup() {
    let console = Console::start().await;
    let mut inputs = Inputs::default();
    inputs.literals.push(NamedLiteral::new("<i>in</i>", Literal::string("<script>alert(1)</script>")));
    inputs.context = CustomContext::from([("<k>", "</pre><script>"), ("api_token", "hush")]).to_message();
    let labels = [("<l>".to_owned(), "\"onload=x".to_owned())].into();
    let warnings = vec!["<w> is not honoured".to_owned()];
    let settings =
        RunSettings { options: RunOptions { labels, ..RunOptions::default() }, warnings, ..RunSettings::default() };
    let run = console.run("evil", "env.<script>alert(2)</script>", inputs, settings);
    under_way(&run).await;
    let bad = child(&run, "c1", "<img src=x onerror=alert(3)>.bad");
    drive(&run, bad).await;
    run.abort(ActionName::ROOT, "user", "<s>enough</s>").await.unwrap();
    for path in ["/", RUN, &format!("{RUN}?i=c1"), &format!("{RUN}?find=%3Cscript%3E&show=%22%3E%3Cb%3E")] {
        let answer = console.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let scripts = answer.body.matches("<script").count();
        assert_eq!(scripts, 1, "{path}: only our own: {}", answer.body);
        for markup in
            ["<img", "<i>", "<k>", "<l>", "<w>", "<s>", "<u>", "<b>", "\"onload", " style=", " onclick", "hush"]
        {
            assert!(!answer.body.contains(markup), "{path} has {markup}");
        }
        assert!(
            answer.head.contains("content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'")
        );
        assert!(answer.head.contains("x-content-type-options: nosniff"));
    }
    let page = console.get(RUN).await.body;
    for text in
        ["alert(2)", "Aborted by user", "enough", "is not honoured", "What failed first", "(hidden)", "alert(1)"]
    {
        assert!(page.contains(text), "{text}: {page}");
    }
    let child = console.get(&format!("{RUN}?i=c1")).await.body;
    assert!(child.contains("ValueError") && child.contains("caused by"), "{child}");
}

/// What is a secret by its name, or by itself, is one wherever a starter has written it: in the context, a label or an annotation, in the list
/// of runs as on the page of one.
#[tokio::test]
async fn secrets_that_a_starter_has_written_are_shown_on_no_page() {
    let table = [
        ("api_token", "hush-1", "(hidden)"),
        ("db.password", "hush-2", "(hidden)"),
        ("note", "Bearer hush-3-abcdefgh", "Bearer (hidden)"),
        ("team", "wings", "wings"),
    ];
    let pairs = || table.map(|(key, value, _)| (key.to_owned(), value.to_owned()));
    let console = Console::start().await;
    let in_context = Inputs {
        context: CustomContext::from(table.map(|(key, value, _)| (key, value))).to_message(),
        ..Inputs::default()
    };
    let labels = RunOptions { labels: pairs().into(), ..RunOptions::default() };
    let annotations = RunOptions { annotations: pairs().into(), ..RunOptions::default() };
    let ways = [
        ("context", in_context, RunOptions::default(), false),
        ("label", Inputs::default(), labels, true),
        ("annotation", Inputs::default(), annotations, false),
    ];
    for (name, inputs, options, is_in_list) in ways {
        let run = console.run(name, "env.main", inputs, RunSettings { options, ..RunSettings::default() });
        under_way(&run).await;
        let page = console.get(&format!("/v2/domain/d/project/p/runs/{name}")).await.body;
        let list = console.get("/").await.body;
        assert!(!page.contains("hush") && !list.contains("hush"), "{name}: {page}");
        for (key, _, shown) in table {
            assert!(page.contains(key) && page.contains(shown), "{name} {key}: {page}");
            assert!(!is_in_list || list.contains(&format!("{key}={shown}")), "{name} {key}: {list}");
        }
    }
}

#[tokio::test]
async fn lists_are_filtered_and_paged_and_answer_with_nothing_if_nothing_has_changed() {
    let console = Console::start().await;
    for number in 0..60 {
        let labels = if number == 7 { [("team".to_owned(), "a".to_owned())].into() } else { Default::default() };
        let run = console.run(
            &format!("r{number}"),
            "env.main",
            Inputs::default(),
            RunSettings { options: RunOptions { labels, ..RunOptions::default() }, ..RunSettings::default() },
        );
        if number % 2 == 0 {
            drive(&run, ActionName::ROOT).await;
        }
    }
    let rows = |answer: &Answer| answer.body.matches("<tr id=\"r-").count();
    let first = console.get("/").await;
    assert_eq!(rows(&first), 50);
    let next =
        first.body.split("rel=\"next\"").next().unwrap().rsplit("href=\"").next().unwrap().split('"').next().unwrap();
    let second = console.get(&next.replace("&amp;", "&").replace("&#38;", "&")).await;
    assert_eq!(rows(&second), 10);
    assert!(second.body.contains("Newest") && !second.body.contains("rel=\"next\""));
    assert_eq!(rows(&console.get("/?label=team%3Da").await), 1);
    assert_eq!(rows(&console.get("/?phase=SUCCEEDED").await), 30);
    assert_eq!(rows(&console.get("/?phase=active&task=env.main&since=1h").await), 30);
    assert_eq!(rows(&console.get("/v2/domain/d/project/p/runs").await), 50);
    for (place, found) in [("project=p", 50), ("domain=d", 50), ("project=p&domain=d", 50), ("project=p&domain=", 50)] {
        assert_eq!(rows(&console.get(&format!("/?{place}")).await), found, "{place}");
    }
    for place in ["project=p&domain=other", "project=other", "domain=other", "project=other&domain=d"] {
        let none = console.get(&format!("/?{place}")).await;
        assert!(
            none.status == 200 && none.body.contains("No run matches") && rows(&none) == 0,
            "{place}: {}",
            none.body
        );
    }
    let wrong = console.get("/?phase=red").await;
    assert!(wrong.status == 400 && wrong.body.contains("no phase"));
    let tag = first.etag.as_deref().unwrap();
    let again = console.send("GET", "/", &format!("If-None-Match: {tag}\r\n"), "").await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    console.run("another", "env.main", Inputs::default(), RunSettings::default());
    let again = console.send("GET", "/", &format!("If-None-Match: {tag}\r\n"), "").await;
    assert!(again.status == 200 && again.body.contains("another"));
}

#[tokio::test]
async fn what_is_not_there_is_a_page_that_says_so() {
    let console = Console::start().await;
    let run = console.run("there", "env.main", Inputs::default(), RunSettings::default());
    drive(&run, ActionName::ROOT).await;
    let base = "/v2/domain/d/project/p/runs";
    for (path, says) in [
        (format!("{base}/missing"), "does not exist"),
        (format!("{base}/Not-A-Name"), "DNS-1035"),
        (format!("{base}/there?i=nobody"), "has no action"),
        (format!("{base}/there?i=a-name-that-is-longer-than-any-name-of-an-action"), "has no action"),
        (format!("{base}/there/actions/a0/attempts/1/log"), "printed nothing"),
        (format!("{base}/there/actions/..%2F..%2Fx/attempts/1/log"), "action name"),
        ("/v2/domain/d/project/%2e%2e/runs".to_owned(), "project"),
    ] {
        let answer = console.get(&path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
        assert!(answer.body.contains("<!doctype html>") && answer.body.contains(says), "{path}: {}", answer.body);
    }
    assert_eq!(console.get("/assets/console-old.js").await.status, 404);
    let page = console.get(&format!("{base}/there")).await.body;
    for asset in page.split('"').filter(|part| part.starts_with("/assets/")) {
        let answer = console.get(asset).await;
        assert!(answer.status == 200 && answer.head.contains("immutable"), "{asset}");
    }
}

#[tokio::test]
async fn buttons_work_for_pages_of_this_server_only() {
    let console = Console::start().await;
    let run = console.run("long", "env.main", Inputs::default(), RunSettings::default());
    under_way(&run).await;
    let path = "/v2/domain/d/project/p/runs/long";
    let page = console.get(path).await;
    let token = page.body.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let origin = format!("Origin: http://localhost:{}\r\n", console.port);
    let cookie = format!("Cookie: spanwise-form={token}\r\n");
    let fields = format!("token={token}&reason=enough");
    let abort = format!("{path}/abort");
    for (headers, body) in [
        (format!("{form}{cookie}"), fields.as_str()),
        (format!("{form}{origin}"), fields.as_str()),
        (format!("{form}{origin}{cookie}"), "reason=enough"),
        (format!("{form}{origin}{cookie}"), "token=wrong"),
        (format!("{form}{cookie}Origin: http://localhost:1\r\n"), fields.as_str()),
        (format!("{form}{cookie}{origin}Sec-Fetch-Site: cross-site\r\n"), fields.as_str()),
        (format!("{origin}{cookie}"), fields.as_str()),
    ] {
        for button in [&abort, &format!("{path}/rerun"), &format!("{path}/signal")] {
            let answer = console.send("POST", button, &headers, body).await;
            assert_eq!(answer.status, 403, "{button} {headers} {body}: {}", answer.body);
        }
    }
    assert!(!run.is_finished());
    assert_eq!(console.get(&abort).await.status, 405);
    let headers = format!("{form}{origin}{cookie}");
    let answer = console.send("POST", &abort, &headers, &fields).await;
    assert!(answer.status == 303 && answer.head.contains(&format!("location: {path}")), "{}", answer.head);
    assert!(run.is_finished());
    let again = console.send("POST", &abort, &headers, &fields).await;
    assert!(again.status == 409 && again.body.contains("had ended already (aborted)"), "{}", again.body);
    // Made in the engine, it has no definition that could be run again; the form itself is accepted.
    assert_eq!(console.send("POST", &format!("{path}/rerun"), &headers, &fields).await.status, 409);
}

#[tokio::test]
async fn ten_thousand_children_are_a_small_page_and_a_failed_one_is_two_clicks_away() {
    let console = Console::start().await;
    let run = console.run("many", "env.main", Inputs::default(), RunSettings::default());
    under_way(&run).await;
    let names: Vec<ActionName> = (0..10_000)
        .map(|number| child(&run, &format!("c{number}"), if number == 7777 { "env.bad" } else { "env.work" }))
        .collect();
    drive(&run, names[7777]).await;
    run.committed().await.unwrap();
    let path = "/v2/domain/d/project/p/runs/many";
    let answer = console.get(path).await;
    assert!(answer.body.len() < 300_000, "{} bytes", answer.body.len());
    assert!(answer.body.contains("1–100 of 10,000"), "{}", answer.body);
    let failures = answer.body.split("class=\"failures\"").nth(1).unwrap();
    let link = failures.split("href=\"").nth(1).unwrap().split('"').next().unwrap();
    let page = console.get(&format!("{path}{link}")).await;
    assert!(page.body.contains("7,701–7,800 of 10,000") && page.body.contains("ValueError"), "{}", page.body);
    let found = console.get(&format!("{path}?show=queued&from=9900")).await;
    assert!(found.body.contains("9,901–9,999 of 9,999"), "{}", found.body);
}

#[tokio::test]
async fn a_page_is_told_when_its_run_changes_and_when_it_ends() {
    let console = Console::start().await;
    let run = console.run("live", "env.main", Inputs::default(), RunSettings::default());
    under_way(&run).await;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", console.port)).await.unwrap();
    let path = "/v2/domain/d/project/p/runs/live/events";
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let mut seen = String::new();
    read_until(&mut stream, &mut seen, 1).await;
    assert!(seen.contains("text/event-stream"));
    let child = child(&run, "c1", "env.work");
    drive(&run, child).await;
    read_until(&mut stream, &mut seen, 2).await;
    run.abort(ActionName::ROOT, "user", "").await.unwrap();
    while !seen.contains("event: end") {
        read_some(&mut stream, &mut seen).await;
    }
    // A burst is one event, or a few.
    assert!(seen.matches("event: changed").count() <= 4, "{seen}");
}

#[tokio::test]
async fn a_log_is_plain_text_in_whole_or_in_part() {
    let console = Console::start().await;
    let run = console.run("logged", "env.main", Inputs::default(), RunSettings::default());
    under_way(&run).await;
    let log = console.control.data().log(run.key(), &ActionName::ROOT, spanwise_core::AttemptNo(1));
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::fs::write(&log, "<script>one\ntwo\nthr").unwrap();
    let path = "/v2/domain/d/project/p/runs/logged/actions/a0/attempts/1/log";
    let whole = console.get(path).await;
    assert_eq!((whole.status, whole.body.as_str()), (200, "<script>one\ntwo\nthr"));
    assert!(whole.head.contains("content-type: text/plain") && whole.head.contains("content-disposition: attachment"));
    let part = console.send("GET", path, "Range: bytes=8-10\r\n", "").await;
    assert_eq!((part.status, part.body.as_str()), (206, "one"));
    assert!(part.head.contains("content-range: bytes 8-10/19"), "{}", part.head);
    assert_eq!(console.send("GET", path, "Range: bytes=100-\r\n", "").await.status, 416);
    let page = console.get("/v2/domain/d/project/p/runs/logged").await.body;
    assert!(page.contains("data-next=\"16\"") && !page.contains("<script>one"), "{page}");
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", console.port)).await.unwrap();
    let request = format!("GET {path}/events?from=16 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    while !seen.contains("\r\n\r\n") {
        read_some(&mut stream, &mut seen).await;
    }
    std::io::Write::write_all(&mut std::fs::File::options().append(true).open(&log).unwrap(), b"ee\n").unwrap();
    while !seen.contains("data: [[16],[\"three\"]]") {
        read_some(&mut stream, &mut seen).await;
    }
    run.abort(ActionName::ROOT, "user", "").await.unwrap();
    while !seen.contains("event: end") {
        read_some(&mut stream, &mut seen).await;
    }
}

async fn read_until(stream: &mut tokio::net::TcpStream, seen: &mut String, events: usize) {
    while seen.matches("event: changed").count() < events {
        read_some(stream, seen).await;
    }
}

async fn read_some(stream: &mut tokio::net::TcpStream, seen: &mut String) {
    let mut piece = [0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut piece)).await;
    let read = read.unwrap().unwrap();
    assert!(read > 0, "the stream is over: {seen}");
    seen.push_str(&String::from_utf8_lossy(&piece[..read]));
}
