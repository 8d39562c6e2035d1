//! Randomness for names; nothing that has to stay secret is made of it.

use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

/// Random bits for a name. The hasher of the standard library is seeded by the system; time and process keep apart what one
/// seed would not.
pub fn random_bits() -> u128 {
    let half = || u128::from(RandomState::new().hash_one((std::process::id(), SystemTime::now())));
    (half() << 64) | half()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_equal() {
        let many: std::collections::HashSet<u128> = (0..1000).map(|_| random_bits()).collect();
        assert_eq!(many.len(), 1000);
    }
}
