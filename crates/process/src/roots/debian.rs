//! Images of Debian itself, in whose place `debootstrap` can make a root from a mirror of Debian.

use std::fs;
use std::path::Path;

/// The releases by their numbers.
const RELEASES: [(&str, &str); 5] =
    [("13", "trixie"), ("12", "bookworm"), ("11", "bullseye"), ("10", "buster"), ("14", "forky")];

/// Other names that debootstrap knows.
const NAMES: [&str; 5] = ["stable", "testing", "unstable", "oldstable", "sid"];

/// The release that an image of Debian has, by its name, for instance `debian:12-slim`; none for any other image.
pub(super) fn release(image: &str) -> Option<String> {
    let (name, tag) = image.split_once(':').unwrap_or((image, "latest"));
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    if name.strip_prefix("library/").unwrap_or(name) != "debian" {
        return None;
    }
    let mut parts = tag.split('-');
    let first = parts.next()?;
    let is_variant = |part: &str| part == "slim" || part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !parts.all(is_variant) {
        return None;
    }
    let major = first.split('.').next()?;
    let by_number = RELEASES.iter().find(|(number, name)| *number == major || *name == first).map(|(_, name)| *name);
    let by_name = NAMES.iter().find(|name| **name == first).copied();
    Some(if first == "latest" { "stable" } else { by_number.or(by_name)? }.to_owned())
}

/// The mirror that this machine has Debian from; none if it does not say.
pub(super) fn mirror() -> Option<String> {
    let mut files = vec![Path::new("/etc/apt/sources.list").to_owned()];
    let more = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut more: Vec<_> = more.collect();
    more.sort();
    files.extend(more);
    files.iter().find_map(|file| mirror_in(&fs::read_to_string(file).ok()?))
}

/// The first archive of Debian in a list of sources, whichever of the two forms it has.
fn mirror_in(sources: &str) -> Option<String> {
    let words = sources.lines().filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"));
    let mut words = words.flat_map(str::split_whitespace);
    words.find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_images_of_debian_itself_have_a_release() {
        for (image, expected) in [
            ("debian", Some("stable")),
            ("debian:latest", Some("stable")),
            ("debian:12", Some("bookworm")),
            ("debian:12.11-slim", Some("bookworm")),
            ("debian:bookworm-slim", Some("bookworm")),
            ("debian:bookworm-20250520-slim", Some("bookworm")),
            ("docker.io/library/debian:trixie", Some("trixie")),
            ("library/debian:sid", Some("sid")),
            ("debian:bookworm-backports", None),
            ("debian:9", None),
            ("debian:", None),
            ("debian@sha256:00", None),
            ("localhost:5000/debian:12", None),
            ("team/debian:12", None),
            ("alpine:3.20", None),
            ("python:3.12-slim-bookworm", None),
        ] {
            assert_eq!(release(image).as_deref(), expected, "{image}");
        }
    }

    #[test]
    fn the_mirror_is_that_of_the_machine() {
        for (sources, expected) in [
            (
                "# deb http://no/debian x\ndeb [signed-by=/k] http://m.example/debian/ bookworm main\n",
                Some("http://m.example/debian/"),
            ),
            (
                "Types: deb\nURIs: http://s.example/debian-security http://d.example/debian\n",
                Some("http://d.example/debian"),
            ),
            ("deb http://archive.ubuntu.com/ubuntu noble main\n", None),
            ("", None),
        ] {
            assert_eq!(mirror_in(sources).as_deref(), expected, "{sources}");
        }
    }
}
