//! The store of spans: the first one of an id stays, whatever is stored survives, and old ones make room.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use spanwise_collector::spans::{Error, Inserted, SpanOrigin, SpanStore, StoredSpan, Wanted};
use spanwise_core::{Durability, Timestamp};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

fn open(directory: &tempfile::TempDir) -> SpanStore {
    SpanStore::open(directory.path(), Durability::Process).unwrap()
}

fn origin(name: &str) -> Arc<SpanOrigin> {
    let mut digest = [0; 32];
    digest[..name.len()].copy_from_slice(name.as_bytes());
    Arc::new(SpanOrigin { digest, body: Bytes::copy_from_slice(name.as_bytes()) })
}

/// The span of this number in the trace of that number.
fn span(trace: u64, number: u64, origin: &Arc<SpanOrigin>) -> StoredSpan {
    let mut trace_id = [9; 16];
    trace_id[..8].copy_from_slice(&trace.to_be_bytes());
    StoredSpan {
        trace_id,
        span_id: (number + 1).to_be_bytes(),
        parent_id: (number > 0).then(|| number.to_be_bytes()),
        name: format!("span {number}"),
        start: number as i64,
        end: number as i64 + 5,
        origin: Arc::clone(origin),
        body: Bytes::from(vec![number as u8; 100]),
    }
}

fn trace_of(span: &StoredSpan) -> [u8; 16] {
    span.trace_id
}

#[test]
fn what_was_stored_is_there_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (origin("one"), origin("two"));
    let spans = [span(1, 0, &one), span(1, 1, &two), span(1, 2, &one), span(2, 0, &one)];
    let store = open(&directory);
    assert_eq!(store.insert(&spans, NOW).unwrap(), Inserted { new: 4, repeated: Vec::new() });
    // As after a kill: nobody closes it, the log is not folded, and another one opens the files.
    let copy = tempfile::tempdir().unwrap();
    for file in ["spans.db", "spans.db-wal"] {
        std::fs::copy(directory.path().join(file), copy.path().join(file)).unwrap();
    }
    for store in [store, open(&copy), open(&directory)] {
        assert_eq!(store.of_trace(trace_of(&spans[0]), 10).unwrap(), spans[..3]);
        assert_eq!(store.count_of_trace(trace_of(&spans[3])).unwrap(), 1);
    }
}

#[test]
fn the_first_of_an_id_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let first = span(1, 0, &origin("one"));
    let second = StoredSpan { name: "other".to_owned(), ..span(1, 0, &origin("two")) };
    // In one insertion, and in the next one.
    let inserted = store.insert(&[first.clone(), second.clone(), span(1, 1, &origin("two"))], NOW).unwrap();
    assert_eq!(inserted, Inserted { new: 2, repeated: vec![1] });
    assert_eq!(store.insert(&[second], NOW).unwrap(), Inserted { new: 0, repeated: vec![0] });
    assert_eq!(store.of_trace(trace_of(&first), 1).unwrap(), [first]);
}

#[test]
fn names_and_times_are_kept_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let odd = StoredSpan {
        name: "schr\u{f6}dinger \u{1f408}\u{200d}\u{2b1b} \u{202e}'; DROP TABLE spans; --\0".to_owned(),
        start: i64::MIN,
        end: i64::MAX,
        body: Bytes::new(),
        ..span(1, 0, &origin(""))
    };
    let empty = StoredSpan { name: String::new(), parent_id: Some([0xff; 8]), ..span(1, 1, &origin("")) };
    store.insert(&[odd.clone(), empty.clone()], NOW).unwrap();
    assert_eq!(store.of_trace(trace_of(&odd), 10).unwrap(), [odd, empty]);
}

#[test]
fn a_trace_of_ten_thousand_spans_is_read_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let origin = origin("one");
    // Arrived in no order.
    let mut spans: Vec<StoredSpan> = (0..10_000).map(|number| span(1, number * 7_919 % 10_000, &origin)).collect();
    for batch in spans.chunks(512) {
        store.insert(batch, NOW).unwrap();
    }
    store.insert(&[span(2, 0, &origin)], NOW).unwrap();
    spans.sort_by_key(|span| span.start);
    let trace = trace_of(&spans[0]);
    assert_eq!(store.count_of_trace(trace).unwrap(), 10_000);
    assert_eq!(store.of_trace(trace, usize::MAX).unwrap(), spans);
    assert_eq!(store.of_trace(trace, 3).unwrap(), spans[..3]);
    assert_eq!(store.of_trace([0; 16], 3).unwrap(), []);
}

#[test]
fn old_spans_go_by_the_time_of_their_arrival() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let day = 24 * 3600 * 1_000_000;
    let (old, new) = (origin("old"), origin("new"));
    // What they say about themselves is from the far future.
    let future = |number, origin| StoredSpan { start: i64::MAX, ..span(1, number, origin) };
    store.insert(&(0..5_000).map(|number| future(number, &old)).collect::<Vec<_>>(), NOW).unwrap();
    store.insert(&[future(5_000, &new)], Timestamp(NOW.0 + 2 * day)).unwrap();
    let week = Some(Duration::from_secs(7 * 24 * 3600));
    let at = |days: i64| Timestamp(NOW.0 + days * day + 1);
    assert_eq!(store.prune(week, None, at(6)).unwrap(), 0);
    assert_eq!(store.prune(None, None, at(1_000)).unwrap(), 0);
    assert_eq!(
        store.prune(week, None, at(7)).unwrap(),
        0,
        "the newest span is two days younger, whatever the clock says"
    );
    store.insert(&[future(5_001, &new)], at(7)).unwrap();
    assert_eq!(store.prune(week, None, at(1_000)).unwrap(), 5_000);
    let left = store.of_trace(trace_of(&span(1, 0, &new)), 10).unwrap();
    assert_eq!(left, [future(5_000, &new), future(5_001, &new)]);
    // The origin of those that went is stored anew when it is needed again.
    store.insert(&[future(1, &old), future(2, &new)], at(8)).unwrap();
    drop(store);
    assert_eq!(open(&directory).of_trace(trace_of(&left[0]), 10).unwrap().len(), 4);
    open(&directory).insert(&[future(3, &new)], at(100)).unwrap();
    assert_eq!(open(&directory).prune(week, None, at(100)).unwrap(), 4);
    assert_eq!(open(&directory).of_trace(trace_of(&left[0]), 10).unwrap(), [future(3, &new)]);
}

#[test]
fn the_oldest_spans_make_room_and_the_file_stays_small() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let most = 2 << 20;
    for trace in 0..60 {
        let origin = origin(&format!("origin {trace}"));
        let body = Bytes::from(vec![7; 1_000]);
        let spans: Vec<_> =
            (0..500).map(|number| StoredSpan { body: body.clone(), ..span(trace, number, &origin) }).collect();
        store.insert(&spans, NOW).unwrap();
        store.prune(None, Some(most), NOW).unwrap();
        assert!(store.size().unwrap() <= most);
    }
    let of = |trace| store.count_of_trace(trace_of(&span(trace, 0, &origin("")))).unwrap();
    assert_eq!((of(59), of(0)), (500, 0));
    assert_eq!(store.of_trace(trace_of(&span(59, 0, &origin(""))), 1).unwrap()[0].origin, origin("origin 59"));
    drop(store);
    let size = std::fs::metadata(directory.path().join("spans.db")).unwrap().len();
    assert!(size < 8 << 20, "{size} bytes after pruning to 2 MiB");
}

#[test]
fn a_full_disk_is_named_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store.insert(&[span(1, 0, &origin("one"))], NOW).unwrap();
    store.limit_pages(20).unwrap();
    let large = StoredSpan { body: Bytes::from(vec![7; 1 << 20]), ..span(1, 1, &origin("two")) };
    assert!(matches!(store.insert(&[large], NOW), Err(Error::Full { .. })));
    // The origin went with it, and is stored with the next one.
    store.insert(&[span(1, 2, &origin("two"))], NOW).unwrap();
    let found = store.of_trace(trace_of(&span(1, 0, &origin("one"))), 10).unwrap();
    assert_eq!(found, [span(1, 0, &origin("one")), span(1, 2, &origin("two"))]);
}

#[test]
fn a_schema_from_the_future_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(&directory));
    let database = rusqlite::Connection::open(directory.path().join("spans.db")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    assert!(matches!(SpanStore::open(directory.path(), Durability::Process), Err(Error::Newer { .. })));
}

#[test]
fn of_a_trace_that_is_too_large_the_wanted_spans_are_read_first() {
    let directory = tempfile::tempdir().unwrap();
    let (store, one) = (open(&directory), origin("one"));
    let with = |number: u64, parent: Option<u64>, start: i64, body: &'static [u8]| StoredSpan {
        parent_id: parent.map(|parent| (parent + 1).to_be_bytes()),
        start,
        body: Bytes::from_static(body),
        ..span(1, number, &one)
    };
    let mut spans: Vec<StoredSpan> = (0..100).map(|number| with(number, None, number as i64, b"elder")).collect();
    // Later: under a span that is asked for, under that one, marked, under the marked one, in the time, and a ring.
    spans.push(with(201, Some(200), 500, b"under"));
    spans.push(with(300, Some(201), 10, b"deeper"));
    spans.push(with(301, None, 501, b"has the mark"));
    spans.push(with(302, Some(301), 502, b"under it"));
    spans.push(with(303, None, 1_000, b"in the time"));
    spans.push(with(304, Some(305), 2_000, b"ring"));
    spans.push(with(305, Some(304), 2_000, b"ring"));
    store.insert(&spans, NOW).unwrap();
    let wanted = || Wanted { under: [201_u64.to_be_bytes()].into(), mark: b"the mark".to_vec(), from: 900, to: 1_100 };
    let read = |limit: usize| {
        let (read, count) = store.of_trace_wanted(trace_of(&spans[0]), limit, wanted).unwrap();
        assert_eq!(count, 107);
        let is_sorted = read.is_sorted_by_key(|span| span.start);
        assert!(is_sorted);
        read.iter().map(|span| u64::from_be_bytes(span.span_id) - 1).collect::<Vec<_>>()
    };
    assert_eq!(read(1), [300], "the first to begin");
    assert_eq!(read(4), [300, 201, 301, 302]);
    assert_eq!(read(5), [300, 201, 301, 302, 303]);
    assert_eq!(read(7), [0, 1, 300, 201, 301, 302, 303]);
    assert_eq!(read(107).len(), 107);
    let nothing = store.of_trace_wanted(trace_of(&spans[0]), 2, Wanted::default).unwrap();
    assert_eq!(nothing.0, spans[..2], "without a wish the first to begin");
}

/// What is committed between the count and the reading belongs to the next reading.
#[test]
fn a_trace_is_counted_and_read_in_one_state() {
    let directory = tempfile::tempdir().unwrap();
    let (store, one) = (open(&directory), origin("one"));
    let spans: Vec<_> = (0..10).map(|number| span(1, number, &one)).collect();
    store.insert(&spans, NOW).unwrap();
    let trace = trace_of(&spans[0]);
    let late = |number: u64| StoredSpan { parent_id: Some([7; 8]), start: -1, ..span(1, number, &one) };
    let wanted = || Wanted { under: [[7; 8]].into(), ..Wanted::default() };
    let meanwhile = || {
        store.insert(&[late(100), late(101)], NOW).unwrap();
        wanted()
    };
    let (read, count) = store.of_trace_wanted(trace, 9, meanwhile).unwrap();
    assert_eq!((read, count), (spans[..9].to_vec(), 10));
    let (read, count) = store.of_trace_wanted(trace, 2, wanted).unwrap();
    assert_eq!((read, count), (vec![late(100), late(101)], 12));
    let (read, count) = store.of_trace_counted(trace, 3).unwrap();
    assert_eq!((read, count), (vec![late(100), late(101), spans[0].clone()], 12));
}

/// A sound file that the machine cannot open at this moment is the same file at the next start.
#[test]
fn a_file_that_cannot_be_used_now_stays_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store.insert(&[span(1, 0, &origin("one"))], NOW).unwrap();
    drop(store);
    let file = directory.path().join("spans.db");
    let other = rusqlite::Connection::open(&file).unwrap();
    other.pragma_update(None, "locking_mode", "exclusive").unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let refused = SpanStore::open(directory.path(), Durability::Process);
    assert!(matches!(refused, Err(Error::Unusable { .. })), "{refused:?}");
    drop(other);
    let store = open(&directory);
    assert!(store.set_aside().is_empty());
    assert_eq!(store.count_of_trace(trace_of(&span(1, 0, &origin("")))).unwrap(), 1);
}

#[test]
fn a_chain_of_fifty_thousand_wanted_spans_is_found_in_any_order() {
    let directory = tempfile::tempdir().unwrap();
    let (store, one) = (open(&directory), origin("one"));
    // The last one first: each span is under one that is read after it.
    let chain: Vec<StoredSpan> = (0..50_000).rev().map(|number| span(1, number, &one)).collect();
    let others: Vec<StoredSpan> =
        (60_000..60_100).map(|number| StoredSpan { parent_id: None, start: 0, ..span(1, number, &one) }).collect();
    store.insert(&chain, NOW).unwrap();
    store.insert(&others, NOW).unwrap();
    let wanted = || Wanted { under: [1_u64.to_be_bytes()].into(), ..Wanted::default() };
    let (read, count) = store.of_trace_wanted(trace_of(&chain[0]), 49_999, wanted).unwrap();
    assert_eq!((read.len(), count), (49_999, 50_100));
    assert!(read.iter().all(|span| span.parent_id.is_some()));
}

/// What may have become of the file while nobody had it open.
#[test]
fn a_damaged_file_is_set_aside_and_a_new_one_begun() {
    type Damage = fn(&std::path::Path);
    let damages: [(&str, Damage); 4] = [
        ("noise", |file| std::fs::write(file, [0x5a; 20_000]).unwrap()),
        ("no header", |file| overwrite(file, 0, 4096)),
        ("a part of the header", |file| overwrite(file, 20, 60)),
        ("a directory", |file| {
            std::fs::remove_file(file).unwrap();
            std::fs::create_dir(file).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        store.insert(&[span(1, 0, &origin("one"))], NOW).unwrap();
        drop(store);
        let file = directory.path().join("spans.db");
        damage(&file);
        let store = open(&directory);
        assert_eq!(store.set_aside(), [directory.path().join("spans.db.damaged-1")], "{what}");
        assert_eq!(store.set_aside(), <[std::path::PathBuf; 0]>::default(), "{what}: told once");
        assert!(directory.path().join("spans.db.damaged-1").exists(), "{what}");
        store.insert(&[span(1, 1, &origin("two"))], NOW).unwrap();
        drop(store);
        let store = open(&directory);
        assert!(store.set_aside().is_empty());
        assert_eq!(store.count_of_trace(trace_of(&span(1, 1, &origin("")))).unwrap(), 1, "{what}");
    }
}

#[test]
fn a_file_that_turns_out_to_be_damaged_is_replaced_by_the_next_spans() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let spans: Vec<_> = (0..2_000).map(|number| span(1, number, &origin("one"))).collect();
    store.insert(&spans, NOW).unwrap();
    drop(store);
    let file = directory.path().join("spans.db");
    // All but the schema.
    let length = std::fs::metadata(&file).unwrap().len();
    overwrite(&file, 4096, usize::try_from(length - 4096).unwrap());
    let store = open(&directory);
    assert!(store.set_aside().is_empty(), "nobody has looked at the rest yet");
    assert_eq!(store.insert(&[span(1, 0, &origin("one"))], NOW).unwrap(), Inserted { new: 1, repeated: vec![] });
    assert_eq!(store.set_aside(), [directory.path().join("spans.db.damaged-1")]);
    assert_eq!(store.of_trace(trace_of(&span(1, 0, &origin(""))), 10).unwrap(), [span(1, 0, &origin("one"))]);
}

fn overwrite(file: &std::path::Path, at: u64, length: usize) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.write_all_at(&vec![0xff; length], at).unwrap();
}
