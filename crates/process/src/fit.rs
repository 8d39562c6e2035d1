//! Whether the system can start a process with given arguments and a given environment at all. Asked before the start, so that a
//! warm and a cold one refuse the same, with a name and a limit.

use rustix::process::{Resource, getrlimit};

use super::{Error, Launch};

/// The kernel's limits of all arguments and variables together: a quarter of the stack, within these bounds.
const LEAST_IN_ALL: u64 = 128 << 10;
const MOST_IN_ALL: u64 = 6 << 20;

/// What is left for the shell that makes the claim, and for what the kernel adds.
const OWN: u64 = 8 << 10;

/// A text of the launch, as an error names it.
struct Text<'a> {
    name: String,
    /// As the kernel copies it, with the byte that ends it.
    bytes: u64,
    parts: [&'a str; 2],
}

/// Refuses what the kernel would refuse whenever it is tried.
pub(super) fn check(launch: &Launch) -> Result<(), Error> {
    let unfit = |what: String| Err(Error::Unfit(what));
    if let Some((name, _)) = launch.env.iter().find(|(name, _)| name.is_empty() || name.contains('=')) {
        return unfit(format!("`{name}` is no name of an environment variable"));
    }
    let texts: Vec<Text<'_>> = texts(launch).collect();
    if let Some(text) = texts.iter().find(|text| text.parts.iter().any(|part| part.contains('\0'))) {
        return unfit(format!("{} contains a NUL byte", text.name));
    }
    let one = 32 * rustix::param::page_size() as u64;
    if let Some(text) = texts.iter().find(|text| text.bytes > one) {
        return unfit(format!("{} has {} bytes, the limit of the system is {}", text.name, text.bytes - 1, one - 1));
    }
    // Each with a pointer to it.
    let all: u64 = texts.iter().map(|text| text.bytes + 8).sum();
    let limit = in_all();
    match texts.iter().max_by_key(|text| text.bytes) {
        Some(largest) if all > limit => unfit(format!(
            "arguments and environment have {all} bytes in all, the limit of the system is {limit}; the largest is {}",
            largest.name
        )),
        _ => Ok(()),
    }
}

fn texts(launch: &Launch) -> impl Iterator<Item = Text<'_>> {
    let arguments = launch.argv.iter().enumerate().map(|(index, argument)| Text {
        name: format!("argument {index}"),
        bytes: argument.len() as u64 + 1,
        parts: [argument, ""],
    });
    let variables = launch.env.iter().map(|(name, value)| Text {
        name: format!("environment variable `{}`", name.escape_default()),
        bytes: (name.len() + value.len()) as u64 + 2,
        parts: [name, value],
    });
    arguments.chain(variables)
}

fn in_all() -> u64 {
    let stack = getrlimit(Resource::Stack).current.unwrap_or(u64::MAX);
    (stack / 4).clamp(LEAST_IN_ALL, MOST_IN_ALL) - OWN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn launch(argv: &[&str], env: &[(&str, &str)]) -> Launch {
        Launch {
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
            env: env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
            directory: "/".into(),
            log: "/dev/null".into(),
            limits: Limits::default(),
            claim: None,
            mounted: None,
            container: None,
        }
    }

    #[test]
    fn s4_what_no_process_can_have_is_refused_by_its_name() {
        let long = "x".repeat(200_000);
        let many: Vec<(String, String)> = (0..70).map(|n| (format!("V{n}"), "x".repeat(100_000))).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for (launch, expected) in [
            (launch(&["a0"], &[("A", "b=c"), ("LONG", &long[..100_000])]), "ok"),
            (launch(&["a0"], &[("A=B", "c")]), "`A=B` is no name of an environment variable"),
            (launch(&["a0"], &[("", "c")]), "`` is no name of an environment variable"),
            (launch(&["a0"], &[("A", "x\0y")]), "environment variable `A` contains a NUL byte"),
            (launch(&["a0", "x\0"], &[]), "argument 1 contains a NUL byte"),
            (launch(&["a0"], &[("A", &long)]), "environment variable `A` has 200002 bytes, the limit of the system is"),
            (launch(&["a0", &long], &[]), "argument 1 has 200000 bytes, the limit of the system is"),
            (launch(&["a0"], &many), "arguments and environment have 7000"),
        ] {
            let said = check(&launch).map_or_else(|error| error.to_string(), |()| "ok".to_owned());
            assert!(said.starts_with(expected), "{said}");
        }
    }
}
