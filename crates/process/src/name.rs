//! Names of files and directories that nothing else has.

use std::hash::{BuildHasher as _, RandomState};

/// Random digits as a part of a name: whoever makes something aside and renames it meets nobody else's.
pub fn random_name() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_name_comes_twice() {
        let names: std::collections::HashSet<String> = (0..1000).map(|_| super::random_name()).collect();
        assert_eq!(names.len(), 1000);
    }
}
