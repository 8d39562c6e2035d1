//! The store itself: names, atomicity, and what it does when the disk is full.

use std::io;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use futures_util::stream;
use spanwise_blobs::conformance::HARD_KEYS;
use spanwise_blobs::{Announced, BlobUri, Blobs, Error, Mode};
use spanwise_core::Durability;

use super::directory::Store;

fn uri(key: &str) -> BlobUri {
    BlobUri::from_key(key).unwrap()
}

#[tokio::test]
async fn any_name_that_is_allowed_is_kept_as_it_is() {
    let store = Store::new();
    let mut keys = HARD_KEYS;
    for key in keys {
        store.blobs.put(&uri(key), Bytes::from(key)).await.unwrap();
    }
    for key in keys {
        let content = store.blobs.get(&uri(key), 1024).await.unwrap().unwrap();
        assert_eq!(content, key);
    }
    for key in keys {
        store.blobs.put(&uri("all").join(key).unwrap(), Bytes::new()).await.unwrap();
    }
    let listed = store.blobs.list(&uri("all")).await.unwrap();
    let listed: Vec<&str> = listed.iter().map(|blob| &blob.uri.key()["all/".len()..]).collect();
    keys.sort_unstable();
    assert_eq!(listed, keys);
}

#[tokio::test]
async fn a_blob_is_replaced_copied_and_deleted() {
    let store = Store::new();
    let (a, b, c) = (uri("d/a"), uri("d/sub/b"), uri("e/c"));
    assert_eq!(store.blobs.get(&a, 10).await.unwrap(), None);
    let first = store.blobs.put(&a, Bytes::from("one")).await.unwrap();
    assert_eq!(store.blobs.head(&a).await.unwrap(), Some(first.clone()));
    let second = store.blobs.put(&a, Bytes::from("two")).await.unwrap();
    assert_ne!(first.etag, second.etag);
    for _ in 0..2 {
        // The second copy goes onto a name of the very file.
        store.blobs.copy(&a, &b).await.unwrap();
        store.blobs.copy(&b, &c).await.unwrap();
        store.blobs.copy(&c, &c).await.unwrap();
        assert_eq!(store.staged(), 0);
    }
    store.blobs.put(&a, Bytes::from("three")).await.unwrap();
    assert_eq!(store.blobs.get(&b, 10).await.unwrap().unwrap(), "two");
    assert!(matches!(store.blobs.copy(&uri("no"), &b).await, Err(Error::Missing { .. })));
    store.blobs.delete_prefix(&uri("d")).await.unwrap();
    assert_eq!(store.blobs.list(&uri("d")).await.unwrap(), []);
    assert!(store.blobs.exists(&c).await.unwrap());
    for _ in 0..2 {
        store.blobs.delete(&c).await.unwrap();
        store.blobs.delete_prefix(&uri("d")).await.unwrap();
    }
    // Directories that hold nothing any more are in nobody's way.
    store.blobs.put(&uri("d"), Bytes::new()).await.unwrap();
    store.blobs.put(&uri("e"), Bytes::new()).await.unwrap();
}

#[tokio::test]
async fn a_blob_can_be_copied_more_often_than_a_file_can_have_names() {
    let store = Store::new();
    store.blobs.put(&uri("a"), Bytes::from("content")).await.unwrap();
    let file = store.directory.path().join("blobs/spanwise/a");
    let names = store.directory.path().join("names");
    std::fs::create_dir(&names).unwrap();
    // ext4 stops at 65,000; where there is no such limit the copy is a name as always.
    let full = (0..70_000).any(|number| std::fs::hard_link(&file, names.join(number.to_string())).is_err());
    let copied = store.blobs.copy(&uri("a"), &uri("b")).await.unwrap();
    assert_eq!(store.blobs.get(&uri("b"), 10).await.unwrap().unwrap(), "content");
    let original = store.blobs.head(&uri("a")).await.unwrap().unwrap();
    assert_eq!(copied.etag != original.etag, full);
    assert_eq!(store.staged(), 0);
}

#[tokio::test]
async fn a_reader_states_how_much_it_can_take() {
    let store = Store::new();
    store.blobs.put(&uri("a"), Bytes::from("12345")).await.unwrap();
    assert!(store.blobs.get(&uri("a"), 5).await.unwrap().is_some());
    let error = store.blobs.get(&uri("a"), 4).await.unwrap_err();
    assert_eq!(error.to_string(), "read `s3://spanwise/a`: it has 5 bytes, the limit is 4");
}

#[tokio::test]
async fn a_name_cannot_be_a_blob_and_a_directory() {
    let store = Store::new();
    store.blobs.put(&uri("a/b"), Bytes::from("kept")).await.unwrap();
    for key in ["a", "a/b/c", "a/b/c/d"] {
        let error = store.blobs.put(&uri(key), Bytes::new()).await.unwrap_err();
        assert!(matches!(&error, Error::Conflict { uri, .. } if uri.key() == key), "{error:?}");
        assert_eq!(store.blobs.get(&uri(key), 10).await.unwrap(), None, "{key}");
        store.blobs.delete(&uri(key)).await.unwrap();
    }
    assert!(matches!(store.blobs.copy(&uri("a/b"), &uri("a")).await, Err(Error::Conflict { .. })));
    assert_eq!(store.blobs.get(&uri("a/b"), 10).await.unwrap().unwrap(), "kept");
    assert_eq!(store.staged(), 0);
}

#[tokio::test]
async fn of_two_that_create_a_name_one_does() {
    let store = Store::new();
    let create = |content: &'static str| {
        let body = stream::iter([Ok::<_, io::Error>(Bytes::from(content))]);
        let blobs = store.blobs.clone();
        async move { blobs.put_stream(&uri("a/b"), body, &Announced::default(), Mode::Create).await }
    };
    let (first, second) = tokio::join!(create("first"), create("second"));
    assert!(first.is_ok() != second.is_ok());
    let refused = first.and(second).unwrap_err();
    assert_eq!(refused.to_string(), "create `s3://spanwise/a/b`: it exists");
    assert_eq!(store.staged(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_name_that_is_written_all_the_time_see_whole_blobs() {
    let store = Store::new();
    let name = uri("shared/name");
    store.blobs.put(&name, vec![b'0'; 3_000_000].into()).await.unwrap();
    let writers = (b'1'..=b'4').map(|digit| {
        let (blobs, name) = (store.blobs.clone(), name.clone());
        tokio::spawn(async move {
            for _ in 0..5 {
                blobs.put(&name, vec![digit; 3_000_000].into()).await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    while writers.iter().any(|writer| !writer.is_finished()) {
        let content = store.blobs.get(&name, 3_000_000).await.unwrap().unwrap();
        assert_eq!(content.len(), 3_000_000);
        assert!(content.iter().all(|digit| *digit == content[0]));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(store.staged(), 0);
}

#[tokio::test]
async fn what_a_dead_process_left_unfinished_is_gone_after_the_next_start() {
    let store = Store::new();
    store.blobs.put(&uri("a"), Bytes::from("kept")).await.unwrap();
    let blobs = store.directory.path().join("blobs");
    std::fs::write(blobs.join("staging/7#1"), "half").unwrap();
    drop(store.blobs);
    let reopened = Blobs::open(&blobs, Durability::Disk).unwrap();
    assert_eq!(std::fs::read_dir(blobs.join("staging")).unwrap().count(), 0);
    assert_eq!(reopened.get(&uri("a"), 10).await.unwrap().unwrap(), "kept");
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Blobs::open(&file.join("blobs"), Durability::Disk).unwrap_err();
    assert!(error.to_string().contains("file/blobs"), "{error}");
}

/// Set for the process of [`on_a_small_disk`].
const SMALL_DISK: &str = "SPANWISE_TEST_SMALL_DISK";

/// Runs [`on_a_small_disk`] where a disk of 4 MiB can be mounted: in a namespace of its own. A system that does not let its users have
/// one leaves this to the unit test of the error's sorting.
#[test]
fn a_full_disk_is_an_error_that_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-ec", script]);
        command.env(SMALL_DISK, directory.path()).env("TEST", std::env::current_exe().unwrap());
        command.output()
    };
    const MOUNT: &str = "mount -t tmpfs -o size=4m none $SPANWISE_TEST_SMALL_DISK";
    if !unshare(MOUNT).is_ok_and(|output| output.status.success()) {
        return;
    }
    let output = unshare(&format!("{MOUNT}; exec $TEST --exact store::on_a_small_disk")).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn on_a_small_disk() {
    let Some(disk) = std::env::var_os(SMALL_DISK) else { return };
    let directory = Path::new(&disk).join("blobs");
    let blobs = Blobs::open(&directory, Durability::Disk).unwrap();
    let kept = Bytes::from(vec![1; 1_500_000]);
    blobs.put(&uri("kept"), kept.clone()).await.unwrap();
    for name in ["new", "kept"] {
        let chunks = stream::iter((0..8).map(|_| Ok::<_, io::Error>(Bytes::from(vec![2; 1_000_000]))));
        let error = blobs.put_stream(&uri(name), chunks, &Announced::default(), Mode::Replace).await.unwrap_err();
        assert!(matches!(error, Error::DiskFull { .. }), "{error:?}");
        assert!(error.to_string().contains(directory.to_str().unwrap()), "{error}");
    }
    assert_eq!(blobs.get(&uri("new"), u64::MAX).await.unwrap(), None);
    assert_eq!(blobs.get(&uri("kept"), u64::MAX).await.unwrap().unwrap(), kept);
    // What was written in vain is given back.
    blobs.put(&uri("other"), Bytes::from(vec![3; 1_500_000])).await.unwrap();
}
