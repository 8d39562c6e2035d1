//! A run in one process: its state, who drives which action, and who has to look again.
//!
//! [`Run::next`] decides what a driver does; here that is carried out as far as it changes the run or its drivers. Whoever has the
//! run waits, runs attempts and asks the cache, and tells drivers what [`LiveRun::take_news`] says.

use rustc_hash::FxHashSet;

use crate::admission::{Change, Refusal, Standing, Wish};
use crate::event::Wait;
use crate::run::{Command, DriverFacts, JournalFacts, Next, ProcessFacts, Rejection, Run};
use crate::{ActionName, AttemptNo, Event, State, Timestamp};

mod driver;
mod dropped;
mod standings;
#[cfg(test)]
mod tests;

use driver::Doing;
pub use driver::{Driver, Ended};
pub use dropped::Fate;
#[cfg(test)]
pub(crate) use tests::Random;

/// The pools of the engine, as one of its runs has them: [`crate::admission::Admission`].
pub trait RunPools {
    /// What tells a driver that its attempt may begin.
    type Notice;

    /// False if there are no limits: nobody counts.
    fn are_limited(&self) -> bool;

    /// True if the spans of attempts of the run are exported.
    fn are_traced(&self) -> bool;

    /// Counts a new action among those that wait.
    ///
    /// # Errors
    /// [`Refusal`]: it must not be accepted.
    fn accept(&self, action: ActionName, wish: &Wish, is_awaited: bool) -> Result<(), Refusal>;

    /// Lets a driver launch its action, or has it stand in line.
    fn claim(&self, action: ActionName, wish: &Wish, notice: &Self::Notice) -> bool;

    /// The action will not be launched by its driver.
    fn withdraw(&self, action: ActionName);

    /// Actions of the run stand otherwise than before, all of them at once.
    fn set(&self, changes: Vec<Change>);

    /// What keeps an action that stands in line from being launched.
    fn obstacle(&self, action: ActionName) -> Option<Wait>;
}

/// What has happened to a run since the last [`LiveRun::take_news`].
#[derive(Debug, Default)]
pub struct News {
    /// Facts to be written, in order; they are applied.
    pub events: Vec<Event>,
    /// Whoever watches one of these actions has to look again.
    pub woken: Vec<ActionName>,
}

/// A run in one process.
#[derive(Debug)]
pub struct LiveRun<S> {
    run: Run,
    pools: S,
    drivers: Drivers,
    news: News,
}

impl<S: RunPools> LiveRun<S> {
    /// A run as its events leave it, with what its attempts take up. Nobody drives it yet.
    pub fn new(run: Run, pools: S) -> LiveRun<S> {
        let live = LiveRun { run, pools, drivers: Drivers::default(), news: News::default() };
        live.set_all(Standing::of);
        live
    }

    /// Its state.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// What has happened since the last call: its events have to be written, and whoever has to look again has to be told.
    #[must_use = "events have to be written, and whoever has to look again has to be told"]
    pub fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// Decides a command and applies its events. False if it changes nothing.
    ///
    /// # Errors
    /// As [`Run::decide`]; the run is as it was.
    pub fn command(&mut self, command: &Command, now: Timestamp) -> Result<bool, Rejection> {
        let accepted = self.accept(command)?;
        let decided = self.run.decide(command, now);
        let events = match decided {
            Ok(events) if !events.is_empty() => events,
            other => {
                accepted.into_iter().for_each(|action| self.set_apart(action));
                return other.map(|_| false);
            }
        };
        let before = self.standings(&events);
        for event in &events {
            self.run.apply(event);
            self.news.woken.push(event.action);
        }
        self.news.events.extend(events);
        self.count_since(before);
        Ok(true)
    }

    /// Decides what a driver does next, and carries out what changes the run: an attempt is launched when this says
    /// [`Next::Launch`], and held when it says [`Next::Hold`]. The driver drives from now on if nobody else does.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] if there is no such action.
    pub fn advance(
        &mut self,
        driver: &mut Driver<S::Notice>,
        process: ProcessFacts,
        now: Timestamp,
    ) -> Result<Next, Rejection> {
        let action = driver.action;
        if driver.drives {
            self.drivers.looking_up.remove(&action);
        }
        driver.doing = Doing::Nothing;
        let mut next = self.next(driver, process, !self.pools.are_limited())?;
        if next.goes_on() && self.drivers.driven.insert(action) {
            driver.drives = true;
        }
        if let Next::Hold { .. } = next {
            let has_claimed = self.claim(driver);
            driver.is_in_line = !has_claimed;
            next = self.next(driver, process, has_claimed)?;
        } else {
            // Whoever could use the slot must not wait behind one that cannot.
            self.leave_line(driver);
        }
        match next {
            Next::Adopt { attempt } => {
                driver.cache_is_read = true;
                driver.doing = Doing::Attempt(attempt);
            }
            Next::LookUp(_) => {
                driver.cache_is_read = true;
                driver.doing = Doing::Lookup;
                self.drivers.looking_up.insert(action);
                // Other actions of the run may be launched while this one asks the cache.
                self.wake_next_in_line();
            }
            Next::Hold { .. } => {
                let wait = self.pools.obstacle(action);
                self.command(&Command::Hold { action, wait }, now)?;
            }
            Next::Launch { attempt } => {
                let launched = self.launch(driver, attempt, now);
                if launched.is_err() {
                    self.pools.withdraw(action);
                }
                launched?;
                driver.doing = Doing::Attempt(attempt);
            }
            Next::Finished(_) | Next::GiveBack | Next::AwaitRoom | Next::Leave => {}
            Next::Watch | Next::Wait { .. } | Next::Sleep { .. } => {}
        }
        Ok(next)
    }

    fn next(&self, driver: &Driver<S::Notice>, process: ProcessFacts, has_slot: bool) -> Result<Next, Rejection> {
        let facts = DriverFacts {
            drives: driver.drives || !self.drivers.driven.contains(&driver.action),
            watches: driver.watches,
            adopts: driver.adopts,
            cache_is_read: driver.cache_is_read,
            has_slot,
            process,
            is_ready: &|name| self.drivers.is_ready(name),
        };
        self.run.next(&driver.action, &facts)
    }

    fn claim(&self, driver: &Driver<S::Notice>) -> bool {
        let Some(action) = self.run.action(&driver.action) else { return false };
        self.pools.claim(driver.action, &Wish::of(&action.spec), &driver.notice)
    }

    fn launch(&mut self, driver: &Driver<S::Notice>, attempt: AttemptNo, now: Timestamp) -> Result<(), Rejection> {
        let action = driver.action;
        self.command(&Command::Launch { action }, now)?;
        if driver.starts_at_once {
            self.command(&Command::ReportStarted { action, attempt }, now)?;
        }
        Ok(())
    }

    /// True if a driver goes on with the lookup or the attempt that [`LiveRun::advance`] has sent it into. Whoever is in the middle of one asks
    /// when it begins, whenever its action changes and when a timer is due; when this says no, it drops what it does and looks again.
    ///
    /// A full disk ends neither: what happens is written later. `process` says so of the run with [`JournalFacts::BrokenOff`] and
    /// [`JournalFacts::Lost`].
    pub fn goes_on(&self, driver: &Driver<S::Notice>, process: ProcessFacts) -> bool {
        let action = self.run.action(&driver.action);
        let is_open = match driver.doing {
            Doing::Nothing => false,
            Doing::Lookup => {
                let is_at_end = action.is_none_or(crate::Action::is_finished);
                !is_at_end && !matches!(process.journal, JournalFacts::BrokenOff | JournalFacts::Lost)
            }
            // An attempt of a run that is broken off may still end, and its end be written.
            Doing::Attempt(attempt) => {
                action.and_then(crate::Action::attempt) == Some(attempt) && process.journal != JournalFacts::Lost
            }
        };
        is_open && !process.is_interrupted
    }

    /// A driver drives no more: another one who waits for the action may go on with it.
    pub fn leave(&mut self, driver: &mut Driver<S::Notice>) {
        if !driver.drives {
            return;
        }
        driver.drives = false;
        self.drivers.driven.remove(&driver.action);
        self.drivers.looking_up.remove(&driver.action);
        self.leave_line(driver);
        self.news.woken.push(driver.action);
        // If it was next in line, somebody else is now.
        self.wake_next_in_line();
    }

    /// An attempt begins to wait for something outside of its run, or has waited: [`Run::wait_outside`].
    pub fn wait_outside(&mut self, action: &ActionName, attempt: AttemptNo, begins: bool) {
        let before = self.standing_of(action);
        self.run.wait_outside(action, attempt, begins);
        self.count_since(before);
    }

    /// The run is taken up anew from the journal: whatever is still done with this one takes up nothing of the engine's.
    pub fn give_up_pools(&mut self, unlimited: S) {
        self.set_all(|_| Standing::Apart);
        self.pools = unlimited;
    }

    /// The pools of the engine, as the run has them.
    pub fn pools(&self) -> &S {
        &self.pools
    }

    /// True if somebody in this process drives the action.
    pub fn is_driven(&self, action: &ActionName) -> bool {
        self.drivers.driven.contains(action)
    }

    /// True if nobody in this process drives any of its actions.
    pub fn is_left(&self) -> bool {
        self.drivers.driven.is_empty()
    }

    /// Why an action is held back; none if it is not.
    pub fn held_by(&self, action: &ActionName) -> Option<HeldBy> {
        let State::Queued { waits_for_slot: true, .. } = self.run.action(action)?.state else { return None };
        Some(match self.drivers.looking_up.contains(action) {
            true => HeldBy::Key,
            false if !self.run.has_free_slot() => HeldBy::Run,
            false => HeldBy::Engine,
        })
    }

    fn leave_line(&self, driver: &mut Driver<S::Notice>) {
        if std::mem::take(&mut driver.is_in_line) {
            self.pools.withdraw(driver.action);
        }
    }

    fn wake_next_in_line(&mut self) {
        let LiveRun { run, drivers, news, .. } = self;
        if run.is_limited() {
            news.woken.extend(run.next_in_line(|name| drivers.is_ready(name)));
        }
    }
}

/// Who drives which action.
#[derive(Debug, Default)]
struct Drivers {
    /// Actions that somebody in this process drives.
    driven: FxHashSet<ActionName>,
    /// Those of them whose driver asks the cache, or waits for another computation of their key.
    looking_up: FxHashSet<ActionName>,
}

impl Drivers {
    /// True if an action has a driver that would launch it now.
    fn is_ready(&self, action: &ActionName) -> bool {
        self.driven.contains(action) && !self.looking_up.contains(action)
    }
}

/// Why a queued action is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// Another action computes its cache key.
    Key,
    /// The slots of its run are taken.
    Run,
    /// A pool of the engine has too little left.
    Engine,
}
