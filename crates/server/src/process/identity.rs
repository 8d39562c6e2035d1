//! Which process it is, beyond its number: numbers are used again, also within the life of a server's data.

use std::io;
use std::sync::OnceLock;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

/// The identity of a process: its number, when it was started and in which life of the machine. It can be stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The number of the process, which is also that of its group.
    pub pid: u32,
    /// When it was started: clock ticks since the machine was, field 22 of `/proc/<pid>/stat`.
    pub started: u64,
    /// The machine's boot, because ticks and numbers begin anew with each; empty where the system does not tell.
    pub boot: String,
}

impl ProcessId {
    /// The identity of the process that has this number now.
    pub(super) fn of(pid: u32) -> io::Result<ProcessId> {
        let Stat { started, .. } = Stat::read(pid)?;
        Ok(ProcessId::started(pid, started))
    }

    /// The identity of a process of this boot.
    pub(super) fn started(pid: u32, started: u64) -> ProcessId {
        ProcessId { pid, started, boot: boot().to_owned() }
    }

    /// The identity that a process gives of itself: the machine's boot and its line of `/proc/<pid>/stat`.
    pub(super) fn from_stat(boot: &str, stat: &str) -> Option<ProcessId> {
        let pid = stat.split_once(' ')?.0.parse().ok()?;
        let Stat { started, .. } = Stat::parse(stat)?;
        Some(ProcessId { pid, started, boot: boot.to_owned() })
    }

    /// Whether the machine is still in the life in which it was started.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        self.boot == boot()
    }

    /// Whether it runs; a zombie does not.
    pub(super) fn is_alive(&self) -> bool {
        self.is_of_this_boot() && Stat::read(self.pid).is_ok_and(|stat| stat.started == self.started && !stat.ended)
    }

    /// Whether its number is that of another process now.
    pub(super) fn is_succeeded(&self) -> bool {
        !self.is_of_this_boot() || Stat::read(self.pid).is_ok_and(|stat| stat.started != self.started)
    }

    pub(super) fn raw(&self) -> io::Result<Pid> {
        let number = i32::try_from(self.pid).ok().filter(|number| *number > 1);
        number
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no process id", self.pid)))
    }
}

struct Stat {
    started: u64,
    ended: bool,
}

impl Stat {
    fn read(pid: u32) -> io::Result<Stat> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Stat::parse(&text)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat: {text}")))
    }

    /// The second field is the program's name in parentheses and may hold blanks and parentheses itself, so fields
    /// count from the last one.
    fn parse(text: &str) -> Option<Stat> {
        let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
        let ended = matches!(fields.next()?, "Z" | "X");
        let started = fields.nth(18)?.parse().ok()?;
        Some(Stat { started, ended })
    }
}

fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        text.trim().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let fields: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let stat = Stat::parse(&format!("7 (a) b (c)) S {}", fields.join(" "))).unwrap();
        assert_eq!(stat.started, 22);
        assert!(!stat.ended);
        assert!(Stat::parse(&format!("7 (x) Z {}", fields.join(" "))).unwrap().ended);
        assert!(Stat::parse("7 (x)").is_none());
    }

    #[test]
    fn numbers_that_signal_more_than_one_process_are_refused() {
        for pid in [0, 1, u32::MAX] {
            assert!(ProcessId { pid, started: 0, boot: String::new() }.raw().is_err(), "{pid}");
        }
    }
}
