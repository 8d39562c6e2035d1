//! Digests written as the texts that Flyte writes them as.

use base64::{Engine, engine::general_purpose::STANDARD};
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use sha2::Sha256;

/// Standard base64, with padding, of the SHA-256 of `data`; `hash_data` in `_internal/runtime/convert.py`.
pub(crate) fn sha256_base64(data: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(data))
}

/// Lower-case hex of the SHA-256 of `data`.
pub(crate) fn sha256_hex(data: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(data))
}

/// Lower-case hex of the MD5 of `data`.
pub(crate) fn md5_hex(data: &[u8]) -> String {
    HEXLOWER.encode(&Md5::digest(data))
}

/// The MD5 of `data` as a big-endian number in base 36.
pub(crate) fn md5_base36(data: &[u8]) -> String {
    base36(u128::from_be_bytes(Md5::digest(data).into()))
}

/// `number` in base 36 with the digits `0-9a-z`, no padding; `base36_encode` in `_utils/helpers.py`.
fn base36(number: u128) -> String {
    // 36^12 is the largest power that fits a u64: two wide divisions instead of 25.
    const CHUNK: u128 = 36u128.pow(12);
    // 36^25 > 2^128.
    let mut digits = [b'0'; 25];
    let (high, low) = (number / CHUNK, number % CHUNK);
    write_digits(&mut digits[13..], low as u64);
    write_digits(&mut digits[1..13], (high % CHUNK) as u64);
    write_digits(&mut digits[..1], (high / CHUNK) as u64);
    let first = digits.iter().position(|&digit| digit != b'0').unwrap_or(digits.len() - 1);
    // Digits of the alphabet alone: nothing is lost.
    String::from_utf8_lossy(&digits[first..]).into_owned()
}

fn write_digits(digits: &mut [u8], mut number: u64) {
    const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(number % 36) as usize];
        number /= 36;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_base36_has_no_padding() {
        assert_eq!(base36(0), "0");
        assert_eq!(base36(35), "z");
        assert_eq!(base36(36), "10");
        assert_eq!(base36(36u128.pow(12)), "1000000000000");
        assert_eq!(base36(u128::MAX), "f5lxx1zz5pnorynqglhzmsp33");
    }
}
