//! Signed URLs, byte by byte.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest, Md5};
use spanwise_blobs::BlobUri;
use spanwise_server::blobs::signed::{self, Bound, Right, Signer};
use tokio::io::AsyncWriteExt;

use super::directory::Store;
use super::http::{answer, begin, send};
use super::serve;

const LIMIT: u64 = 10_000_000;

struct Site {
    store: Store,
    signer: Signer,
    address: std::net::SocketAddr,
}

impl Site {
    async fn new() -> Site {
        let store = Store::new();
        let signer = Signer::new([1; 32]);
        let address = serve(signed::router(store.blobs.clone(), signer.clone(), Some(LIMIT))).await;
        Site { store, signer, address }
    }

    fn path(&self, right: Right, key: &str) -> String {
        let uri = BlobUri::from_key(key).unwrap();
        self.signer.sign(right, &uri, SystemTime::now() + Duration::from_secs(600))
    }

    async fn stored(&self, key: &str) -> Option<Bytes> {
        self.store.blobs.get(&BlobUri::from_key(key).unwrap(), u64::MAX).await.unwrap()
    }
}

fn md5(content: &[u8]) -> String {
    STANDARD.encode(Md5::digest(content))
}

#[tokio::test]
async fn an_upload_is_stored_and_can_be_read_again() {
    let site = Site::new().await;
    let key = "p/d/GEZDG/fäst #1%.tar.gz";
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
    let headers = [("content-md5", &*md5(&content))];
    let put =
        send(site.address, &format!("PUT {}", site.path(Right::Write(Bound::default()), key)), &headers, &content)
            .await;
    assert_eq!(put.status, 200, "{}", put.text());
    assert_eq!(site.stored(key).await.unwrap(), content);

    let path = site.path(Right::Read, key);
    let get = send(site.address, &format!("GET {path}"), &[], b"").await;
    assert_eq!((get.status, get.body == content), (200, true));
    assert_eq!(get.headers["etag"], put.headers["etag"]);
    assert_eq!(get.headers["content-type"], "application/octet-stream");
    assert_eq!(get.headers["content-disposition"], "attachment");
    assert_eq!(get.headers["x-content-type-options"], "nosniff");
    let head = send(site.address, &format!("HEAD {path}"), &[("range", "bytes=1-2")], b"").await;
    assert_eq!((head.status, head.body.len(), &*head.headers["content-length"]), (200, 0, "3000000"));
}

#[tokio::test]
async fn a_range_is_a_part_of_the_blob() {
    let site = Site::new().await;
    site.store.blobs.put(&BlobUri::from_key("a").unwrap(), Bytes::from("0123456789")).await.unwrap();
    let line = format!("GET {}", site.path(Right::Read, "a"));
    let cases = [
        ("bytes=0-0", 206, "0", Some("bytes 0-0/10")),
        ("bytes=3-5", 206, "345", Some("bytes 3-5/10")),
        ("bytes=7-", 206, "789", Some("bytes 7-9/10")),
        ("bytes=8-99", 206, "89", Some("bytes 8-9/10")),
        ("bytes=-4", 206, "6789", Some("bytes 6-9/10")),
        ("bytes=-99", 206, "0123456789", Some("bytes 0-9/10")),
        ("bytes=10-", 416, "", Some("bytes */10")),
        ("bytes=-0", 416, "", Some("bytes */10")),
        ("bytes=5-3", 200, "0123456789", None),
        ("lines=1-2", 200, "0123456789", None),
    ];
    for (range, status, body, content_range) in cases {
        let get = send(site.address, &line, &[("range", range)], b"").await;
        let found = (get.status, &*get.text(), get.headers.get("content-range").map(String::as_str));
        assert_eq!(found, (status, body, content_range), "{range}");
    }
}

#[tokio::test]
async fn a_report_is_shown_and_has_no_origin() {
    let site = Site::new().await;
    site.store.blobs.put(&BlobUri::from_key("r/report.html").unwrap(), Bytes::from("<b>")).await.unwrap();
    let get = send(site.address, &format!("GET {}", site.path(Right::Read, "r/report.html")), &[], b"").await;
    assert_eq!(get.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(get.headers["content-security-policy"], "sandbox allow-scripts allow-popups");
    assert_eq!(get.headers["x-content-type-options"], "nosniff");
    assert_eq!(get.headers.get("content-disposition"), None);
}

#[tokio::test]
async fn nothing_but_a_report_is_shown() {
    let site = Site::new().await;
    let evil = Bytes::from("<script>alert(1)</script>");
    for key in ["r/evil.html", "report.html/x", "r/report.html.html"] {
        site.store.blobs.put(&BlobUri::from_key(key).unwrap(), evil.clone()).await.unwrap();
    }
    let (read, write) = (Right::Read, Right::Write(Bound::default()));
    let asked = [
        ("GET", site.path(read, "r/evil.html"), 200),
        ("HEAD", site.path(read, "r/evil.html"), 200),
        ("GET", site.path(read, "report.html/x"), 200),
        ("GET", site.path(read, "r/report.html.html"), 200),
        ("GET", site.path(read, "r/report.html"), 404),
        ("POST", site.path(read, "r/evil.html"), 405),
        ("GET", site.path(write, "r/evil.html"), 405),
        ("GET", "/blob/x/r/report.html".to_owned(), 403),
        ("GET", "/blob/x/%3Cscript%3E".to_owned(), 403),
    ];
    for (method, path, status) in asked {
        let answer = send(site.address, &format!("{method} {path}"), &[], b"").await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.headers["content-security-policy"], "sandbox", "{method} {path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{method} {path}");
        assert_eq!(answer.headers["content-disposition"], "attachment", "{method} {path}");
    }
}

/// A content, and the headers that it is sent with.
type Sent<'a> = (&'a [u8], &'a [(&'a str, &'a str)]);

#[tokio::test]
async fn a_url_stores_the_content_that_it_was_made_for_and_no_other() {
    let site = Site::new().await;
    let content = b"content";
    let digest: [u8; 16] = Md5::digest(content).into();
    let bounds = [
        Bound { md5: Some(digest), size: Some(7) },
        Bound { md5: Some(digest), size: None },
        Bound { md5: None, size: Some(7) },
    ];
    for bound in bounds {
        let line = format!("PUT {}", site.path(Right::Write(bound), "a"));
        // Neither what the headers say nor what they leave out makes a difference.
        let others: [Sent<'_>; 3] =
            [(b"other content", &[]), (b"other content", &[("content-md5", &md5(b"other content"))]), (b"conten", &[])];
        for (other, headers) in others {
            let refused = send(site.address, &line, headers, other).await;
            assert_eq!(refused.status, 400, "{bound:?} {}", refused.text());
            assert!(refused.text().contains("announced"), "{}", refused.text());
        }
        assert_eq!(site.stored("a").await, None, "{bound:?}");
        assert_eq!(send(site.address, &line, &[("content-md5", &md5(content))], content).await.status, 200);
        assert_eq!(send(site.address, &line, &[], content).await.status, 200);
        assert_eq!(site.stored("a").await.as_deref(), Some(&content[..]));
        site.store.blobs.delete(&BlobUri::from_key("a").unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn a_content_that_was_not_announced_is_not_stored() {
    let site = Site::new().await;
    let line = format!("PUT {}", site.path(Right::Write(Bound::default()), "a"));
    let other = md5(b"other");
    let wrong = send(site.address, &line, &[("content-md5", &other)], b"content").await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains(&format!("{other} was announced")), "{}", wrong.text());
    for digest in ["", "x", "bm90IGFuIG1kNQ=="] {
        let malformed = send(site.address, &line, &[("content-md5", digest)], b"content").await;
        assert_eq!((malformed.status, &*malformed.text()), (400, "content-md5 is not an MD5 digest in base64\n"));
    }
    assert_eq!(site.stored("a").await, None);
    assert_eq!(site.store.staged(), 0);
}

#[tokio::test]
async fn an_upload_over_the_limit_is_refused_with_or_without_a_length() {
    let site = Site::new().await;
    let line = format!("PUT {}", site.path(Right::Write(Bound::default()), "a"));
    let stream = begin(site.address, &line, &[], LIMIT as usize + 1).await;
    let refused = answer(stream).await;
    assert_eq!(refused.status, 413);
    assert!(refused.text().contains("10000000 bytes that are allowed"), "{}", refused.text());

    // Chunked: nothing is known of its length before its end.
    let head = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut stream = tokio::net::TcpStream::connect(site.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [format!("{:x}\r\n", LIMIT + 1).into_bytes(), vec![0; LIMIT as usize + 1]].concat();
    stream.write_all(&chunk).await.unwrap();
    assert_eq!(answer(stream).await.status, 413);
    assert_eq!(site.stored("a").await, None);
    assert_eq!(site.store.staged(), 0);
}

#[tokio::test]
async fn an_upload_that_is_cut_off_leaves_what_was_there() {
    let site = Site::new().await;
    site.store.blobs.put(&BlobUri::from_key("a").unwrap(), Bytes::from("before")).await.unwrap();
    let mut stream =
        begin(site.address, &format!("PUT {}", site.path(Right::Write(Bound::default()), "a")), &[], 5_000_000).await;
    stream.write_all(&vec![0; 2_500_000]).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while site.store.staged() == 0 {
        assert!(tokio::time::Instant::now() < deadline, "the upload never began");
        tokio::task::yield_now().await;
    }
    drop(stream);
    while site.store.staged() > 0 {
        assert!(tokio::time::Instant::now() < deadline, "the upload's file stays");
        tokio::task::yield_now().await;
    }
    assert_eq!(site.stored("a").await.unwrap(), "before");
}

#[tokio::test]
async fn only_the_right_method_at_the_right_time_for_the_right_blob() {
    let site = Site::new().await;
    let put = site.path(Right::Write(Bound::default()), "a");
    let get = site.path(Right::Read, "a");
    let past = SystemTime::now() - Duration::from_secs(1);
    let expired = site.signer.sign(Right::Read, &BlobUri::from_key("a").unwrap(), past);
    let cases = [
        (format!("GET {get}"), 404, "s3://spanwise/a` does not exist"),
        (format!("HEAD {get}"), 404, ""),
        (format!("GET {put}"), 405, ""),
        (format!("POST {put}"), 405, ""),
        (format!("PUT {get}"), 405, ""),
        (format!("DELETE {get}"), 405, ""),
        (format!("GET {expired}"), 403, "the URL has expired"),
        (format!("GET {get}x"), 403, "not one that this server has signed"),
        (format!("GET {}", get.replacen("/blob/", "/blob/x", 1)), 403, "not one that this server has signed"),
        (format!("GET {}/../b", get), 403, "not one that this server has signed"),
        ("GET /blob/x/a".to_owned(), 403, "not one that this server has signed"),
        ("GET /blob/x".to_owned(), 404, ""),
    ];
    for (line, status, text) in cases {
        let answer = send(site.address, &line, &[], b"").await;
        assert_eq!(answer.status, status, "{line}: {}", answer.text());
        assert!(answer.text().contains(text), "{line}: {}", answer.text());
    }
    assert_eq!(send(site.address, &format!("POST {put}"), &[], b"").await.headers["allow"], "PUT");
}

#[tokio::test]
async fn a_name_that_is_a_directory_is_a_conflict() {
    let site = Site::new().await;
    site.store.blobs.put(&BlobUri::from_key("a/b").unwrap(), Bytes::new()).await.unwrap();
    let put = send(site.address, &format!("PUT {}", site.path(Right::Write(Bound::default()), "a")), &[], b"x").await;
    assert_eq!(put.status, 409, "{}", put.text());
}
