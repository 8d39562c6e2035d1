//! Fair shares in virtual time (start-time fair queueing): who is served moves its own clock on by a step that is the smaller the greater its
//! weight is, and whoever is furthest behind is next. Whoever begins to wait begins where the others are: what it has not used is not saved up.

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

    /// It begins to wait, where the others are at `clock`.
    pub(super) fn begin(&mut self, clock: u64) {
        self.tag = self.tag.max(clock);
    }

    /// It is served; `clock` is that of all of them, and `is_alone` says that nobody else waits: then nothing is owed to anybody.
    pub(super) fn serve(&mut self, clock: &mut u64, is_alone: bool) {
        *clock = (*clock).max(self.tag);
        self.tag += STEP / u64::from(self.weight);
        if is_alone {
            *clock = (*clock).max(self.tag);
        }
    }
}
