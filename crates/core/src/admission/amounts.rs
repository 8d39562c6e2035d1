//! What attempts need and pools have, dimension by dimension.

use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

/// Something of which a pool may have a limited amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Attempts that do something, whatever they need.
    Attempts,
    /// Attempts that do something and need a processor.
    Slots,
    /// Attempts that say that they need no processor.
    Idle,
    /// Thousandths of a processor.
    Cpu,
    /// Bytes.
    Memory,
    /// Devices.
    Gpu,
    /// Attempts that begin within a period.
    Begun,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Dimension; 7] = [
        Dimension::Attempts,
        Dimension::Slots,
        Dimension::Idle,
        Dimension::Cpu,
        Dimension::Memory,
        Dimension::Gpu,
        Dimension::Begun,
    ];
}

/// What an attempt needs beside the right to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// Thousandths of a processor. None: it does not say. 0: it only sleeps, or waits for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u64>,
    /// Bytes of memory.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub memory: u64,
    /// Devices.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gpu: u64,
}

/// True for an amount that is left out of the stored form.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(amount: &u64) -> bool {
    *amount == 0
}

impl Needs {
    /// True if an attempt takes up a slot of the server.
    pub fn takes_a_slot(&self) -> bool {
        self.cpu != Some(0)
    }

    /// What an attempt takes up while it does something.
    pub(super) fn amounts(&self) -> Amounts {
        let mut amounts = Amounts::default();
        amounts[Dimension::Attempts] = 1;
        amounts[if self.takes_a_slot() { Dimension::Slots } else { Dimension::Idle }] = 1;
        amounts[Dimension::Cpu] = self.cpu.unwrap_or(0);
        amounts[Dimension::Memory] = self.memory;
        amounts[Dimension::Gpu] = self.gpu;
        amounts[Dimension::Begun] = 1;
        amounts
    }
}

/// The binary digits of an amount by which lines are told apart: amounts in one line differ by a sixteenth at most.
const EXACT_DIGITS: u32 = 5;

/// An amount for each dimension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Amounts([u64; Dimension::ALL.len()]);

impl Amounts {
    /// What a process goes on to have while it only waits: its memory and its devices.
    pub(super) fn while_waiting(self) -> Amounts {
        let mut amounts = Amounts::default();
        for dimension in [Dimension::Memory, Dimension::Gpu] {
            amounts[dimension] = self[dimension];
        }
        amounts
    }

    /// Without those of processors, memory and devices that nobody counts.
    pub(super) fn counted(mut self, counted: &Capacity) -> Amounts {
        for dimension in [Dimension::Cpu, Dimension::Memory, Dimension::Gpu] {
            if counted[dimension as usize].is_none() {
                self[dimension] = 0;
            }
        }
        self
    }

    /// The same but for the lower digits of great amounts: those who need about as much stand in one line, however many different amounts there are.
    fn rounded(mut self) -> Amounts {
        for amount in &mut self.0 {
            let digits = u64::BITS - amount.leading_zeros();
            let lower = digits.saturating_sub(EXACT_DIGITS);
            *amount = *amount >> lower << lower;
        }
        self
    }

    pub(super) fn add(&mut self, other: &Amounts) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own = own.saturating_add(other);
        }
    }

    pub(super) fn subtract(&mut self, other: &Amounts) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own = own.saturating_sub(other);
        }
    }
}

/// What an attempt in line asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    pub(super) needs: Amounts,
    /// It may begin beside those that keep everything and only wait.
    pub(super) is_chosen: bool,
}

/// Whoever stands in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    about: Amounts,
    pub(super) is_chosen: bool,
}

impl Demand {
    pub(super) fn line(&self) -> Line {
        Line { about: self.needs.rounded(), is_chosen: self.is_chosen }
    }
}

/// What an attempt has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Had {
    pub(super) used: Amounts,
    /// The part of it that it keeps while it waits for something.
    pub(super) retained: Amounts,
}

impl Amounts {
    /// True if some of it is kept by a process that only waits.
    pub(super) fn are_kept(&self) -> bool {
        self.while_waiting() != Amounts::default()
    }
}

impl Had {
    /// What one has that does something.
    pub(super) fn busy(needs: Amounts) -> Had {
        Had { used: needs, retained: Amounts::default() }
    }

    /// What one has that only waits.
    pub(super) fn waiting(needs: Amounts) -> Had {
        let retained = needs.while_waiting();
        Had { used: retained, retained }
    }
}

impl Index<Dimension> for Amounts {
    type Output = u64;

    fn index(&self, dimension: Dimension) -> &u64 {
        &self.0[dimension as usize]
    }
}

impl IndexMut<Dimension> for Amounts {
    fn index_mut(&mut self, dimension: Dimension) -> &mut u64 {
        &mut self.0[dimension as usize]
    }
}

/// The most that a pool may give out in each dimension; none where there is no limit.
pub(super) type Capacity = [Option<u64>; Dimension::ALL.len()];

/// What one of them has a limit of.
pub(super) fn either(one: Capacity, other: Capacity) -> Capacity {
    std::array::from_fn(|dimension| one[dimension].or(other[dimension]))
}
