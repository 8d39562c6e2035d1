//! The doors of the blobs over HTTP: S3 for tasks ([`s3`]) and signed URLs for drivers ([`signed`]). What is behind them is any
//! [`spanwise_blobs::BlobStore`].

pub mod s3;
pub mod signed;
mod upload;

use std::ops::Range;

use spanwise_blobs::ByteRange;

pub use upload::{BadUpload, upload_uri};

/// A range as HTTP has it.
fn byte_range(range: s3s::dto::Range) -> ByteRange {
    match range {
        s3s::dto::Range::Int { first, last } => ByteRange::From { first, last },
        s3s::dto::Range::Suffix { length } => ByteRange::Last(length),
    }
}

/// The bytes of a content of this size that a range asks for; none if it cannot be satisfied, as no range of nothing can.
pub(crate) fn satisfied(range: s3s::dto::Range, size: u64) -> Option<Range<u64>> {
    byte_range(range).of(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_nothing_cannot_be_satisfied() {
        let cases = [
            ("bytes=-5", 0, None),
            ("bytes=0-", 0, None),
            ("bytes=0-0", 0, None),
            ("bytes=-0", 5, None),
            ("bytes=5-", 5, None),
            ("bytes=-5", 3, Some(0..3)),
            ("bytes=-2", 3, Some(1..3)),
            ("bytes=1-9", 3, Some(1..3)),
        ];
        for (range, size, expected) in cases {
            assert_eq!(satisfied(s3s::dto::Range::parse(range).unwrap(), size), expected, "{range} of {size}");
        }
    }
}
