//! Python's pickle of one `bytes` value: stock Flyte has no type for `bytes` and pickles them (`types/_pickle.py`).

const PROTOCOL_5: [u8; 2] = [0x80, 5];
const FRAME: u8 = 0x95;
const SHORT_BINBYTES: u8 = b'C';
const BINBYTES: u8 = b'B';
const BINBYTES8: u8 = 0x8e;
/// Python writes `bytes` of this length and more outside of a frame.
const FRAME_LIMIT: usize = 64 * 1024;

/// The pickle that `cloudpickle.dumps` makes of `bytes` on Python 3.8 and later.
pub fn bytes_to_pickle(data: &[u8]) -> Vec<u8> {
    let header = header(data.len());
    let mut out = Vec::with_capacity(data.len() + 32);
    out.extend_from_slice(&PROTOCOL_5);
    if data.len() < FRAME_LIMIT {
        push_frame(&mut out, header.len() + data.len() + END.len());
    }
    out.extend_from_slice(&header);
    out.extend_from_slice(data);
    out.extend_from_slice(&END);
    out
}

/// MEMOIZE, STOP.
const END: [u8; 2] = [0x94, b'.'];

/// The `bytes` in a pickle of protocol 3 or later, or `None` if it holds anything else.
pub fn bytes_from_pickle(pickle: &[u8]) -> Option<&[u8]> {
    let [0x80, 3..=5, rest @ ..] = pickle else {
        return None;
    };
    let mut rest = rest;
    if let [FRAME, after @ ..] = rest {
        rest = after.get(8..)?;
    }
    let (length, rest) = match rest {
        [SHORT_BINBYTES, length, rest @ ..] => (usize::from(*length), rest),
        [BINBYTES, rest @ ..] => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
        }
        [BINBYTES8, rest @ ..] => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u64::from_le_bytes(*length)).ok()?, rest)
        }
        _ => return None,
    };
    let (data, end) = rest.split_at_checked(length)?;
    (end.last() == Some(&b'.')).then_some(data)
}

fn header(length: usize) -> Vec<u8> {
    if let Ok(length) = u8::try_from(length) {
        return vec![SHORT_BINBYTES, length];
    }
    match u32::try_from(length) {
        Ok(length) => [&[BINBYTES], length.to_le_bytes().as_slice()].concat(),
        Err(_) => [&[BINBYTES8], (length as u64).to_le_bytes().as_slice()].concat(),
    }
}

fn push_frame(out: &mut Vec<u8>, length: usize) {
    out.push(FRAME);
    out.extend_from_slice(&(length as u64).to_le_bytes());
}
