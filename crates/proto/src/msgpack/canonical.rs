//! One pass that reads msgpack and writes its canonical form; `None` is what Python answers with an exception.

use std::{collections::HashMap, ops::Range, str};

/// Deeper values are left as they are. Python's own bound is its recursion limit, which allows a little more than this.
const MAX_DEPTH: usize = 400;
/// The extension type of msgpack's timestamps (-1).
const TIMESTAMP: u8 = 0xff;

pub(super) fn encode(data: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = Encoder { rest: data, out: Vec::with_capacity(data.len()) };
    encoder.value(0)?;
    encoder.rest.is_empty().then_some(encoder.out)
}

struct Encoder<'a> {
    rest: &'a [u8],
    out: Vec<u8>,
}

/// Where a key and the value after it stand in the output.
struct Entry {
    key: Range<usize>,
    value: Range<usize>,
}

impl<'a> Encoder<'a> {
    fn value(&mut self, depth: usize) -> Option<()> {
        let tag = self.byte()?;
        match tag {
            0x80..=0x8f => self.map(usize::from(tag & 15), depth),
            0x90..=0x9f => self.array(usize::from(tag & 15), depth),
            0xdc | 0xdd => {
                let length = self.length(2 << (tag - 0xdc))?;
                self.array(length, depth)
            }
            0xde | 0xdf => {
                let length = self.length(2 << (tag - 0xde))?;
                self.map(length, depth)
            }
            0xc7..=0xc9 | 0xd4..=0xd8 => {
                let (kind, body) = self.extension(tag)?;
                self.extension_value(kind, body)
            }
            _ => self.leaf(tag),
        }
    }

    fn array(&mut self, length: usize, depth: usize) -> Option<()> {
        if depth == MAX_DEPTH {
            return None;
        }
        write_length(&mut self.out, length, 0x90, 0xdc);
        (0..length).try_for_each(|_| self.value(depth + 1))
    }

    fn map(&mut self, length: usize, depth: usize) -> Option<()> {
        if depth == MAX_DEPTH {
            return None;
        }
        let start = self.out.len();
        write_length(&mut self.out, length, 0x80, 0xde);
        let mut entries = Vec::new();
        for _ in 0..length {
            let key = self.out.len();
            self.key()?;
            let value = self.out.len();
            self.value(depth + 1)?;
            entries.push(Entry { key: key..value, value: value..self.out.len() });
        }
        let sorted = entries.windows(2).all(|pair| self.out[pair[0].key.clone()] < self.out[pair[1].key.clone()]);
        if !sorted || entries.iter().any(|entry| is_loose_number(self.out[entry.key.start])) {
            self.sort(start, entries);
        }
        Some(())
    }

    /// Writes the map that begins at `start` again, each key once and in order.
    fn sort(&mut self, start: usize, entries: Vec<Entry>) {
        let old = self.out.split_off(start);
        let at = |range: &Range<usize>| &old[range.start - start..range.end - start];
        let mut unique: Vec<Entry> = Vec::with_capacity(entries.len());
        let mut seen = HashMap::new();
        for entry in entries {
            let earlier = identity(at(&entry.key)).and_then(|identity| {
                let index = *seen.entry(identity).or_insert(unique.len());
                unique.get_mut(index)
            });
            match earlier {
                Some(earlier) => earlier.value = entry.value,
                None => unique.push(entry),
            }
        }
        unique.sort_by(|a, b| at(&a.key).cmp(at(&b.key)));
        write_length(&mut self.out, unique.len(), 0x80, 0xde);
        for entry in &unique {
            self.out.extend_from_slice(at(&entry.key));
            self.out.extend_from_slice(at(&entry.value));
        }
    }

    /// Like a value, but lists and maps cannot be keys in Python, and extension types stay what they are.
    fn key(&mut self) -> Option<()> {
        let tag = self.byte()?;
        match tag {
            0x80..=0x9f | 0xdc..=0xdf => None,
            0xc7..=0xc9 | 0xd4..=0xd8 => {
                let (kind, body) = self.extension(tag)?;
                if kind == TIMESTAMP {
                    return write_timestamp(&mut self.out, body);
                }
                write_extension(&mut self.out, kind, body);
                (kind < 0x80).then_some(())
            }
            _ => self.leaf(tag),
        }
    }

    fn leaf(&mut self, tag: u8) -> Option<()> {
        match tag {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => self.out.push(tag),
            0xa0..=0xbf => self.string(usize::from(tag & 31))?,
            0xd9..=0xdb => {
                let length = self.length(1 << (tag - 0xd9))?;
                self.string(length)?;
            }
            0xc4..=0xc6 => {
                let length = self.length(1 << (tag - 0xc4))?;
                let body = self.take(length)?;
                write_bytes(&mut self.out, body);
            }
            0xca => {
                let float = f32::from_be_bytes(self.take(4)?.try_into().ok()?);
                self.out.push(0xcb);
                self.out.extend_from_slice(&f64::from(float).to_be_bytes());
            }
            0xcb => {
                let body = self.take(8)?;
                self.out.push(0xcb);
                self.out.extend_from_slice(body);
            }
            0xcc..=0xcf => {
                let number = self.unsigned(1 << (tag - 0xcc))?;
                write_unsigned(&mut self.out, number);
            }
            0xd0..=0xd3 => {
                let width = 1 << (tag - 0xd0);
                let unused = 64 - 8 * width;
                let number = (self.unsigned(width)? << unused) as i64 >> unused;
                write_signed(&mut self.out, number);
            }
            _ => return None,
        }
        Some(())
    }

    fn string(&mut self, length: usize) -> Option<()> {
        let body = self.take(length)?;
        str::from_utf8(body).ok()?;
        match length {
            0..=31 => self.out.push(0xa0 | length as u8),
            32..=255 => self.out.extend_from_slice(&[0xd9, length as u8]),
            _ => write_length(&mut self.out, length, 0, 0xda),
        }
        self.out.extend_from_slice(body);
        Some(())
    }

    fn extension(&mut self, tag: u8) -> Option<(u8, &'a [u8])> {
        let length = match tag {
            0xc7..=0xc9 => self.length(1 << (tag - 0xc7))?,
            _ => 1 << (tag - 0xd4),
        };
        Some((self.byte()?, self.take(length)?))
    }

    fn extension_value(&mut self, kind: u8, body: &[u8]) -> Option<()> {
        match kind {
            TIMESTAMP => write_timestamp(&mut self.out, body),
            // Python's type for it is a tuple of the kind and the bytes, which Flyte's sorting makes a list.
            0..=0x7f => {
                self.out.extend_from_slice(&[0x92, kind]);
                write_bytes(&mut self.out, body);
                Some(())
            }
            _ => None,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn unsigned(&mut self, width: usize) -> Option<u64> {
        Some(big_endian(self.take(width)?))
    }

    fn length(&mut self, width: usize) -> Option<usize> {
        usize::try_from(self.unsigned(width)?).ok()
    }
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// Booleans and floats can equal an integer that is written otherwise.
fn is_loose_number(tag: u8) -> bool {
    matches!(tag, 0xc2 | 0xc3 | 0xcb)
}

/// Equal for keys that are equal in Python, where `1 == 1.0 == True`; `None` for NaN, which equals nothing.
fn identity(key: &[u8]) -> Option<Vec<u8>> {
    let mut integer = Vec::new();
    match key[0] {
        0xc2 | 0xc3 => integer.push(key[0] - 0xc2),
        0xcb => {
            let float = f64::from_bits(big_endian(&key[1..]));
            if float.is_nan() {
                return None;
            }
            // The bounds are exact powers of two, so the conversions below lose nothing.
            if float.fract() == 0.0 && (0.0..18_446_744_073_709_551_616.0).contains(&float) {
                write_unsigned(&mut integer, float as u64);
            } else if float.fract() == 0.0 && (-9_223_372_036_854_775_808.0..0.0).contains(&float) {
                write_signed(&mut integer, float as i64);
            } else {
                integer.extend_from_slice(key);
            }
        }
        _ => integer.extend_from_slice(key),
    }
    Some(integer)
}

/// `short` is the form with four bits of length, or 0 if there is none; `wide` the one with 16 bits, followed by 32 bits.
fn write_length(out: &mut Vec<u8>, length: usize, short: u8, wide: u8) {
    if short != 0 && length < 16 {
        out.push(short | length as u8);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(wide);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(wide + 1);
        out.extend_from_slice(&(length as u32).to_be_bytes());
    }
}

fn write_bytes(out: &mut Vec<u8>, body: &[u8]) {
    match u8::try_from(body.len()) {
        Ok(length) => out.extend_from_slice(&[0xc4, length]),
        Err(_) => write_length(out, body.len(), 0, 0xc5),
    }
    out.extend_from_slice(body);
}

fn write_unsigned(out: &mut Vec<u8>, number: u64) {
    let bytes = number.to_be_bytes();
    let (tag, width) = match number {
        0..=0x7f => return out.push(number as u8),
        0x80..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        _ => (0xcf, 8),
    };
    out.push(tag);
    out.extend_from_slice(&bytes[8 - width..]);
}

fn write_signed(out: &mut Vec<u8>, number: i64) {
    if let Ok(number) = u64::try_from(number) {
        return write_unsigned(out, number);
    }
    let bytes = number.to_be_bytes();
    let (tag, width) = match number {
        -32.. => return out.push(number as u8),
        -0x80.. => (0xd0, 1),
        -0x8000.. => (0xd1, 2),
        -0x8000_0000.. => (0xd2, 4),
        _ => (0xd3, 8),
    };
    out.push(tag);
    out.extend_from_slice(&bytes[8 - width..]);
}

fn write_extension(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    match body.len() {
        1 => out.push(0xd4),
        2 => out.push(0xd5),
        4 => out.push(0xd6),
        8 => out.push(0xd7),
        16 => out.push(0xd8),
        length => match u8::try_from(length) {
            Ok(length) => out.extend_from_slice(&[0xc7, length]),
            Err(_) => write_length(out, length, 0, 0xc8),
        },
    }
    out.push(kind);
    out.extend_from_slice(body);
}

/// Writes a timestamp in the shortest of its three forms.
fn write_timestamp(out: &mut Vec<u8>, body: &[u8]) -> Option<()> {
    let (seconds, nanos) = match body.len() {
        4 => (big_endian(body) as i64, 0),
        8 => {
            let packed = big_endian(body);
            ((packed & 0x3_ffff_ffff) as i64, packed >> 34)
        }
        12 => (big_endian(&body[4..]) as i64, big_endian(&body[..4])),
        _ => return None,
    };
    if nanos > 999_999_999 {
        return None;
    }
    if !(0..1 << 34).contains(&seconds) {
        let nanos = (nanos as u32).to_be_bytes();
        let wide = [nanos.as_slice(), &seconds.to_be_bytes()].concat();
        write_extension(out, TIMESTAMP, &wide);
    } else if let (Ok(seconds), 0) = (u32::try_from(seconds), nanos) {
        write_extension(out, TIMESTAMP, &seconds.to_be_bytes());
    } else {
        write_extension(out, TIMESTAMP, &(nanos << 34 | seconds as u64).to_be_bytes());
    }
    Some(())
}
