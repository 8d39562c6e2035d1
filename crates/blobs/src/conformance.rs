//! What every store keeps, as cases. The tests of a store, in whatever crate, run all of them with one line:
//!
//! ```ignore
//! spanwise_blobs::conformance!(open); // fn open() -> (Blobs, impl Sized): an empty store, and what must live as long as it
//! ```
#![expect(clippy::unwrap_used, reason = "these are tests: one that cannot go on stops with the reason")]

use std::io;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use md5::{Digest as _, Md5};

use crate::{Announced, BlobUri, Blobs, ByteRange, Error, Mode, Part, Query, Refusal, Source};

/// Makes a test of each case, for a function that opens an empty store.
#[macro_export]
macro_rules! conformance {
    ($open:path) => {
        $crate::conformance!($open:
            what_is_put_is_read_and_replaced_as_a_whole,
            a_range_is_a_part_and_one_that_cannot_be_satisfied_is_nothing,
            of_many_that_create_a_name_one_does,
            a_content_that_is_not_what_was_announced_is_not_stored,
            a_body_that_breaks_off_leaves_nothing,
            what_is_being_read_is_one_content_or_an_error,
            a_copy_is_a_blob_of_its_own,
            what_is_deleted_is_gone_and_its_neighbours_are_not,
            every_key_that_is_allowed_is_a_name,
            tidying_takes_no_blob_away,
            a_list_is_sorted_by_bytes_and_comes_in_pages,
            keys_are_folded_at_their_slashes,
            an_upload_in_parts_is_one_blob_in_the_end,
            an_upload_that_is_wrong_or_over_makes_no_blob,
            a_store_that_can_be_written_says_so_and_signs_only_urls,
        );
    };
    ($open:path: $($case:ident,)*) => {
        $(#[tokio::test]
        async fn $case() {
            let (blobs, _alive) = $open();
            $crate::conformance::$case(&blobs).await;
        })*
    };
}

/// Keys that are allowed, and that a store may have trouble with.
pub const HARD_KEYS: [&str; 19] = [
    "plain",
    "C:",
    "c|",
    "a b",
    " a",
    "b ",
    "p%20q",
    "%2e%2e",
    "ü你😀",
    "x#1",
    "#1",
    "y#12/z#3",
    "q?x=1&y+z",
    "dot.",
    "..three",
    ".hidden",
    "back\\slash",
    "{^}`\"<>|*~[]'!$(),;:@",
    "deep/er/and/deeper",
];

fn uri(key: &str) -> BlobUri {
    BlobUri::from_key(key).unwrap()
}

async fn content(blobs: &Blobs, key: &str) -> Option<Bytes> {
    blobs.get(&uri(key), u64::MAX).await.unwrap()
}

async fn put(blobs: &Blobs, key: &str, content: impl Into<Bytes>) {
    blobs.put(&uri(key), content.into()).await.unwrap();
}

fn body(pieces: &[&'static str]) -> impl futures_util::Stream<Item = Result<Bytes, Source>> + Send + use<> {
    let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from(*piece))).collect();
    stream::iter(pieces)
}

/// A name leads to nothing, then to a content, then to another one with another tag.
pub async fn what_is_put_is_read_and_replaced_as_a_whole(blobs: &Blobs) {
    let name = uri("a/b");
    assert_eq!((content(blobs, "a/b").await, blobs.head(&name).await.unwrap()), (None, None));
    let first = blobs.put(&name, Bytes::from("one")).await.unwrap();
    assert_eq!((first.size, blobs.head(&name).await.unwrap()), (3, Some(first.clone())));
    assert_eq!(content(blobs, "a/b").await.unwrap(), "one");
    let second = blobs.put_stream(&name, body(&["tw", "", "o!"]), &Announced::default(), Mode::Replace).await.unwrap();
    assert_ne!(first.etag, second.etag);
    assert_eq!(content(blobs, "a/b").await.unwrap(), "two!");
    put(blobs, "empty", "").await;
    assert_eq!(content(blobs, "empty").await.unwrap(), "");
    let refused = blobs.get(&name, 3).await.unwrap_err();
    assert!(matches!(refused, Error::TooLarge { size: 4, limit: 3, .. }), "{refused:?}");
}

/// Ranges of a small blob and of one that takes several chunks.
pub async fn a_range_is_a_part_and_one_that_cannot_be_satisfied_is_nothing(blobs: &Blobs) {
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    put(blobs, "large", large.clone()).await;
    put(blobs, "small", "0123456789").await;
    let from = |first, last| ByteRange::From { first, last };
    for wanted in [from(0, None), from(7, Some(7)), from(5, Some(2_500_000)), ByteRange::Last(2_000_000)] {
        let read = blobs.content(&uri("large"), Some(wanted)).await.unwrap().unwrap();
        let range = read.range.clone().unwrap();
        assert_eq!((read.object.size, Some(&range)), (3_000_000, wanted.of(3_000_000).as_ref()));
        assert!(read.read().await.unwrap() == large[range.start as usize..range.end as usize], "{wanted:?}");
    }
    for (wanted, expected) in [(from(2, Some(4)), "234"), (from(8, Some(99)), "89"), (ByteRange::Last(3), "789")] {
        let read = blobs.content(&uri("small"), Some(wanted)).await.unwrap().unwrap();
        assert_eq!(read.read().await.unwrap(), expected);
    }
    for nothing in [from(10, None), ByteRange::Last(0), from(5, Some(4))] {
        let read = blobs.content(&uri("small"), Some(nothing)).await.unwrap().unwrap();
        assert_eq!((read.object.size, &read.range), (10, &None), "{nothing:?}");
        assert_eq!(read.read().await.unwrap(), "");
    }
    assert!(blobs.content(&uri("nothing"), Some(from(0, None))).await.unwrap().is_none());
}

/// Put-if-absent among eight at once, and after it.
pub async fn of_many_that_create_a_name_one_does(blobs: &Blobs) {
    let contents = ["0", "1", "2", "3", "4", "5", "6", "7"];
    let name = uri("a/b");
    let creations = contents.map(|content| {
        let (blobs, name) = (blobs.clone(), name.clone());
        async move { blobs.put_stream(&name, body(&[content]), &Announced::default(), Mode::Create).await }
    });
    let done: Vec<_> = stream::iter(creations).buffered(contents.len()).collect().await;
    let winners: Vec<usize> = (0..contents.len()).filter(|at| done[*at].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{done:?}");
    assert!(done.iter().flat_map(|done| done.as_ref().err()).all(|error| matches!(error, Error::Exists { .. })));
    assert_eq!(content(blobs, "a/b").await.unwrap(), contents[winners[0]]);
    put(blobs, "a/b", "replaced").await;
    let again = blobs.put_stream(&name, body(&["x"]), &Announced::default(), Mode::Create).await;
    assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
    assert_eq!(content(blobs, "a/b").await.unwrap(), "replaced");
}

/// Size, digest and limit; what was there stays.
pub async fn a_content_that_is_not_what_was_announced_is_not_stored(blobs: &Blobs) {
    put(blobs, "a", "before").await;
    let digest: [u8; 16] = Md5::digest("hello").into();
    let good = Announced { size: Some(5), md5: Some(digest), limit: Some(5) };
    let bad = [
        (Announced { size: Some(4), ..Announced::default() }, "length"),
        (Announced { size: Some(6), ..Announced::default() }, "length"),
        (Announced { md5: Some([1; 16]), ..Announced::default() }, "digest"),
        (Announced { limit: Some(4), ..Announced::default() }, "limit"),
    ];
    for (announced, what) in bad {
        for key in ["a", "new"] {
            let stored = blobs.put_stream(&uri(key), body(&["he", "llo"]), &announced, Mode::Replace).await;
            let Err(Error::Refused { reason, .. }) = stored else { panic!("{what}: {stored:?}") };
            let reason = match reason {
                Refusal::Length { .. } => "length",
                Refusal::Digest { .. } => "digest",
                Refusal::Limit { .. } => "limit",
            };
            assert_eq!(reason, what);
        }
        assert_eq!(content(blobs, "a").await.unwrap(), "before", "{what}");
        assert_eq!(content(blobs, "new").await, None, "{what}");
    }
    blobs.put_stream(&uri("a"), body(&["he", "llo"]), &good, Mode::Replace).await.unwrap();
    assert_eq!(content(blobs, "a").await.unwrap(), "hello");
}

/// A connection that ends, and a caller that goes away.
pub async fn a_body_that_breaks_off_leaves_nothing(blobs: &Blobs) {
    put(blobs, "a", "before").await;
    for key in ["a", "new"] {
        let broken = body(&["he"]).chain(stream::once(async { Err(io::Error::other("gone").into()) }));
        let stored = blobs.put_stream(&uri(key), broken, &Announced::default(), Mode::Replace).await;
        assert!(matches!(stored, Err(Error::Body { .. })), "{stored:?}");
        let endless = body(&["he"]).chain(stream::pending());
        let (name, announced) = (uri(key), Announced::default());
        let storing = blobs.put_stream(&name, endless, &announced, Mode::Replace);
        let dropped = tokio::select! {
            biased;
            stored = storing => panic!("{stored:?}"),
            () = tokio::task::yield_now() => true,
        };
        assert!(dropped);
    }
    assert_eq!(content(blobs, "a").await.unwrap(), "before");
    assert_eq!(content(blobs, "new").await, None);
}

/// A reader has one version to its end, or is told that it cannot have it.
pub async fn what_is_being_read_is_one_content_or_an_error(blobs: &Blobs) {
    let version = |digit: u8| vec![digit; 3_000_000];
    put(blobs, "a", version(b'1')).await;
    let reading = blobs.content(&uri("a"), None).await.unwrap().unwrap();
    put(blobs, "a", version(b'2')).await;
    if let Ok(read) = reading.read().await {
        assert!(read == version(b'1'), "the old content, all of it");
    }
    let reading = blobs.content(&uri("a"), None).await.unwrap().unwrap();
    blobs.delete(&uri("a")).await.unwrap();
    if let Ok(read) = reading.read().await {
        assert!(read == version(b'2'), "the old content, all of it");
    }
}

/// A copy follows neither the replacement nor the end of what it was made of.
pub async fn a_copy_is_a_blob_of_its_own(blobs: &Blobs) {
    put(blobs, "a", "one").await;
    put(blobs, "b", "before").await;
    blobs.copy(&uri("a"), &uri("b")).await.unwrap();
    blobs.copy(&uri("b"), &uri("d/c")).await.unwrap();
    blobs.copy(&uri("b"), &uri("b")).await.unwrap();
    put(blobs, "a", "two").await;
    blobs.delete(&uri("b")).await.unwrap();
    assert_eq!(content(blobs, "d/c").await.unwrap(), "one");
    let missing = blobs.copy(&uri("no"), &uri("a")).await;
    assert!(matches!(missing, Err(Error::Missing { .. })), "{missing:?}");
    assert_eq!(content(blobs, "a").await.unwrap(), "two");
}

/// Deleting is by name, or by name and everything below it; twice is as good as once.
pub async fn what_is_deleted_is_gone_and_its_neighbours_are_not(blobs: &Blobs) {
    for key in ["a/b", "a/c/d", "a/c/e", "a-b", "ab/c"] {
        put(blobs, key, key).await;
    }
    for _ in 0..2 {
        blobs.delete(&uri("a/b")).await.unwrap();
        blobs.delete(&uri("a")).await.unwrap();
        blobs.delete_prefix(&uri("a/c")).await.unwrap();
        blobs.delete_prefix(&uri("nothing")).await.unwrap();
    }
    assert_eq!(blobs.list(&uri("a")).await.unwrap(), []);
    put(blobs, "lone", "").await;
    blobs.delete_prefix(&uri("lone")).await.unwrap();
    assert!(!blobs.exists(&uri("lone")).await.unwrap());
    for key in ["a-b", "ab/c"] {
        assert_eq!(content(blobs, key).await.unwrap(), key);
    }
    put(blobs, "a", "a name that others began with").await;
}

/// Characters that a file system or a URL gives a meaning to.
pub async fn every_key_that_is_allowed_is_a_name(blobs: &Blobs) {
    let mut keys = HARD_KEYS;
    for key in keys {
        put(blobs, &format!("all/{key}"), key).await;
    }
    for key in keys {
        assert_eq!(content(blobs, &format!("all/{key}")).await.unwrap(), key);
    }
    let listed = blobs.list(&uri("all")).await.unwrap();
    let listed: Vec<&str> = listed.iter().map(|blob| &blob.uri.key()["all/".len()..]).collect();
    keys.sort_unstable();
    assert_eq!(listed, keys);
}

/// Whatever a store has beside its blobs: they stay, and so does what leads to them.
pub async fn tidying_takes_no_blob_away(blobs: &Blobs) {
    for key in ["a/b/c", "a/d", "e"] {
        put(blobs, key, key).await;
    }
    blobs.tidy(&uri("a"), SystemTime::now() + Duration::from_secs(60)).await.unwrap();
    blobs.tidy(&uri("nothing"), SystemTime::now()).await.unwrap();
    for key in ["a/b/c", "a/d", "e"] {
        assert_eq!(content(blobs, key).await.unwrap(), key);
    }
}

/// All pages of a query, each with what it has: blobs and folded prefixes.
async fn pages(blobs: &Blobs, query: Query) -> Vec<Vec<String>> {
    let (mut query, mut all) = (query, Vec::new());
    loop {
        let page = blobs.page(query.clone()).await.unwrap();
        let mut found: Vec<String> = page.blobs.iter().map(|blob| blob.uri.key().to_owned()).collect();
        found.extend(page.prefixes);
        found.sort();
        assert!(found.len() <= query.limit);
        all.push(found);
        let Some(next) = page.next else { return all };
        query.after = next;
    }
}

/// `-` is before `/`, and `0` behind it: the order is that of whole keys, not of names in folders.
pub async fn a_list_is_sorted_by_bytes_and_comes_in_pages(blobs: &Blobs) {
    let keys = ["a", "b-c", "b/c", "b/d/e", "b0", "ba", "ü"];
    for key in keys.iter().rev() {
        put(blobs, key, *key).await;
    }
    let all = |limit| Query { limit, ..Query::default() };
    for limit in 1..=keys.len() {
        let found = pages(blobs, all(limit)).await;
        assert!(found.iter().rev().skip(1).all(|page| page.len() == limit), "{found:?}");
        assert_eq!(found.concat(), keys, "pages of {limit}");
    }
    let below = pages(blobs, Query { prefix: "b/".to_owned(), ..all(9) }).await.concat();
    assert_eq!(below, ["b/c", "b/d/e"]);
    let begun = pages(blobs, Query { prefix: "b".to_owned(), after: "b/c".to_owned(), ..all(2) }).await.concat();
    assert_eq!(begun, ["b/d/e", "b0", "ba"]);
    assert_eq!(pages(blobs, Query { prefix: "c".to_owned(), ..all(9) }).await.concat(), <[String; 0]>::default());
    let first = blobs.page(all(1)).await.unwrap().blobs.remove(0);
    assert_eq!(Some(first.object), blobs.head(&uri("a")).await.unwrap());
}

/// Folded prefixes count as one each, page by page.
pub async fn keys_are_folded_at_their_slashes(blobs: &Blobs) {
    for key in ["a/1", "a/2/3", "a/2/4", "a/5", "b/6", "c"] {
        put(blobs, key, "").await;
    }
    for limit in 1..4 {
        let query = |prefix: &str| Query { prefix: prefix.to_owned(), fold: true, limit, ..Query::default() };
        assert_eq!(pages(blobs, query("")).await.concat(), ["a/", "b/", "c"]);
        assert_eq!(pages(blobs, query("a/")).await.concat(), ["a/1", "a/2/", "a/5"]);
        let after = Query { after: Query::after_all_of("a/"), ..query("") };
        assert_eq!(pages(blobs, after).await.concat(), ["b/", "c"]);
    }
    let groups = blobs.groups("a", 1).await.unwrap();
    assert_eq!(groups, [uri("a/2")]);
}

/// A part of the size that S3 asks for at least.
const PART: usize = 5 << 20;

/// Parts come in any order and may come again.
pub async fn an_upload_in_parts_is_one_blob_in_the_end(blobs: &Blobs) {
    let name = uri("a/b");
    let id = blobs.begin_upload(&name).await.unwrap();
    let part = |number: u32, byte: u8, size: usize| {
        let (blobs, name, id) = (blobs.clone(), name.clone(), id.clone());
        let content = stream::iter([Ok::<_, io::Error>(Bytes::from(vec![byte; size]))]);
        async move { blobs.put_part(&name, &id, number, content, &Announced::default()).await.unwrap() }
    };
    let last = part(7, b'c', 3).await;
    part(1, b'x', PART).await;
    let first = part(1, b'a', PART).await;
    let unused = part(4, b'b', PART).await;
    assert_ne!(first, unused);
    assert_eq!(content(blobs, "a/b").await, None);
    let parts = [(1, first), (7, last)].map(|(number, etag)| Part { number, etag: Some(etag) });
    let done = blobs.complete_upload(&name, &id, parts.to_vec(), Mode::Create).await.unwrap();
    assert_eq!((done.size, blobs.head(&name).await.unwrap()), (PART as u64 + 3, Some(done)));
    let whole = blobs.content(&name, Some(ByteRange::Last(5))).await.unwrap().unwrap().read().await.unwrap();
    assert_eq!(whole, "aaccc");
    let again = blobs.complete_upload(&name, &id, parts.to_vec(), Mode::Replace).await;
    assert!(matches!(again, Err(Error::NoUpload { .. })), "{again:?}");
}

/// Ids that were not given out, parts that were not stored, and uploads that were aborted.
pub async fn an_upload_that_is_wrong_or_over_makes_no_blob(blobs: &Blobs) {
    let (name, one) = (uri("a"), || body(&["one"]).map_err(|error: Source| error));
    let id = blobs.begin_upload(&name).await.unwrap();
    let etag = blobs.put_part(&name, &id, 1, one(), &Announced::default()).await.unwrap();
    let parts = |number, etag: &str| vec![Part { number, etag: Some(etag.to_owned()) }];
    for wrong in [parts(2, &etag), parts(1, "another")] {
        let done = blobs.complete_upload(&name, &id, wrong, Mode::Replace).await;
        assert!(matches!(done, Err(Error::BadPart { .. })), "{done:?}");
    }
    for (of, id) in [(&uri("b"), id.as_str()), (&name, "no-upload"), (&name, "../../a"), (&name, "")] {
        let part = blobs.put_part(of, id, 1, one(), &Announced::default()).await;
        assert!(matches!(part, Err(Error::NoUpload { .. })), "{id}: {part:?}");
    }
    blobs.abort_upload(&name, &id).await.unwrap();
    let done = blobs.complete_upload(&name, &id, parts(1, &etag), Mode::Replace).await;
    assert!(matches!(done, Err(Error::NoUpload { .. })), "{done:?}");
    assert_eq!(content(blobs, "a").await, None);
    assert_eq!(blobs.list(&uri("a")).await.unwrap(), []);
}

/// A probe leaves nothing; a URL is one that a client can follow.
pub async fn a_store_that_can_be_written_says_so_and_signs_only_urls(blobs: &Blobs) {
    blobs.probe().await.unwrap();
    let everything = Query { limit: 10, ..Query::default() };
    assert_eq!(pages(blobs, everything).await.concat(), <[String; 0]>::default());
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
    let url = blobs.presign(crate::Right::Read, &uri("a"), soon).await.unwrap();
    assert!(url.is_none_or(|url| url.starts_with("http://") || url.starts_with("https://")));
}
