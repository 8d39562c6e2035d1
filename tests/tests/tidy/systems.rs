//! What is Linux's own stands in `os/linux.rs` of a crate, or below `os/linux/`, with `os/portable.rs` beside it.

use crate::{assert_none, rust_files};

/// How a line asks Linux.
const OF_LINUX: [&str; 5] = ["os::linux", "/proc/", "netlink", "inotify", "pidfd"];

/// Asked first, and done without where it is not there.
const TRIED_FIRST: [(&str, &str); 4] = [
    ("crates/process/src/container.rs", "/proc/sys"),
    ("crates/process/src/os/portable.rs", "/proc/sys/kernel/random/boot_id"),
    ("crates/process/src/mounted.rs", "/proc/self/mountinfo"),
    ("crates/sdk/src/remote/program.rs", "/proc/self/exe"),
];

#[test]
fn what_is_linuxs_own_has_a_portable_form_beside_it() {
    let (mut problems, mut of_linux) = (Vec::new(), 0);
    let sources = rust_files().filter(|(file, _)| file.starts_with("crates") && file.iter().any(|part| part == "src"));
    for (file, text) in sources {
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines();
        let asks = |line: &str| OF_LINUX.iter().any(|word| line.contains(word));
        let lines = code.enumerate().map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()));
        let found: Vec<(usize, &str)> = lines.filter(|(_, line)| asks(line)).collect();
        let above = file.parent().filter(|above| above.ends_with("os/linux"));
        if file.ends_with("os/linux.rs") || above.is_some() {
            of_linux += found.len();
            let portable = above.unwrap_or(&file).with_file_name("portable.rs");
            if !spanwise_e2e::cargo::root().join(&portable).is_file() {
                problems.push(format!("{}: there is no {}", file.display(), portable.display()));
            }
            continue;
        }
        let is_tried = |line: &str| TRIED_FIRST.iter().any(|(of, what)| file.ends_with(of) && line.contains(what));
        let others = found.into_iter().filter(|(_, line)| !is_tried(line));
        problems.extend(others.map(|(number, line)| format!("{}:{number}: {}", file.display(), line.trim())));
    }
    assert_none(&problems);
    assert!(of_linux > 10, "the words are not found where they are");
}
