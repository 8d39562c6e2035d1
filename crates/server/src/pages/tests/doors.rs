//! What comes through every door: how stored bytes are answered, and whose requests are taken.

use spanwise_core::AttemptNo;

use spanwise_wire::support::Support;
use spanwise_wire::support::methods::{METHODS, Streams};

use super::waterfall::{collecting, receive, span};
use super::*;
use crate::layout;

const EVIL: &str = "<script>document.title='run'</script>";
const RUNS: &str = "/v2/domain/d/project/p/runs";

/// A run that has printed and reported what would be a page, and received a span of that kind.
async fn evil(console: &Console) -> RunHandle {
    let run = console.run("evil", "env.main", Inputs::default(), RunSettings::default());
    under_way(&run).await;
    let log = console.control.data().log(run.key(), &ActionName::ROOT, AttemptNo(1));
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::fs::write(&log, format!("{EVIL}\n")).unwrap();
    let directory = layout::attempt(run.id(), &ActionName::ROOT, AttemptNo(1)).unwrap();
    for name in ["report.html", "evil.html"] {
        console.control.blobs().put(&directory.join(name).unwrap(), Bytes::from(EVIL)).await.unwrap();
    }
    receive(console, vec![span(&"1".repeat(32), 1, "", EVIL, &[(EVIL, EVIL)])]).await;
    run
}

/// The first address on a page that has this text in it.
fn address<'a>(page: &'a str, text: &str) -> &'a str {
    page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).find(|href| href.contains(text)).unwrap()
}

#[tokio::test]
async fn every_route_that_serves_what_others_have_stored_seals_it() {
    let console = collecting().await;
    let run = evil(&console).await;
    let stored = "/s3/spanwise/runs/local/p/d/evil/a0/1/evil.html";
    let report = console.get(&format!("{RUNS}/evil")).await.body;
    let report = address(&report, "/blob/").replace("&#38;", "&");
    let (log, trace) = (format!("{RUNS}/evil/actions/a0/attempts/1/log"), format!("{RUNS}/evil/trace.json"));
    let long = "x".repeat(2000);
    let range = "Range: bytes=3-\r\n";
    let (json, proto) = ("Content-Type: application/json\r\n", "Content-Type: application/proto\r\n");
    let asked = [
        ("GET", stored.to_owned(), "", 200),
        ("HEAD", stored.to_owned(), "", 200),
        ("GET", stored.to_owned(), range, 206),
        ("GET", stored.to_owned(), "Range: bytes=900-\r\n", 416),
        ("GET", format!("{stored}?response-content-type=text/html&response-content-disposition=inline"), "", 200),
        ("GET", format!("{stored}?%72esponse-content-type=text/javascript"), "", 200),
        ("HEAD", format!("{stored}?response-content-type=text/html"), "", 200),
        ("GET", stored.replace("evil.html", "report.html"), "", 200),
        ("GET", "/s3/spanwise?list-type=2&prefix=%3Cscript%3E".to_owned(), "", 200),
        ("GET", "/s3/".to_owned(), "", 200),
        ("GET", "/s3/spanwise/%3Cscript%3E".to_owned(), "", 404),
        ("GET", "/s3/%3Cscript%3E/x".to_owned(), "", 400),
        ("GET", format!("/s3/spanwise/{long}"), "", 400),
        ("PUT", format!("/s3/spanwise/{long}"), "", 400),
        ("PUT", "/s3/spanwise/evil.html".to_owned(), "", 200),
        ("DELETE", "/s3/spanwise/evil.html".to_owned(), "", 204),
        ("POST", "/s3/spanwise?delete".to_owned(), "", 400),
        ("GET", report.replace("/blob/", "/blob/x"), "", 403),
        ("POST", report.clone(), "", 405),
        ("GET", log.clone(), "", 200),
        ("HEAD", log.clone(), "", 200),
        ("GET", log.clone(), range, 206),
        ("GET", log.clone(), "Range: bytes=9000-\r\n", 416),
        ("GET", trace.clone(), "", 200),
        ("GET", format!("{trace}?format=jaeger"), "", 200),
        ("GET", format!("{trace}?format=%3Cscript%3E"), "", 400),
        ("GET", format!("{RUNS}/%3Cscript%3E/trace.json"), "", 404),
        ("GET", format!("{RUNS}/evil/explain.json"), "", 200),
        ("GET", format!("/v1/traces/{}", "1".repeat(32)), "", 200),
        ("GET", format!("/v1/traces/{}", "2".repeat(32)), "", 404),
        ("GET", "/v1/traces/%3Cscript%3E".to_owned(), "", 400),
        ("POST", "/v1/traces".to_owned(), "Content-Type: text/<script>\r\n", 415),
        ("POST", "/v1/traces".to_owned(), json, 400),
        ("POST", "/flyteidl2.dataproxy.DataProxyService/GetActionData".to_owned(), proto, 400),
        (
            "GET",
            "/flyteidl2.task.TaskService/ListTasks?connect=v1&encoding=proto&base64=1&message=".to_owned(),
            "",
            200,
        ),
        ("GET", "/flyteidl2.%3Cscript%3E/x".to_owned(), "", 404),
        ("GET", "/nowhere/%3Cscript%3E".to_owned(), "", 404),
    ];
    let mut wrong = Vec::new();
    for (method, path, headers, status) in &asked {
        let answer = console.send(method, path, headers, "").await;
        let sealed = ["content-security-policy: sandbox\r", "x-content-type-options: nosniff\r"];
        let is_sealed = sealed.iter().all(|header| format!("{}\r\n", answer.head).contains(header))
            && answer.head.contains("content-disposition: attachment");
        let is_a_page = ["text/html", "javascript", "image/svg"].iter().any(|kind| answer.head.contains(kind));
        if answer.status != *status || !is_sealed || is_a_page {
            wrong.push(format!(
                "{method} {path:.100} {headers}: {status} expected\n{}\n{:.200}",
                answer.head, answer.body
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    // The report is shown, in an origin of its own.
    for method in ["GET", "HEAD"] {
        let shown = console.send(method, &report, "", "").await;
        assert!(shown.status == 200 && shown.head.contains("content-type: text/html"), "{}", shown.head);
        assert!(shown.head.contains("content-security-policy: sandbox allow-scripts allow-popups\r"), "{}", shown.head);
        assert!(shown.head.contains("nosniff") && shown.head.contains("no-referrer"), "{}", shown.head);
    }
    // Lines that come live, too.
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", console.port)).await.unwrap();
    stream.write_all(format!("GET {log}/events HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let mut seen = String::new();
    while !seen.contains("\r\n\r\n") {
        read_some(&mut stream, &mut seen).await;
    }
    assert!(seen.contains("content-security-policy: sandbox\r") && seen.contains("nosniff"), "{seen}");
    run.abort(ActionName::ROOT, "user", "").await.unwrap();
}

#[tokio::test]
async fn whatever_is_no_page_of_the_console_is_no_document_of_its_origin() {
    let console = collecting().await;
    let console_policy = "content-security-policy: default-src 'none'; script-src 'self'";
    for (path, policy) in [
        ("/", console_policy),
        ("/v2/domain/d/project/p/runs/nobody", console_policy),
        ("/v2/domain/d/project/p/runs/nobody/actions/a0/attempts/1/log", console_policy),
        ("/healthz", "content-security-policy: sandbox"),
        ("/readyz", "content-security-policy: sandbox"),
        ("/server", "content-security-policy: sandbox"),
        ("/assets/nothing", "content-security-policy: sandbox"),
    ] {
        let answer = console.get(path).await;
        assert!(answer.head.contains(policy) && answer.head.contains("nosniff"), "{path}: {}", answer.head);
        assert!(answer.head.contains("cross-origin-resource-policy: same-origin"), "{path}: {}", answer.head);
    }
}

/// Asks with these headers and no others.
async fn ask(port: u16, method: &str, path: &str, headers: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

fn is_refused((status, text): &(u16, String)) -> bool {
    *status == 421 || (*status == 403 && text.contains("this server takes nothing from pages of"))
}

#[tokio::test]
async fn every_door_knows_its_own_page_from_others() {
    let console = collecting().await;
    let run = evil(&console).await;
    let own = format!("localhost:{}", console.port);
    let key = "/s3/spanwise/runs/local/p/d/evil/a0/1/evil.html";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let (json, text) = ("Content-Type: application/json\r\n", "Content-Type: text/plain\r\n");
    let (proto, grpc) = ("Content-Type: application/proto\r\n", "Content-Type: application/grpc\r\n");
    let (abort, rerun) = (format!("{RUNS}/evil/abort"), format!("{RUNS}/evil/rerun"));
    let doors = [
        ("PUT", key, text),
        ("DELETE", "/s3/spanwise/nothing", ""),
        ("POST", "/s3/spanwise?delete", text),
        ("POST", "/s3/spanwise/x?uploads", text),
        ("POST", "/s3/spanwise", "Content-Type: multipart/form-data; boundary=x\r\n"),
        ("PUT", "/blob/token/key", text),
        ("POST", "/flyteidl2.workflow.RunService/CreateRun", json),
        ("POST", "/flyteidl2.workflow.RunService/CreateRun", proto),
        ("POST", "/flyteidl2.workflow.RunService/CreateRun", grpc),
        ("POST", "/flyteidl2.workflow.RunService/CreateRun", text),
        ("POST", "/flyteidl2.workflow.RunService/AbortRun", "Content-Type: application/grpc-web+proto\r\n"),
        ("GET", "/flyteidl2.task.TaskService/ListTasks?connect=v1&encoding=proto&base64=1&message=", ""),
        ("POST", "/v1/traces", json),
        ("POST", "/v1/traces", "Content-Type: application/x-protobuf\r\n"),
        ("POST", "/v1/logs", json),
        ("POST", "/opentelemetry.proto.collector.trace.v1.TraceService/Export", grpc),
        ("POST", &abort, form),
        ("POST", &rerun, form),
        ("GET", key, ""),
        ("GET", "/", "Upgrade: websocket\r\nConnection: upgrade\r\n"),
        ("OPTIONS", "/s3/spanwise/x", "Access-Control-Request-Method: PUT\r\n"),
    ];
    let foreign = [
        "Origin: http://localhost:3000\r\n".to_owned(),
        "Origin: http://localhost\r\n".to_owned(),
        format!("Origin: https://{own}\r\n"),
        format!("Origin: http://127.0.0.1:{}\r\n", console.port),
        "Origin: http://example.com\r\n".to_owned(),
        "Origin: null\r\n".to_owned(),
        format!("Origin: http://{own}\r\nOrigin: http://{own}\r\n"),
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n".to_owned(),
        "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\n".to_owned(),
        format!("Sec-Fetch-Site: same-site\r\nOrigin: http://{own}\r\n"),
    ];
    let known = [
        String::new(),
        format!("Origin: http://{own}\r\n"),
        format!("Origin: http://{own}\r\nSec-Fetch-Site: same-origin\r\n"),
        "Sec-Fetch-Site: none\r\n".to_owned(),
    ];
    let mut wrong = Vec::new();
    for (method, path, headers) in doors {
        for said in &foreign {
            let answer = ask(console.port, method, path, &format!("Host: {own}\r\n{headers}{said}")).await;
            if !is_refused(&answer) {
                wrong.push(format!("taken: {method} {path} {said}: {}", answer.1));
            }
        }
        for said in &known {
            let answer = ask(console.port, method, path, &format!("Host: {own}\r\n{headers}{said}")).await;
            if is_refused(&answer) {
                wrong.push(format!("refused: {method} {path} {said}: {}", answer.1));
            }
        }
        // The other end of a forwarded port, and a name that only points to this machine.
        for (host, origin, expected) in [
            ("localhost:9999", "http://localhost:9999", false),
            ("localhost:9999", "http://localhost:9998", true),
            ("evil.example:8585", "http://evil.example:8585", true),
            ("localhost.evil.example", "", true),
        ] {
            let origin = if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
            let answer = ask(console.port, method, path, &format!("Host: {host}\r\n{headers}{origin}")).await;
            if is_refused(&answer) != expected {
                wrong.push(format!("{host} {origin}: {method} {path}: {}", answer.1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    // A link from elsewhere leads to a page.
    let link = format!("Host: {own}\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n");
    assert_eq!(ask(console.port, "GET", &format!("{RUNS}/evil"), &link).await.0, 200);
    assert!(!run.is_finished());
    run.abort(ActionName::ROOT, "user", "").await.unwrap();
}

#[tokio::test]
async fn text_keeps_its_direction_on_a_page() {
    let console = Console::start().await;
    let mut inputs = Inputs::default();
    inputs.literals.push(NamedLiteral::new("in\u{202e}", Literal::string("exe.\u{202e}txt")));
    let run = console.run("turned", "env.\u{2066}main", inputs, RunSettings::default());
    under_way(&run).await;
    let log = console.control.data().log(run.key(), &ActionName::ROOT, AttemptNo(1));
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::fs::write(&log, "log \u{202e}txt\n").unwrap();
    run.abort(ActionName::ROOT, "user", "why \u{202e}not").await.unwrap();
    for path in ["/", RUNS, &format!("{RUNS}/turned"), &format!("{RUNS}/turned?find=%E2%80%AEx")] {
        let page = console.get(path).await.body;
        assert!(!page.contains(spanwise_wire::is_bidi_control), "{path}: {page}");
    }
    let page = console.get(&format!("{RUNS}/turned")).await.body;
    for shown in ["exe.\\u{202e}txt", "log \\u{202e}txt", "why \\u{202e}not", "\\u{2066}main"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let events = console.get(&format!("{RUNS}/turned/actions/a0/attempts/1/log/events")).await.body;
    assert!(events.contains("log \\\\u{202e}txt") && !events.contains('\u{202e}'), "{events}");
}

/// A call without a message: its status and what the answer says, errors in it too.
async fn call(console: &Console, path: &str, streams: Streams, protocol: &str) -> (u16, String) {
    let is_enveloped = protocol == "grpc-web" || streams != Streams::Neither;
    let kind = match (protocol, is_enveloped) {
        ("grpc-web", _) => "application/grpc-web+proto",
        (_, true) => "application/connect+proto",
        (_, false) => "application/proto",
    };
    let body = if is_enveloped { "\0\0\0\0\0" } else { "" };
    let headers = format!("Content-Type: {kind}\r\n");
    // A watch of what is there does not end.
    let answer = tokio::time::timeout(Duration::from_secs(5), console.send("POST", path, &headers, body)).await;
    answer.map_or((200, String::new()), |answer| (answer.status, format!("{}\n{}", answer.head, answer.body)))
}

#[tokio::test]
async fn s10_each_method_of_flyte_is_answered_as_its_row_says() {
    let console = Console::start().await;
    let mut wrong = Vec::new();
    for row in METHODS {
        for name in row.names {
            let path = format!("/{}/{name}", row.service);
            for protocol in ["connect", "grpc-web"] {
                let (status, said) = call(&console, &path, row.streams, protocol).await;
                let is_right = match row.support {
                    // In gRPC-Web the sentence is percent-encoded where it is not plain.
                    Support::Refused(why) => {
                        let beginning =
                            why.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != ' ').next();
                        let is_unimplemented = said.contains("unimplemented") || said.contains("grpc-status: 12");
                        is_unimplemented
                            && said.contains(&format!("{}/{name}: {}", row.short_service(), beginning.unwrap()))
                    }
                    _ => {
                        let is_missing = said.contains("unimplemented") || said.contains("grpc-status: 12");
                        !is_missing && !matches!(status, 404 | 405 | 415 | 500..)
                    }
                };
                if !is_right {
                    wrong.push(format!("{protocol} {path}: {status} {said}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let (_, said) = call(&console, "/flyteidl2.workflow.RunService/Nothing", Streams::Neither, "connect").await;
    assert!(said.contains("unimplemented") && said.contains("Nothing"), "{said}");
}
