//! What is set of pools.

use std::collections::BTreeMap;

use super::amounts::{Capacity, Dimension};
use super::rate::Rate;

/// The queue of whoever names none, or one that is not there.
pub const DEFAULT_QUEUE: &str = "default";

/// The label by which a run names the key that it shares its part of each queue with: every client of Flyte's can set it.
pub const KEY_LABEL: &str = "spanwise.key";

/// The label by which a run says how much more than others its key gets, from 1 to [`MAX_WEIGHT`](super::MAX_WEIGHT).
pub const WEIGHT_LABEL: &str = "spanwise.weight";

/// The name of the pool that all others are part of.
pub(super) const SERVER: &str = "server";

/// A name of a queue has at most this many characters.
const MAX_NAME: usize = 63;

/// The limits of all pools. None of them is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of the whole server.
    pub server: ServerLimits,
    /// Of its queues, by their names.
    pub queues: BTreeMap<String, QueueLimits>,
}

/// What a server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerLimits {
    /// Attempts that may do something at one time.
    pub slots: Option<u32>,
    /// Attempts that may run at one time beside those, of those that need no processor.
    pub idle: Option<u32>,
    /// Thousandths of a processor.
    pub cpu: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Devices.
    pub gpu: Option<u64>,
}

/// What a queue has, and how it stands to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueLimits {
    /// Attempts that may do something at one time.
    pub concurrency: Option<u32>,
    /// The same for each project.
    pub concurrency_per_project: Option<u32>,
    /// The same for each fairness key: each run, where its starter has not chosen another.
    pub concurrency_per_key: Option<u32>,
    /// Actions that may wait.
    pub depth: Option<u32>,
    /// A queue of a higher one goes first, whoever waits in others.
    pub priority: i32,
    /// Attempts that may begin within a period.
    pub rate: Option<Rate>,
    /// Thousandths of a processor.
    pub cpu: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Devices.
    pub gpu: Option<u64>,
}

/// A name that no queue can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQueueName {
    /// It names something else where it is shown.
    #[error("`{0}` is no name of a queue: it is that of another pool")]
    Reserved(String),
    /// It is empty or too long, or has characters that it may not have.
    #[error("`{0}` is no name of a queue: letters, digits, `-`, `_` and `.`, at most {MAX_NAME} of them, are")]
    Characters(String),
}

/// Checks the name of a queue.
///
/// # Errors
/// [`BadQueueName`] says what is wrong with it.
pub fn check_queue_name(name: &str) -> Result<(), BadQueueName> {
    if [SERVER, "run"].contains(&name) {
        return Err(BadQueueName::Reserved(name.to_owned()));
    }
    let is_good = |c: char| c.is_alphanumeric() || ['-', '_', '.'].contains(&c);
    if name.is_empty() || name.chars().count() > MAX_NAME || !name.chars().all(is_good) {
        return Err(BadQueueName::Characters(name.chars().take(MAX_NAME).collect()));
    }
    Ok(())
}

impl Limits {
    /// No more attempts at one time than this; no other limit.
    pub fn of_slots(slots: Option<u32>) -> Limits {
        let slots = slots.filter(|slots| *slots > 0);
        Limits { server: ServerLimits { slots, ..ServerLimits::default() }, ..Limits::default() }
    }

    /// True if there is no limit at all: nobody has to count.
    pub fn are_none(&self) -> bool {
        *self == Limits::default()
    }
}

impl ServerLimits {
    pub(super) fn capacity(&self) -> Capacity {
        let mut capacity = Capacity::default();
        capacity[Dimension::Slots as usize] = self.slots.map(u64::from);
        capacity[Dimension::Idle as usize] = self.idle.map(u64::from);
        capacity[Dimension::Cpu as usize] = self.cpu;
        capacity[Dimension::Memory as usize] = self.memory;
        capacity[Dimension::Gpu as usize] = self.gpu;
        capacity
    }
}

impl QueueLimits {
    pub(super) fn capacity(&self) -> Capacity {
        let mut capacity = of_attempts(self.concurrency);
        capacity[Dimension::Cpu as usize] = self.cpu;
        capacity[Dimension::Memory as usize] = self.memory;
        capacity[Dimension::Gpu as usize] = self.gpu;
        capacity
    }
}

/// So many attempts, and no other limit.
pub(super) fn of_attempts(count: Option<u32>) -> Capacity {
    let mut capacity = Capacity::default();
    capacity[Dimension::Attempts as usize] = count.map(u64::from);
    capacity
}
