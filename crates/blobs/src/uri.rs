//! Names of blobs: `s3://spanwise/<key>`, checked once so that no later step has to ask whether a key leaves the store.

use std::fmt;
use std::str::FromStr;

/// The only bucket of the store.
pub const BUCKET: &str = "spanwise";

/// S3's limit on the length of a key, in bytes of UTF-8.
const MAX_KEY: usize = 1024;

/// The longest segment, in bytes of its file name: the 255 of Linux's file systems, less what a name needs while its content is
/// written.
const MAX_SEGMENT: usize = 240;

/// A name of a blob, or of what a group of blobs has in common (`parent`).
///
/// A key is one or more segments with `/` between them. No segment is empty, `.` or `..`, and none holds a control character;
/// everything else, percent signs included, stands for itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobUri {
    key: String,
}

/// Why a text is not the name of a blob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the name of a blob: {reason}")]
pub struct BadUri {
    text: String,
    reason: Reason,
}

/// How much of a text an error shows.
const SHOWN: usize = 200;

impl BadUri {
    fn new(text: &str, reason: Reason) -> BadUri {
        let mut shown: String = text.chars().take(SHOWN).collect();
        if text.len() > shown.len() {
            shown.push('…');
        }
        BadUri { text: shown, reason }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("it does not begin with `s3://{BUCKET}/`")]
    Elsewhere,
    #[error("the key has an empty segment (a `/` at its begin or end, or two in a row)")]
    EmptySegment,
    #[error("`.` and `..` are not allowed as segments")]
    DotSegment,
    #[error("it holds a control character")]
    Control,
    #[error("the key has {0} bytes, the limit is {MAX_KEY}")]
    LongKey(usize),
    #[error("a segment has {0} bytes, the limit is {MAX_SEGMENT}")]
    LongSegment(usize),
}

impl BlobUri {
    /// Checks a key, the part after `s3://spanwise/`.
    ///
    /// # Errors
    ///
    /// When the key is empty, too long, or has a segment that is not allowed.
    pub fn from_key(key: &str) -> Result<BlobUri, BadUri> {
        check(key).map_err(|reason| BadUri::new(&format!("s3://{BUCKET}/{key}"), reason))?;
        Ok(BlobUri { key: key.to_owned() })
    }

    /// The name in the bucket, without a leading `/`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The last segment.
    #[must_use]
    pub fn name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or(&self.key)
    }

    /// The name of something below this one; `segment` may have several segments.
    ///
    /// # Errors
    ///
    /// As [`BlobUri::from_key`].
    pub fn join(&self, segment: &str) -> Result<BlobUri, BadUri> {
        BlobUri::from_key(&format!("{}/{segment}", self.key))
    }

    /// The name without its last segment, if there is more than one.
    #[must_use]
    pub fn parent(&self) -> Option<BlobUri> {
        self.key.rsplit_once('/').map(|(parent, _)| BlobUri { key: parent.to_owned() })
    }

    /// Where the blob lies below the store's directory, with `/` between the segments.
    pub(crate) fn file(&self) -> String {
        let segments: Vec<String> = self.key.split('/').map(encode).collect();
        format!("{BUCKET}/{}", segments.join("/"))
    }
}

/// The file name of a segment. The file system behind the store marks unfinished files with `#` and takes `C:` and `c|` for drives, so
/// these are encoded, and with them `%`, which begins what is encoded.
pub(crate) fn encode(segment: &str) -> String {
    match segment.as_bytes() {
        [drive, b':'] if drive.is_ascii_alphabetic() => segment.replace(':', "%3A"),
        [drive, b'|'] if drive.is_ascii_alphabetic() => segment.replace('|', "%7C"),
        _ => segment.replace('%', "%25").replace('#', "%23"),
    }
}

/// The segment of a file name, or none for a file that no blob owns.
pub(crate) fn decode(name: &str) -> Option<String> {
    let segment = name.replace("%3A", ":").replace("%7C", "|").replace("%23", "#").replace("%25", "%");
    (encode(&segment) == name).then_some(segment)
}

fn check(key: &str) -> Result<(), Reason> {
    if key.len() > MAX_KEY {
        return Err(Reason::LongKey(key.len()));
    }
    for segment in key.split('/') {
        if segment.is_empty() {
            return Err(Reason::EmptySegment);
        }
        if segment == "." || segment == ".." {
            return Err(Reason::DotSegment);
        }
        if segment.chars().any(char::is_control) {
            return Err(Reason::Control);
        }
        let length = encode(segment).len();
        if length > MAX_SEGMENT {
            return Err(Reason::LongSegment(length));
        }
    }
    Ok(())
}

impl FromStr for BlobUri {
    type Err = BadUri;

    fn from_str(text: &str) -> Result<BlobUri, BadUri> {
        let bad = |reason| BadUri::new(text, reason);
        let key = text
            .strip_prefix("s3://")
            .and_then(|rest| rest.strip_prefix(BUCKET))
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| bad(Reason::Elsewhere))?;
        check(key).map_err(bad)?;
        Ok(BlobUri { key: key.to_owned() })
    }
}

impl fmt::Display for BlobUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{BUCKET}/{}", self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_what_it_was_parsed_from() {
        let longest = format!("s3://spanwise/{}", vec!["x".repeat(203); 5].join("/") + "/end");
        let texts = [
            "s3://spanwise/a",
            "s3://spanwise/a/b/c.pb",
            "s3://spanwise/%2e%2e/..a/a../.../%2F",
            "s3://spanwise/Grüße 你好/a b+c=d#1?e&f~\\{}^`\"<>|*",
            "s3://spanwise/.hidden/trailing.",
            longest.as_str(),
        ];
        for text in texts {
            assert_eq!(text.parse::<BlobUri>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_uri_that_could_leave_the_store_is_refused() {
        let long = format!("s3://spanwise/{}", vec!["x".repeat(204); 5].join("/") + "/end");
        let wide = format!("s3://spanwise/{}", "#".repeat(81));
        let cases = [
            ("", "does not begin with"),
            ("/etc/passwd", "does not begin with"),
            ("spanwise/a", "does not begin with"),
            ("file:///spanwise/a", "does not begin with"),
            ("s3://other/a", "does not begin with"),
            ("s3://spanwise", "does not begin with"),
            ("s3://spanwisely/a", "does not begin with"),
            ("S3://spanwise/a", "does not begin with"),
            ("s3://spanwise/", "empty segment"),
            ("s3://spanwise//a", "empty segment"),
            ("s3://spanwise/a/", "empty segment"),
            ("s3://spanwise/a//b", "empty segment"),
            ("s3://spanwise/..", "not allowed as segments"),
            ("s3://spanwise/../a", "not allowed as segments"),
            ("s3://spanwise/a/../../b", "not allowed as segments"),
            ("s3://spanwise/a/./b", "not allowed as segments"),
            ("s3://spanwise/a/..", "not allowed as segments"),
            ("s3://spanwise/a\0b", "control character"),
            ("s3://spanwise/a\nb", "control character"),
            ("s3://spanwise/a\u{85}b", "control character"),
            (long.as_str(), "the limit is 1024"),
            (wide.as_str(), "the limit is 240"),
        ];
        for (text, reason) in cases {
            let error = text.parse::<BlobUri>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn joining_cannot_climb() {
        let uri: BlobUri = "s3://spanwise/a/b".parse().unwrap();
        assert_eq!(uri.join("c/d").unwrap().to_string(), "s3://spanwise/a/b/c/d");
        assert_eq!(uri.parent().unwrap().to_string(), "s3://spanwise/a");
        assert_eq!(uri.parent().unwrap().parent(), None);
        assert_eq!(uri.name(), "b");
        for segment in ["", "..", "/c", "c/", "c/../.."] {
            assert!(uri.join(segment).is_err(), "{segment:?}");
        }
    }

    #[test]
    fn a_file_name_stands_for_one_segment() {
        for segment in ["a", "100%", "%25", "a#1", "%23", "%2523#%", "C:", "c|", "c%3A", "cc:", "%3A"] {
            assert_eq!(decode(&encode(segment)).as_deref(), Some(segment));
        }
        for foreign in ["a#1", "a%", "a%2", "a%41", "C:", "cc%3A"] {
            assert_eq!(decode(foreign), None, "{foreign:?}");
        }
    }
}
