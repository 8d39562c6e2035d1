//! Logs that tasks write, read meanwhile and afterwards.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use spanwise_process::{Ending, Hidden, LogFiles as Logs, LogLine, LogStart, last_lines, spawn};
use tempfile::tempdir;
use tokio::sync::oneshot;

use super::script;
use super::waiting::{soon, until};

fn append(log: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).create(true).open(log).unwrap().write_all(bytes).unwrap();
}

fn messages(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.message.as_str()).collect()
}

/// All lines of a log whose attempt has ended.
async fn all(logs: &Logs, log: &Path, start: LogStart) -> Vec<LogLine> {
    let batches = logs.tail(log, start, std::future::ready(()));
    soon("the log ends", batches.map(Result::unwrap).concat()).await
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros().try_into().unwrap()
}

#[tokio::test]
async fn lines_come_as_they_are_written_and_the_rest_at_the_end() {
    let home = tempdir().unwrap();
    let log = home.path().join("log");
    let logs = Logs::new(None).unwrap();
    let recording = logs.record(&log).unwrap();
    let (end, ended) = oneshot::channel::<()>();
    let mut batches = logs.tail(&log, LogStart::Line(0), async move { ended.await.unwrap_or(()) });
    assert!(tokio::time::timeout(Duration::from_millis(20), batches.next()).await.is_err(), "nothing is written yet");

    append(&log, b"one\r\ntwo\nthr");
    let lines = soon("the first lines", batches.next()).await.unwrap().unwrap();
    assert_eq!(messages(&lines), ["one", "two"]);
    append(&log, b"ee\nfo\xffur");
    let lines = soon("the next line", batches.next()).await.unwrap().unwrap();
    assert_eq!(messages(&lines), ["three"]);
    recording.finish().await;
    end.send(()).unwrap();
    let lines = soon("the rest", batches.next()).await.unwrap().unwrap();
    assert_eq!(messages(&lines), ["fo\u{fffd}ur"]);
    assert!(soon("the end", batches.next()).await.is_none());

    let again = all(&logs, &log, LogStart::Line(0)).await;
    assert_eq!(messages(&again), ["one", "two", "three", "fo\u{fffd}ur"]);
    assert_eq!(messages(&all(&logs, &log, LogStart::Line(3)).await), ["fo\u{fffd}ur"]);
    assert_eq!(messages(&all(&logs, &log, LogStart::Offset(again[1].offset)).await), ["two", "three", "fo\u{fffd}ur"]);
    assert!(all(&logs, &log, LogStart::Line(4)).await.is_empty());
    assert!(all(&logs, &log, LogStart::Offset(1 << 40)).await.is_empty());
}

#[tokio::test]
async fn each_line_has_the_time_at_which_it_came() {
    let home = tempdir().unwrap();
    let log = home.path().join("log");
    let logs = Logs::new(None).unwrap();
    let recording = logs.record(&log).unwrap();
    let process = spawn(&script(home.path(), "echo a; while [ ! -e go ]; do sleep 0.01; done; echo b")).unwrap();
    until("the first line is recorded", || {
        (std::fs::metadata(home.path().join("log.times")).unwrap().len() > 0).then_some(())
    })
    .await;
    let first_seen = now();
    let second_written = now();
    std::fs::write(home.path().join("go"), "").unwrap();
    soon("ends", process.wait()).await;
    recording.finish().await;
    let after = now();
    drop((recording, logs));

    // A later server has nothing but the files.
    let lines = all(&Logs::new(None).unwrap(), &log, LogStart::Line(0)).await;
    assert_eq!(messages(&lines), ["a", "b"]);
    assert!(lines[0].at.0 <= first_seen, "{lines:?} {first_seen}");
    assert!((second_written..=after).contains(&lines[1].at.0), "{lines:?} {second_written}");
}

#[tokio::test]
async fn a_log_without_times_has_the_time_of_its_file() {
    let home = tempdir().unwrap();
    let log = home.path().join("log");
    append(&log, b"alone\n");
    let lines = all(&Logs::new(None).unwrap(), &log, LogStart::Line(0)).await;
    assert!((now() - lines[0].at.0).abs() < 60_000_000, "{lines:?}");
    assert!(!home.path().join("log.times").exists(), "reading leaves no trace");
}

#[tokio::test]
async fn a_line_without_end_is_cut_at_whole_characters() {
    let home = tempdir().unwrap();
    let log = home.path().join("log");
    append(&log, &[b"x", "é".repeat(100_000).as_bytes(), b"\nend\n"].concat());
    let lines = all(&Logs::new(None).unwrap(), &log, LogStart::Line(0)).await;
    assert!(lines.iter().all(|line| line.message.len() <= 64 * 1024 && !line.message.contains('\u{fffd}')));
    let whole: String = lines[..lines.len() - 1].iter().map(|line| line.message.as_str()).collect();
    assert_eq!(whole, format!("x{}", "é".repeat(100_000)));
    assert_eq!(lines.last().unwrap().message, "end");
    let mut offset = 0;
    for line in &lines[..lines.len() - 1] {
        assert_eq!(line.offset, offset);
        offset += line.message.len() as u64;
    }
}

#[tokio::test]
async fn a_hundred_megabytes_cost_little_memory_and_few_entries() {
    let home = tempdir().unwrap();
    let log = home.path().join("log");
    let logs = Logs::new(None).unwrap();
    let recording = logs.record(&log).unwrap();
    let line = "a line of a log that is of some length, as they are";
    let process = spawn(&script(home.path(), &format!("yes '{line}' | head -n 2000000"))).unwrap();
    let ended = process.clone();
    let mut batches = logs.tail(&log, LogStart::Line(0), async move {
        ended.wait().await;
    });
    let (mut bytes, mut lines) = (0, 0);
    while let Some(batch) = soon("the log goes on", batches.next()).await {
        let batch = batch.unwrap();
        let size: usize = batch.iter().map(|line| line.message.len()).sum();
        assert!(size <= 256 * 1024 && !batch.is_empty());
        assert!(batch.is_sorted_by_key(|line| (line.at, line.offset)));
        lines += batch.len();
        bytes += size;
    }
    assert_eq!(process.wait().await, Ending::Exited(0));
    assert_eq!((lines, bytes), (2_000_000, 2_000_000 * line.len()));
    drop(recording);
    assert!(std::fs::metadata(home.path().join("log.times")).unwrap().len() < 16 * 1000);
}

#[tokio::test]
async fn many_empty_lines_come_in_many_batches() {
    let home = tempdir().unwrap();
    let log = home.path().join("log");
    append(&log, &[b'\n'; 50_000]);
    let logs = Logs::new(None).unwrap();
    let batches: Vec<_> =
        logs.tail(&log, LogStart::Line(0), std::future::ready(())).map(Result::unwrap).collect().await;
    assert!(batches.len() > 5);
    assert_eq!(batches.concat().len(), 50_000);
}

#[tokio::test]
async fn several_readers_and_files_share_the_watch() {
    let home = tempdir().unwrap();
    let logs = Logs::new(None).unwrap();
    let names: Vec<_> = (0..20).map(|number| home.path().join(number.to_string())).collect();
    let recordings: Vec<_> = names.iter().map(|log| logs.record(log).unwrap()).collect();
    let mut tails: Vec<_> =
        names.iter().chain(&names).map(|log| logs.tail(log, LogStart::Line(0), std::future::pending())).collect();
    for round in ["first", "second"] {
        for log in &names {
            append(log, format!("{round}\n").as_bytes());
        }
        for tail in &mut tails {
            assert_eq!(messages(&soon("each line arrives", tail.next()).await.unwrap().unwrap()), [round]);
        }
    }
    drop((tails, recordings));
    let recording = logs.record(&names[0]).unwrap();
    let mut tail = logs.tail(&names[0], LogStart::Line(2), std::future::pending());
    append(&names[0], b"third\n");
    assert_eq!(messages(&soon("a log is watched again", tail.next()).await.unwrap().unwrap()), ["third"]);
    drop(recording);
}

#[tokio::test]
async fn a_log_that_is_missing_is_an_error() {
    let home = tempdir().unwrap();
    let logs = Logs::new(None).unwrap();
    let mut tail = logs.tail(&home.path().join("log"), LogStart::Line(0), std::future::pending());
    assert_eq!(tail.next().await.unwrap().unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert!(tail.next().await.is_none());
    assert!(!home.path().join("log").exists());
}

#[test]
fn the_last_lines_are_whole_where_that_is_possible() {
    let home = tempdir().unwrap();
    let log = home.path().join("log");
    append(&log, b"one\ntwo\nthree\n");
    for (most, expected) in
        [(100, "one\ntwo\nthree\n"), (14, "one\ntwo\nthree\n"), (13, "two\nthree\n"), (10, "two\nthree\n")]
    {
        assert_eq!(last_lines(&log, most).unwrap(), expected, "{most}");
    }
    assert_eq!(last_lines(&log, 6).unwrap(), "three\n");
    assert_eq!(last_lines(&log, 4).unwrap(), "ree\n");
    assert!(last_lines(&home.path().join("missing"), 4).is_err());
    append(&log, b"");
    std::fs::write(&log, "").unwrap();
    assert_eq!(last_lines(&log, 10).unwrap(), "");
}

/// How much of a log is kept where it is cut after 10,000 bytes, with the notice.
const NOTICE: &str = "spanwise: the log is cut at 10000 bytes (--max-log): what was printed after it is not kept";

#[tokio::test]
async fn a_log_that_is_too_long_is_cut_and_says_so() {
    let home = tempdir().unwrap();
    let log = home.path().join("log");
    let logs = Logs::new(Some(10_000)).unwrap();
    let recording = logs.record(&log).unwrap();
    // It writes on until it is told to end, and goes on undisturbed.
    let text = "while [ ! -e stop ]; do for i in 1 2 3 4 5 6 7 8 9 10; do echo 0123456789012345678901234567890123456789; done; done";
    let process = spawn(&script(home.path(), text)).unwrap();
    let ended = process.clone();
    let mut tail = logs.tail(&log, LogStart::Line(0), async move {
        ended.wait().await;
    });
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line: &LogLine| line.message != NOTICE) {
        lines.extend(soon("the notice comes", tail.next()).await.unwrap().unwrap());
    }
    let most = 10_001 + NOTICE.len() as u64 + 1;
    for _ in 0..5 {
        // It has grown again, and is cut again.
        until("the log is cut again", || {
            let length = std::fs::metadata(&log).unwrap().len();
            (length == most).then_some(())
        })
        .await;
    }
    std::fs::write(home.path().join("stop"), "").unwrap();
    assert_eq!(soon("ends", process.wait()).await, Ending::Exited(0));
    recording.finish().await;
    assert_eq!(std::fs::metadata(&log).unwrap().len(), most);
    assert!(soon("the tail ends", tail.next()).await.is_none(), "nothing comes after the notice");
    drop((recording, logs));

    // A later server cuts it where it is cut, and a reader finds the same.
    let logs = Logs::new(Some(10_000)).unwrap();
    drop(logs.record(&log).unwrap());
    assert_eq!(std::fs::metadata(&log).unwrap().len(), most);
    let again = all(&logs, &log, LogStart::Line(0)).await;
    assert_eq!(messages(&again), messages(&lines));
    assert_eq!(messages(&again).last().copied(), Some(NOTICE));
    assert!(messages(&again)[..240].iter().all(|line| line.len() == 40), "{:?}", messages(&again));
}

/// The limit of a log falls into a value: nothing of it is shown, and a later server finds the log as it is.
#[tokio::test]
async fn s15_3_a_log_that_is_cut_within_a_value_shows_no_part_of_it() {
    let value = "0123456789-a-token-of-forty-characters-x";
    for before in [9_970, 9_999, 10_000, 9_960, 9_950] {
        let home = tempdir().unwrap();
        let log = home.path().join("log");
        let hidden = || Hidden::new([value]);
        append(&log, "=".repeat(before).as_bytes());
        append(&log, value.as_bytes());
        append(&log, "more\n".repeat(100).as_bytes());
        let mut lengths = Vec::new();
        for _ in 0..2 {
            let logs = Logs::new(Some(10_000)).unwrap();
            let recording = logs.record_hiding(&log, hidden()).await.unwrap();
            recording.finish().await;
            let shown = std::fs::read_to_string(&log).unwrap();
            assert!(!shown.contains(&value[..4]), "{before}: {}", &shown[9_900..]);
            assert_eq!(shown.matches(NOTICE).count(), 1, "{before}: {}", &shown[9_900..]);
            lengths.push(shown.len());
        }
        assert_eq!(lengths[0], lengths[1], "{before}");
    }
}

/// What a log holds that values are hidden in, of which the next server finds more than the one before has looked at.
async fn left_by_a_server_that_was_killed(log: &Path) {
    let logs = Logs::new(None).unwrap();
    let recording = logs.record_hiding(log, Hidden::new(["s3cret-value"])).await.unwrap();
    append(log, b"one s3cret-value\n");
    until("the first line is looked at", || (logs.readable(log).unwrap() == 17).then_some(())).await;
    // A kill lets nobody look once more; the end of a server does, and sees nothing more.
    drop((recording, logs));
    append(log, b"two s3cret-value\nthree\n");
}

#[tokio::test]
async fn s15_3_what_nobody_has_hidden_is_not_shown_whoever_comes_next() {
    let shown = ["one ************", "two ************", "three"];
    let why = |text: &str| {
        [
            "one ************".to_owned(),
            String::new(),
            format!("spanwise: what was printed from here on is not shown: {text}"),
        ]
    };
    let values = || Hidden::new(["s3cret-value"]);
    for (next, expected) in [
        ("who hides the values", shown.map(str::to_owned).to_vec()),
        ("who hides them when the process has ended", shown.map(str::to_owned).to_vec()),
        ("who cannot know them", why("they are gone").to_vec()),
        ("who cannot know them when the process has ended", why("they are gone").to_vec()),
        ("who finds others in their place", why("the secrets that were hidden in it have changed since").to_vec()),
        ("nobody", why("whoever hid the secrets in it was gone by then").to_vec()),
    ] {
        let home = tempdir().unwrap();
        let log = home.path().join("log");
        left_by_a_server_that_was_killed(&log).await;
        let logs = Logs::new(None).unwrap();
        // A reader that is there before.
        let mut early = logs.tail(&log, LogStart::Line(0), std::future::pending());
        let first = soon("what was looked at", early.next()).await.unwrap().unwrap();
        assert_eq!((messages(&first), logs.readable(&log).unwrap()), (vec!["one ************"], 17), "{next}");
        drop(early);
        let recording = match next {
            "who hides the values" => Some(logs.record_hiding(&log, values()).await.unwrap()),
            "who cannot know them" => Some(logs.record_hiding(&log, Hidden::withheld("they are gone")).await.unwrap()),
            "who finds others in their place" => Some(logs.record_hiding(&log, Hidden::default()).await.unwrap()),
            "nobody" => None,
            of_ended => {
                let is_gone = of_ended.contains("cannot");
                let hidden = if is_gone { Hidden::withheld("they are gone") } else { values() };
                logs.hide_rest(&log, hidden).await.unwrap();
                None
            }
        };
        if let Some(recording) = recording {
            recording.finish().await;
        }
        assert_eq!(messages(&all(&logs, &log, LogStart::Line(0)).await), expected, "{next}");
        drop(logs);
        let (on_disk, later) = (std::fs::read_to_string(&log).unwrap(), Logs::new(None).unwrap());
        assert!(!on_disk.contains("s3cret"), "{next}: {on_disk}");
        assert_eq!(messages(&all(&later, &log, LogStart::Line(0)).await), expected, "{next}: and it stays so");
    }
}

#[tokio::test]
async fn s15_3_a_log_without_values_is_shown_whoever_comes_next() {
    let home = tempdir().unwrap();
    let log = home.path().join("log");
    drop(Logs::new(None).unwrap().record_hiding(&log, Hidden::default()).await.unwrap());
    append(&log, b"one\n");
    let logs = Logs::new(None).unwrap();
    logs.hide_rest(&log, Hidden::withheld("they are gone")).await.unwrap();
    drop(logs.record_hiding(&log, Hidden::withheld("they are gone")).await.unwrap());
    assert_eq!(messages(&all(&logs, &log, LogStart::Line(0)).await), ["one"]);
}

#[tokio::test]
async fn s15_3_a_value_that_is_half_written_when_the_server_ends_is_not_shown_in_part() {
    let home = tempdir().unwrap();
    let log = home.path().join("log");
    let logs = Logs::new(None).unwrap();
    let recording = logs.record_hiding(&log, Hidden::new(["s3cret-value"])).await.unwrap();
    append(&log, b"one s3cret");
    drop((recording, logs));
    let logs = Logs::new(None).unwrap();
    assert_eq!(logs.readable(&log).unwrap(), 4);
    append(&log, b"-value\n");
    logs.hide_rest(&log, Hidden::new(["s3cret-value"])).await.unwrap();
    assert_eq!(messages(&all(&logs, &log, LogStart::Line(0)).await), ["one ************"]);
}
