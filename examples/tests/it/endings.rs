//! No span that has ended is missing, however the program ends.

use std::os::unix::process::ExitStatusExt;

use crate::program::{Ended, program};
use crate::receiver::Receiver;
use crate::spans::{Spans, exceptions, status};
use crate::web::Web;

async fn end(how: &str) -> (Ended, Spans) {
    let (web, receiver) = (Web::start().await, Receiver::http().await);
    let ended = program!("endings").arg(web.url()).arg(how).export_to(&receiver).run().await;
    let spans = receiver.spans();
    spans.check();
    spans.trace_id();
    assert_eq!(spans.path("GET"), "workflow_run > main > fetch > GET");
    assert_eq!(status(spans.one("fetch")), "Unset");
    (ended, spans)
}

/// Sends a signal as soon as the program hangs.
async fn cut(how: &str, printed: &[&str], signal: &str) -> (Ended, Spans) {
    let (web, receiver) = (Web::start().await, Receiver::http().await);
    let mut running = program!("endings").arg(web.url()).arg(how).export_to(&receiver).start();
    for line in printed {
        running.prints(line).await;
    }
    running.signal(signal).await;
    let ended = running.ended().await;
    assert_eq!(ended.status.signal(), None, "{}", ended.stderr);
    let spans = receiver.spans();
    spans.check();
    spans.trace_id();
    (ended, spans)
}

#[tokio::test]
async fn success() {
    let (ended, spans) = end("well").await;
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(spans.names(), ["GET", "fetch", "main", "workflow_run"]);
}

#[tokio::test]
async fn a_task_that_fails() {
    let (ended, spans) = end("fail").await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("[NoSuchPage] the page is not there"), "{}", ended.stderr);
    assert_eq!(spans.names(), ["GET", "fail", "fetch", "main", "workflow_run"]);
    for name in ["fail", "main"] {
        let span = spans.one(name);
        assert_eq!(status(span), "Error: the page is not there", "{name}");
        assert_eq!(exceptions(span), ["NoSuchPage: the page is not there"], "{name}");
    }
    assert_eq!(spans.path("fail"), "workflow_run > main > fail");
}

#[tokio::test]
async fn a_task_that_is_late() {
    let (ended, spans) = end("late").await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("MAX_RUNTIME_EXCEEDED"), "{}", ended.stderr);
    assert_eq!(spans.names(), ["GET", "fetch", "late", "main", "workflow_run"]);
    assert_eq!(status(spans.one("late")), "Error: the attempt was cut short by its timeout");
    assert!(exceptions(spans.one("late"))[0].starts_with("MAX_RUNTIME_EXCEEDED: "));
}

#[tokio::test]
async fn a_task_that_panics() {
    let (ended, spans) = end("panic").await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("the page is not what it was"), "{}", ended.stderr);
    assert_eq!(spans.names(), ["GET", "fetch", "main", "panic", "workflow_run"]);
    assert_eq!(status(spans.one("panic")), "Error: the page is not what it was");
    assert_eq!(exceptions(spans.one("panic")), ["Panic: the page is not what it was"]);
    assert_eq!(status(spans.one("main")), "Error: the page is not what it was");
    assert!(exceptions(spans.one("main"))[0].ends_with(": the page is not what it was"));
}

#[tokio::test]
async fn ctrl_c_and_sigterm_while_a_task_hangs() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let (ended, spans) = cut("hang", &["hanging"], signal).await;
        assert_eq!(ended.status.code(), Some(code), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("SIG{signal}")), "{}", ended.stderr);
        assert_eq!(spans.names(), ["GET", "fetch", "hang", "main", "workflow_run"]);
        assert_eq!(spans.path("hang"), "workflow_run > main > hang");
        for name in ["hang", "main", "workflow_run"] {
            assert_eq!(status(spans.one(name)), "Unset", "{name}");
        }
    }
}

#[tokio::test]
async fn ctrl_c_while_a_map_or_a_join_set_hangs() {
    for how in ["hang_map", "hang_set"] {
        let (ended, spans) = cut(how, &["hanging"; 3], "INT").await;
        assert_eq!(ended.status.code(), Some(130), "{}", ended.stderr);
        assert_eq!(spans.names(), ["GET", "fetch", "hang", "hang", "hang", "main", "workflow_run"], "{how}");
    }
}
