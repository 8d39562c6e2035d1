//! What the handle makes of a store: files outside of it, and readers that leave most of a blob out.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use bytes::Bytes;
use spanwise_blobs::{BlobUri, Reader};

use super::directory::Store;

fn uri(key: &str) -> BlobUri {
    BlobUri::from_key(key).unwrap()
}

#[tokio::test]
async fn a_blob_is_written_to_a_file_with_its_digest() {
    let store = Store::new();
    let file = store.directory.path().join("program");
    assert_eq!(store.blobs.export(&uri("a"), &file).await.unwrap(), None);
    store.blobs.put(&uri("a"), Bytes::from("hello")).await.unwrap();
    let digest = store.blobs.export(&uri("a"), &file).await.unwrap().unwrap();
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(std::fs::read(&file).unwrap(), b"hello");
    let nowhere = store.directory.path().join("no/folder");
    let error = store.blobs.export(&uri("a"), &nowhere).await.unwrap_err().to_string();
    assert!(error.starts_with("copy `s3://spanwise/a` in the blob store"), "{error}");
}

#[tokio::test]
async fn a_reader_moves_about_in_a_blob_of_any_size() {
    let store = Store::new();
    let content: Vec<u8> = (0..2_000_000_u32).map(|number| (number % 253) as u8).collect();
    store.blobs.put(&uri("a"), content.clone().into()).await.unwrap();
    let name = uri("a");
    let read = store.blobs.skim(&name, |reader| {
        let size = reader.seek(SeekFrom::End(0))?;
        let (mut nothing, mut parts) = (Vec::new(), Vec::new());
        reader.read_to_end(&mut nothing)?;
        for (to, length) in [
            (SeekFrom::Start(0), 3),
            (SeekFrom::Current(2), 5),
            (SeekFrom::Current(1_000_000), 600_000),
            (SeekFrom::Current(-600_005), 10),
            (SeekFrom::End(-4), 4),
        ] {
            let at = reader.seek(to)? as usize;
            let mut part = vec![0; length];
            reader.read_exact(&mut part)?;
            parts.push((at, part));
        }
        reader.rewind()?;
        let mut whole = Vec::new();
        reader.read_to_end(&mut whole)?;
        Ok((size, nothing, parts, whole))
    });
    let (size, nothing, parts, whole) = read.await.unwrap().unwrap();
    assert_eq!((size, nothing), (2_000_000, Vec::new()));
    assert_eq!(parts.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 5, 1_000_010, 1_000_005, 1_999_996]);
    for (at, part) in parts {
        assert!(part == content[at..at + part.len()], "at {at}");
    }
    assert!(whole == content);
    assert!(store.blobs.skim(&uri("b"), |_| Ok(())).await.unwrap().is_none());
}

/// Whoever reads in part waits for the threads for the disk, and must not be one of them.
#[test]
fn many_are_read_in_part_at_once_whatever_threads_there_are_for_the_disk() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let store = Store::new();
        let content = Bytes::from(vec![7; 600_000]);
        store.blobs.put(&uri("a"), content.clone()).await.unwrap();
        let skim = || async {
            let whole = |reader: &mut Reader| {
                let mut whole = Vec::new();
                reader.read_to_end(&mut whole).map(|_| whole)
            };
            store.blobs.skim(&uri("a"), whole).await.unwrap().unwrap()
        };
        let all = futures_util::future::join_all((0..20).map(|_| skim()));
        let all = tokio::time::timeout(Duration::from_secs(60), all).await.expect("nobody waits for ever");
        assert!(all.iter().all(|read| *read == content));
        let panics =
            store.blobs.skim(&uri("a"), |_| -> std::io::Result<()> { panic!("a fault of whoever reads") }).await;
        assert!(panics.unwrap_err().to_string().contains("read `s3://spanwise/a`"));
    });
}
