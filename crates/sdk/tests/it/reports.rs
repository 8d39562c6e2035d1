//! Reports of tasks, in the data directory of this process.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use spanwise::{Client, Config, Error, ErrorKind, report, task};

use crate::{ENV, memory};

#[task(env = ENV)]
async fn reports_a_number(number: i64) -> spanwise::Result<i64> {
    report::log(format!("<i>child {number}</i>"));
    match number {
        0 => Err(Error::terminal("no number")),
        number => Ok(number),
    }
}

#[task(env = ENV)]
async fn reports_nothing() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV)]
async fn parent_of_two() -> spanwise::Result<String> {
    report::log("<p>first \u{1f680}</p>");
    report::flush().await?;
    report::log("<p>second</p>");
    report::tab("numbers").log("<p>old</p>");
    report::tab("numbers").replace("<p>new</p>");
    let failed = reports_a_number(0).await.is_err();
    reports_nothing().await?;
    Ok(format!("{} {failed}", reports_a_number(7).await?))
}

#[tokio::test]
async fn s10_what_tasks_report_is_there_also_of_those_that_fail_and_in_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Client::open(Config::new().data_dir(folder.path())).unwrap();
    let client = open();
    let run = client.with_runcontext().name("told").run(parent_of_two()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), "7 true");
    client.shutdown().await;
    drop((run, client));

    let client = open();
    let run = client.resume::<String>("told").await.unwrap();
    let page = run.report().await.unwrap().unwrap();
    for part in ["<p>first \u{1f680}</p>\n<p>second</p>", "<section><p>new</p></section>", ">numbers</label>"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("old"), "{page}");
    let mut reports = Vec::new();
    for action in run.actions().await.unwrap().iter().filter(|action| action.parent.is_some()) {
        let page = run.report_of(&action.name).await.unwrap();
        reports.push(page.map(|page| page.contains("child 0") || page.contains("child 7")));
    }
    reports.sort_unstable();
    assert_eq!(reports, [None, Some(true), Some(true)]);
    let nobody = run.report_of(&spanwise::ActionName::new("nobody").unwrap()).await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn s10_reports_harm_nobody_where_none_are_kept() {
    report::log("nobody reads this");
    report::flush().await.unwrap();
    let run = memory().with_runcontext().run(reports_a_number(1)).await.unwrap();
    assert_eq!(run.output().await.unwrap(), 1);
    assert_eq!(run.report().await.unwrap(), None);
}

static TRIES: AtomicU32 = AtomicU32::new(0);

#[task(env = ENV)]
async fn takes_a_while(number: i64) -> spanwise::Result<i64> {
    tokio::time::sleep(Duration::from_millis(60)).await;
    Ok(number)
}

async fn fails_once() -> spanwise::Result<()> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    match TRIES.fetch_add(1, Ordering::SeqCst) {
        0 => Err(Error::user("Own", "first try")),
        _ => Ok(()),
    }
}

/// The report of the first attempt is not written when its body ends.
#[task(env = ENV, retries = 1)]
async fn reports_and_fails_beside_a_child() -> spanwise::Result<i64> {
    report::log("not written yet");
    let (number, ()) = tokio::try_join!(takes_a_while(7), fails_once())?;
    Ok(number)
}

#[tokio::test]
async fn s4_a_body_that_fails_leaves_its_calls_to_the_next_attempt_whatever_it_has_to_report() {
    let folder = tempfile::tempdir().unwrap();
    for client in [memory(), Client::open(Config::new().data_dir(folder.path())).unwrap()] {
        TRIES.store(0, Ordering::SeqCst);
        let run = client.with_runcontext().run(reports_and_fails_beside_a_child()).await.unwrap();
        assert_eq!(run.output().await.unwrap(), 7);
        client.shutdown().await;
    }
}

#[task(env = ENV)]
async fn flushes_and_does_not_wait() -> spanwise::Result<()> {
    for number in 0..20 {
        report::tab("last").replace(format!("<p>{number}</p>"));
        let _ = tokio::time::timeout(Duration::from_micros(50), report::flush()).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s10_the_last_word_of_a_report_is_kept_whoever_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::open(Config::new().data_dir(folder.path())).unwrap();
    let run = client.with_runcontext().run(flushes_and_does_not_wait()).await.unwrap();
    run.output().await.unwrap();
    let page = run.report().await.unwrap().unwrap();
    assert!(page.contains("<p>19</p>") && !page.contains("<p>18</p>"), "{page}");
}
