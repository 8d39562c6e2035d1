//! Fair shares in virtual time (start-time fair queueing): who is served moves its own clock on by a step that is the smaller the greater its
//! weight is, and whoever is furthest behind is next. Whoever begins to wait begins where the others are: what it has not used is not saved up.
//! The clock of all goes on by a step in common with each that is served, so that those who come and go do not hold up one who stays.

/// A step of somebody of weight 1.
const STEP: u64 = 1 << 24;

/// The greatest weight: a step stays exact to some ten thousandths.
pub const MAX_WEIGHT: u32 = 1000;

/// The share of one who is served among others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    weight: u32,
    /// Its clock: where it is as long as it waits.
    tag: u64,
}

impl Share {
    pub(super) fn new() -> Share {
        Share { weight: 1, tag: 0 }
    }

    pub(super) fn set_weight(&mut self, weight: u32) {
        self.weight = weight.clamp(1, MAX_WEIGHT);
    }

    pub(super) fn tag(&self) -> u64 {
        self.tag
    }

    pub(super) fn weight(&self) -> u64 {
        u64::from(self.weight)
    }

    /// It begins to wait, where the others are at `clock`: before one who is just there, as that one has had something.
    pub(super) fn begin(&mut self, clock: u64) {
        self.tag = self.tag.max(clock.saturating_sub(1));
    }

    /// It is served; `clock` is that of all of them, and `waiting` the sum of the weights of those who wait, its own among them.
    pub(super) fn serve(&mut self, clock: &mut u64, waiting: u64) {
        *clock = (*clock).max(self.tag) + STEP / waiting.max(self.weight());
        self.tag += STEP / self.weight();
    }
}
