//! Where an upload of a driver goes: a name that is made of what the client asks for, and that never leaves its project and domain.

use data_encoding::BASE32_NOPAD;
use spanwise_blobs::{BadUri, BlobUri};

/// How much of a field an error shows.
const SHOWN: usize = 200;

/// Why there is no place for an upload; the text names the field of the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadUpload {
    /// A field cannot be a part of a name.
    #[error("{field} `{value}` cannot be a part of a blob's name: {reason}")]
    Field {
        /// The field's name in the request.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The digest is neither empty nor of MD5's length.
    #[error("content_md5 has {0} bytes: an MD5 digest has 16")]
    Digest(usize),
    /// Nothing tells this upload from others of the same file name.
    #[error("content_md5 and filename_root are both empty: one of them is needed to name the upload")]
    Nameless,
    /// Each field is fine, together they are too long.
    #[error("project, domain, filename_root and filename together: {0}")]
    Name(#[from] BadUri),
}

/// Names an upload: `uploads/<project>/<domain>/<base32 of the MD5 digest>/<filename>`, or `uploads/<project>/<domain>/<filename_root>/<filename>` if
/// the client gives a root. The file name and the root may have several segments: a directory is uploaded file by file under one root.
///
/// # Errors
///
/// [`BadUpload`], which names the field at fault.
pub fn upload_uri(
    project: &str,
    domain: &str,
    filename_root: Option<&str>,
    content_md5: &[u8],
    filename: &str,
) -> Result<BlobUri, BadUpload> {
    check("project", project, false)?;
    check("domain", domain, false)?;
    check("filename", filename, true)?;
    let digest = <[u8; 16]>::try_from(content_md5);
    let group = match (filename_root.filter(|root| !root.is_empty()), digest) {
        (_, Err(_)) if !content_md5.is_empty() => return Err(BadUpload::Digest(content_md5.len())),
        (Some(root), _) => {
            check("filename_root", root, true)?;
            root.to_owned()
        }
        // Without padding: `=` would have to be encoded in URLs.
        (None, Ok(digest)) => BASE32_NOPAD.encode(&digest),
        (None, Err(_)) => return Err(BadUpload::Nameless),
    };
    Ok(BlobUri::from_key(&format!("uploads/{project}/{domain}/{group}/{filename}"))?)
}

fn check(field: &'static str, value: &str, may_nest: bool) -> Result<(), BadUpload> {
    let reason = if value.is_empty() {
        "it is empty"
    } else if value.starts_with('/') {
        "it is an absolute path"
    } else if !may_nest && value.contains('/') {
        "it has a `/`"
    } else if value.split('/').any(str::is_empty) {
        "it has an empty segment"
    } else if value.split('/').any(|segment| segment == "." || segment == "..") {
        "it has a segment `.` or `..`"
    } else if value.chars().any(char::is_control) {
        "it has a control character"
    } else if BlobUri::from_key(value).is_err() {
        "it is too long"
    } else {
        return Ok(());
    };
    Err(BadUpload::Field { field, value: value.chars().take(SHOWN).collect(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Project, domain, root, digest and file name.
    type Request<'a> = (&'a str, &'a str, Option<&'a str>, &'a [u8], &'a str);

    const MD5: [u8; 16] = *b"0123456789abcdef";

    #[test]
    fn an_upload_is_named_by_its_digest_or_its_root() {
        let named = |root, md5: &[u8], name| upload_uri("p", "d", root, md5, name).unwrap().to_string();
        let by_digest = "s3://spanwise/uploads/p/d/GAYTEMZUGU3DOOBZMFRGGZDFMY/fast.tar.gz";
        assert_eq!(named(None, &MD5, "fast.tar.gz"), by_digest);
        assert_eq!(named(Some(""), &MD5, "fast.tar.gz"), by_digest);
        assert_eq!(named(Some("dir-1"), &MD5, "sub/ä b.txt"), "s3://spanwise/uploads/p/d/dir-1/sub/ä b.txt");
        assert_eq!(
            named(Some("tracked-runs/r/a0/1"), &[], "outputs.pb"),
            "s3://spanwise/uploads/p/d/tracked-runs/r/a0/1/outputs.pb"
        );
    }

    #[test]
    fn a_name_that_leaves_its_place_is_refused_by_its_field() {
        let long = "x".repeat(241);
        let cases: [(Request<'_>, &str); 16] = [
            (("", "d", None, &MD5, "f"), "project `` cannot be a part of a blob's name: it is empty"),
            (("p/..", "d", None, &MD5, "f"), "project `p/..` cannot be a part of a blob's name: it has a `/`"),
            (("..", "d", None, &MD5, "f"), "project `..`"),
            (("p", "", None, &MD5, "f"), "domain ``"),
            (("p", "a/b", None, &MD5, "f"), "domain `a/b`"),
            (("p", "d", None, &MD5, ""), "filename `` cannot be a part of a blob's name: it is empty"),
            (("p", "d", None, &MD5, "/etc/passwd"), "it is an absolute path"),
            (
                ("p", "d", None, &MD5, "../../x"),
                "filename `../../x` cannot be a part of a blob's name: it has a segment `.` or `..`",
            ),
            (("p", "d", None, &MD5, "a//b"), "it has an empty segment"),
            (("p", "d", None, &MD5, "a/"), "it has an empty segment"),
            (("p", "d", None, &MD5, "a\0"), "it has a control character"),
            (("p", "d", None, &MD5, &long), "it is too long"),
            (("p", "d", Some("../q"), &MD5, "f"), "filename_root `../q`"),
            (("p", "d", Some("/q"), &MD5, "f"), "filename_root `/q`"),
            (("p", "d", None, &[], "f"), "content_md5 and filename_root are both empty"),
            (("p", "d", None, &MD5[..4], "f"), "content_md5 has 4 bytes"),
        ];
        for ((project, domain, root, md5, name), expected) in cases {
            let error = upload_uri(project, domain, root, md5, name).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
