//! `error.pb` of any length, read without holding all of it.

use std::io::{self, Read, Seek, SeekFrom};

/// So much is read of a text in `error.pb`; what is stored of it is less.
const MOST_OF_A_TEXT: u64 = 1 << 20;

/// `error.pb` with its texts cut, whatever their length: what stands behind a long message counts as much. What is no such
/// document stays none.
///
/// # Errors
/// What reading fails with.
pub fn skim(document: &mut (impl Read + Seek)) -> io::Result<Vec<u8>> {
    let size = document.seek(SeekFrom::End(0))?;
    document.rewind()?;
    if size <= MOST_OF_A_TEXT {
        let mut whole = Vec::new();
        return document.read_to_end(&mut whole).map(|_| whole);
    }
    match skim_error(document, size) {
        Ok(error) => {
            let mut skimmed = vec![ERROR as u8];
            put_varint(&mut skimmed, error.len() as u64);
            skimmed.extend(error);
            Ok(skimmed)
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            Ok(vec![ERROR as u8])
        }
        Err(error) => Err(error),
    }
}

/// The tag of `ErrorDocument.error`.
const ERROR: u64 = 0x0a;

fn skim_error(document: &mut (impl Read + Seek), size: u64) -> io::Result<Vec<u8>> {
    if varint(document)? != ERROR {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let end = varint(document)?.saturating_add(document.stream_position()?);
    if end > size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut error = Vec::new();
    while document.stream_position()? < end {
        skim_field(document, &mut error)?;
    }
    Ok(error)
}

/// Copies one field of a message, and of a text only its beginning.
fn skim_field(document: &mut (impl Read + Seek), to: &mut Vec<u8>) -> io::Result<()> {
    let tag = varint(document)?;
    put_varint(to, tag);
    let mut copy = |length: u64, to: &mut Vec<u8>| document.by_ref().take(length).read_to_end(to).map(drop);
    match tag & 7 {
        1 => copy(8, to),
        5 => copy(4, to),
        2 => {
            let length = varint(document)?;
            let mut text = Vec::new();
            document.by_ref().take(length.min(MOST_OF_A_TEXT)).read_to_end(&mut text)?;
            document.seek(SeekFrom::Current(i64::try_from(length - text.len() as u64).unwrap_or(i64::MAX)))?;
            // Half a character at the cut would spoil the rest.
            if let Err(error) = std::str::from_utf8(&text)
                && error.error_len().is_none()
            {
                text.truncate(error.valid_up_to());
            }
            put_varint(to, text.len() as u64);
            to.extend(text);
            Ok(())
        }
        _ => varint(document).map(|value| put_varint(to, value)),
    }
}

fn varint(document: &mut impl Read) -> io::Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        document.read_exact(&mut byte)?;
        value |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            return Ok(value);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use spanwise_core::{Failure, FailureKind};

    use super::*;
    use crate::failure::{document, read};

    fn skimmed(failure: &Failure) -> Failure {
        read(&skim(&mut Cursor::new(document(failure))).unwrap()).unwrap()
    }

    #[test]
    fn s4_an_error_of_any_length_keeps_its_code_its_kind_and_whether_it_is_recoverable() {
        for length in [10, 1 << 20, (1 << 20) + 1, 12_000_000] {
            for text in ["m", "ü", "漢"] {
                let failure = Failure::user("NonRecoverableError", text.repeat(length / text.len())).terminal();
                for kind in [FailureKind::User, FailureKind::System, FailureKind::Unknown] {
                    let failure = Failure { kind, ..failure.clone() };
                    let read = skimmed(&failure);
                    assert!(failure.message.starts_with(&read.message));
                    assert!(
                        read.message.len() as u64 + 4 > MOST_OF_A_TEXT.min(length as u64),
                        "{}",
                        read.message.len()
                    );
                    assert_eq!(Failure { message: failure.message.clone(), ..read }, failure);
                }
            }
        }
        let long_code = Failure::user("c".repeat(3 << 20), "m".repeat(3 << 20)).terminal();
        assert!(!skimmed(&long_code).recoverable);
    }

    #[test]
    fn what_is_no_error_document_is_refused_however_long_it_is() {
        for document in [vec![0xff; 3 << 20], [vec![0x0a, 0xff, 0xff, 0xff, 0x7f], vec![0x12; 3 << 20]].concat()] {
            assert!(read(&skim(&mut Cursor::new(document)).unwrap()).is_err());
        }
    }
}
