//! The S3 facade, through the client that the stock SDK has (obstore) and through the SDK's own storage module.

use std::net::SocketAddr;

use spanwise_blobs::BlobUri;
use spanwise_server::blobs::s3::{self, Access};

use super::directory::Store;
use super::http::{answer, begin, send};
use super::serve;
use crate::python;

async fn site(access: Access) -> (Store, SocketAddr) {
    let store = Store::new();
    let address = serve(s3::router(store.blobs.clone(), access)).await;
    (store, address)
}

fn key_access() -> Access {
    Access::Key { access_key: "task".to_owned(), secret_key: "secret of tasks".to_owned() }
}

/// Runs a script; its assertions are the test's.
async fn run(script: &str, address: SocketAddr, environment: &[(&str, &str)]) {
    let home = tempfile::tempdir().unwrap();
    let mut command = tokio::process::Command::new(python::with_flyte());
    command.args(["-c", script]).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home.path()).env("DO_NOT_TRACK", "1");
    command.env("FLYTE_AWS_ENDPOINT", format!("http://localhost:{}/s3", address.port()));
    command.envs(environment.iter().copied()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
}

const KEYS: [(&str, &str); 2] =
    [("FLYTE_AWS_ACCESS_KEY_ID", "task"), ("FLYTE_AWS_SECRET_ACCESS_KEY", "secret of tasks")];

#[tokio::test(flavor = "multi_thread")]
async fn obstore_does_all_it_does_with_s3() {
    let (store, address) = site(Access::Anyone).await;
    run(include_str!("obstore.py"), address, &[]).await;
    assert_eq!(store.staged(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn obstore_does_all_it_does_with_signatures_that_are_checked() {
    let (_store, address) = site(key_access()).await;
    run(include_str!("obstore.py"), address, &KEYS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stock_sdk_stores_files_directories_and_streams() {
    let (store, address) = site(Access::Anyone).await;
    run(include_str!("sdk.py"), address, &KEYS).await;
    let kept = BlobUri::from_key("sdk/dir/sub/deep.txt").unwrap();
    assert_eq!(store.blobs.get(&kept, 10).await.unwrap().unwrap(), "deep");
    assert_eq!(store.staged(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_pair_nobody_comes_in() {
    let (store, address) = site(key_access()).await;
    let script = include_str!("denied.py");
    run(script, address, &[]).await;
    run(script, address, &[KEYS[0], ("FLYTE_AWS_SECRET_ACCESS_KEY", "guess")]).await;
    run(script, address, &[("FLYTE_AWS_ACCESS_KEY_ID", "other"), KEYS[1]]).await;
    assert!(!store.blobs.exists(&BlobUri::from_key("denied").unwrap()).await.unwrap());
}

#[tokio::test]
async fn errors_are_s3_s() {
    let (store, address) = site(Access::Anyone).await;
    store.blobs.put(&BlobUri::from_key("a/b").unwrap(), "content".into()).await.unwrap();
    let cases = [
        ("GET /s3/spanwise/none", 404, "<Code>NoSuchKey</Code>"),
        ("GET /s3/spanwise/a", 404, "<Code>NoSuchKey</Code>"),
        ("GET /s3/spanwise/a/b/c", 404, "<Code>NoSuchKey</Code>"),
        ("GET /s3/spanwise/a/%2e%2e/a/b", 404, "<Code>NoSuchKey</Code>"),
        ("HEAD /s3/spanwise/none", 404, ""),
        ("GET /s3/other/a/b", 404, "<Code>NoSuchBucket</Code>"),
        ("PUT /s3/other/a", 404, "<Code>NoSuchBucket</Code>"),
        ("GET /s3/other?list-type=2", 404, "<Code>NoSuchBucket</Code>"),
        ("HEAD /s3/other", 404, ""),
        ("HEAD /s3/spanwise", 200, ""),
        ("GET /s3/spanwise?location", 200, "<LocationConstraint"),
        ("GET /s3/", 200, "<Name>spanwise</Name>"),
        ("GET /s3", 200, "<Name>spanwise</Name>"),
        ("PUT /s3/spanwise/a", 409, "<Code>KeyConflict</Code>"),
        ("PUT /s3/spanwise/a/b/c", 409, "<Code>KeyConflict</Code>"),
        ("PUT /s3/spanwise/x/%2e%2e/%2e%2e/y", 400, "<Code>InvalidArgument</Code>"),
        ("PUT /s3/spanwise/a%00b", 400, "<Code>InvalidArgument</Code>"),
        ("PUT /s3/spanwise/p?partNumber=1&uploadId=../..", 404, "<Code>NoSuchUpload</Code>"),
        ("DELETE /s3/spanwise/none", 204, ""),
        ("GET /s3/spanwise?list-type=2&delimiter=-", 501, "<Code>NotImplemented</Code>"),
        ("GET /s3/spanwise?list-type=2&continuation-token=%21", 400, "<Code>InvalidArgument</Code>"),
    ];
    for (line, status, text) in cases {
        let answer = send(address, line, &[], b"").await;
        assert_eq!(answer.status, status, "{line}: {}", answer.text());
        assert!(answer.text().contains(text), "{line}: {}", answer.text());
    }
}

#[tokio::test]
async fn ranges_are_s3_s() {
    let (store, address) = site(Access::Anyone).await;
    store.blobs.put(&BlobUri::from_key("a").unwrap(), "0123456789".into()).await.unwrap();
    let cases = [
        ("bytes=2-4", 206, "234", Some("bytes 2-4/10")),
        ("bytes=8-99", 206, "89", Some("bytes 8-9/10")),
        ("bytes=-3", 206, "789", Some("bytes 7-9/10")),
        ("bytes=-99", 206, "0123456789", Some("bytes 0-9/10")),
    ];
    for (range, status, body, content_range) in cases {
        let get = send(address, "GET /s3/spanwise/a", &[("range", range)], b"").await;
        let found = (get.status, &*get.text(), get.headers.get("content-range").map(String::as_str));
        assert_eq!(found, (status, body, content_range), "{range}");
    }
    let beyond = send(address, "GET /s3/spanwise/a", &[("range", "bytes=10-12")], b"").await;
    assert_eq!(beyond.status, 416);
    assert!(beyond.text().contains("<Code>InvalidRange</Code>"));
}

#[tokio::test]
async fn a_page_of_version_one_goes_on_at_its_last_prefix() {
    let (store, address) = site(Access::Anyone).await;
    for key in ["a/1", "a/2", "b", "c/1"] {
        store.blobs.put(&BlobUri::from_key(key).unwrap(), "".into()).await.unwrap();
    }
    let first = send(address, "GET /s3/spanwise?delimiter=%2F&max-keys=1", &[], b"").await.text();
    assert!(first.contains("<NextMarker>a/</NextMarker>") && first.contains("<Prefix>a/</Prefix>"), "{first}");
    let second = send(address, "GET /s3/spanwise?delimiter=%2F&max-keys=2&marker=a%2F", &[], b"").await.text();
    assert!(second.contains("<Key>b</Key>") && second.contains("<Prefix>c/</Prefix>"), "{second}");
    assert!(second.contains("<IsTruncated>false</IsTruncated>"), "{second}");
}

#[tokio::test]
async fn chunks_are_taken_off_and_a_wrong_length_or_digest_is_refused() {
    let (store, address) = site(Access::Anyone).await;
    let body = b"5;chunk-signature=00\r\nhello\r\n0;chunk-signature=00\r\n\r\n";
    let chunked = |length| {
        [
            ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", length),
            ("authorization", "AWS4-HMAC-SHA256 Credential=any, SignedHeaders=host, Signature=any"),
        ]
    };
    let uri = BlobUri::from_key("chunked").unwrap();
    let wrong = send(address, "PUT /s3/spanwise/chunked", &chunked("6"), body).await;
    assert!(wrong.text().contains("<Code>IncompleteBody</Code>"), "{}", wrong.text());
    let cut = send(address, "PUT /s3/spanwise/chunked", &chunked("5"), &body[..30]).await;
    assert!(cut.text().contains("<Code>IncompleteBody</Code>"), "{}", cut.text());
    let digest = [("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")];
    let other = send(address, "PUT /s3/spanwise/chunked", &digest, b"hello").await;
    assert!(other.text().contains("<Code>BadDigest</Code>"), "{}", other.text());
    assert!(!store.blobs.exists(&uri).await.unwrap());
    assert_eq!(send(address, "PUT /s3/spanwise/chunked", &chunked("5"), body).await.status, 200);
    assert_eq!(store.blobs.get(&uri, 10).await.unwrap().unwrap(), "hello");
    assert_eq!(store.staged(), 0);
}

#[tokio::test]
async fn a_form_of_a_browser_is_not_gathered_in_memory() {
    let (_store, address) = site(Access::Anyone).await;
    let form = "--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\na\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n\
                content\r\n--x--\r\n";
    let headers = [("content-type", "multipart/form-data; boundary=x")];
    let mut stream = begin(address, "POST /s3/spanwise", &headers, form.len()).await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, form.as_bytes()).await.unwrap();
    let refused = answer(stream).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("<Code>EntityTooLarge</Code>"), "{}", refused.text());
}
