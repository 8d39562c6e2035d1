//! The package that tasks are written with, as a description: which one it is, whoever asks for environments says.

/// The package that every environment has, from the interpreter that it is made from or installed.
#[derive(Debug, PartialEq, Eq)]
pub struct Sdk {
    /// Its name, for installers and for imports.
    pub name: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// A file of it that no other package of the name has, relative to its directory.
    pub part: &'static str,
    /// The versions that are known to work begin with this.
    pub series: &'static str,
    /// One of them.
    pub tried: &'static str,
}

impl Sdk {
    /// Whether a requirement is the SDK itself: then the image says which one it wants.
    pub(super) fn is_named_by(&self, requirement: &str) -> bool {
        let name = requirement.trim_start().strip_prefix(self.name);
        name.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || "-_.".contains(next)))
    }
}

#[cfg(test)]
mod tests {
    use super::Sdk;

    const SDK: Sdk = Sdk { name: "flyte", title: "the SDK", part: "x.py", series: "2.", tried: "2.1" };

    #[test]
    fn the_sdk_is_known_by_its_name() {
        for requirement in ["flyte", " flyte==2.1", "flyte[x]>2", "flyte @ https://x"] {
            assert!(SDK.is_named_by(requirement), "{requirement}");
        }
        for requirement in ["flytekit", "flyte-x", "flyteplugins-otel", "six", ""] {
            assert!(!SDK.is_named_by(requirement), "{requirement}");
        }
    }
}
