//! A small world of drivers: runs, an engine's slots, keys of the cache, a disk that may be full, and drivers that are dropped, joined
//! by others and killed with their process. Time stands still unless the story lets it pass.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::super::*;
use super::driving::SimDriver;
use super::random::Random;
use crate::admission::{Admission, Change, Limits, Owner, QueueLimits, Refusal, Wish};
use crate::{CachePolicy, End, Failure, JournalFacts, RunLimits, Wait};

pub(super) type DriverId = u32;

/// How a story is set up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Setup {
    /// The slots of the engine. With some there is a queue with one, too: [`NARROW`].
    pub(super) slots: Option<u32>,
    /// So many actions under each root want the few slots of their run; nothing else goes wrong.
    pub(super) crowd: Option<usize>,
    /// Attempts outlive their drivers and the process.
    pub(super) adopts: bool,
    pub(super) starts_at_once: bool,
    /// Whoever drives waits while the disk is full; else the run is broken off.
    pub(super) waits_for_room: bool,
    pub(super) fault: Option<Fault>,
}

/// A queue in which one attempt at a time does something.
pub(super) const NARROW: &str = "narrow";

/// What a process does wrong, to see that the simulator finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Whoever has to look again is not always told.
    ForgetsToWake,
    /// A slot that is there is not always told of.
    ForgetsTurns,
    /// A driver looks, waits, and only then begins to watch.
    WatchesTooLate,
    /// Attempts are launched whether or not there is a slot.
    LaunchesWithoutSlot,
    /// A driver that is dropped keeps its place in the line for slots.
    StaysInLine,
    /// A driver that is dropped says so to nobody.
    KeepsTheAction,
    /// The cache is taken for read by whoever begins to drive.
    SkipsTheCache,
    /// The right to compute a key is not passed on.
    KeepsTheKey,
    /// Nobody looks whether the disk is full.
    IgnoresAFullDisk,
    /// An outcome is told before it is written.
    AnswersTooEarly,
    /// Attempts of an earlier process are not found again.
    ForgetsToAdopt,
    /// A driver that leaves tells nobody whose turn it is now under the run's own limit.
    LeavesWithoutAWord,
    /// A driver that asks the cache tells nobody whose turn it is meanwhile.
    LooksUpWithoutAWord,
    /// Of several slots of a run that become free only one is handed on.
    HandsOnOneSlot,
    /// A driver that has asked the cache still counts among those that do.
    LooksUpForEver,
    /// An action that nobody drives keeps others from their turn.
    CountsUndriven,
}

/// A run of the world.
pub(super) struct SimRun {
    pub(super) live: LiveRun<SimPools>,
    limits: RunLimits,
    pub(super) written: Vec<Event>,
    unwritten: Vec<Event>,
    /// It does not go on in this process: what is not written is refused for good, or waits for room.
    pub(super) lost: Option<Lost>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    Refused,
    Full,
}

/// Who computes a key, and who waits for that.
#[derive(Default)]
pub(super) struct Key {
    pub(super) holder: Option<DriverId>,
    pub(super) queue: VecDeque<DriverId>,
}

/// The engine's pools, with a second opinion on who may begin.
pub(super) struct SimPools {
    owner: Owner<u32>,
    engine: Rc<RefCell<PoolBook>>,
}

#[derive(Default)]
pub(super) struct PoolBook {
    pub(super) pools: Option<Admission<u32, DriverId>>,
    /// Drivers who may begin, and who are not told yet.
    told: Vec<DriverId>,
    granted: BTreeSet<DriverId>,
    /// Drivers that may begin and have not launched.
    claimed: BTreeSet<DriverId>,
    fault: Option<Fault>,
    pub(super) violation: Option<String>,
}

/// Rates are no part of this world.
const NOW: Timestamp = Timestamp(0);

impl PoolBook {
    fn grant(&mut self, notices: Vec<DriverId>) {
        self.granted.extend(&notices);
        self.told.extend(notices);
    }
}

impl RunPools for SimPools {
    type Notice = DriverId;

    fn are_limited(&self) -> bool {
        self.engine.borrow().pools.is_some()
    }

    fn are_traced(&self) -> bool {
        false
    }

    fn accept(&self, action: ActionName, wish: &Wish, is_awaited: bool) -> Result<(), Refusal> {
        let mut book = self.engine.borrow_mut();
        book.pools.as_mut().map_or(Ok(()), |pools| pools.accept(&self.owner, action, wish, is_awaited))
    }

    fn claim(&self, action: ActionName, wish: &Wish, notice: &DriverId) -> bool {
        let mut book = self.engine.borrow_mut();
        if book.fault == Some(Fault::LaunchesWithoutSlot) {
            return true;
        }
        let Some(pools) = &mut book.pools else { return true };
        let was_full = pools.are_full_for(wish);
        let claimed = pools.claim(&self.owner, action, wish, notice, NOW);
        book.grant(claimed.notices);
        if claimed.may_begin && !book.granted.remove(notice) && was_full {
            book.violation = Some(format!("{action} may begin and no slot was free"));
        }
        if claimed.may_begin {
            book.claimed.insert(*notice);
        }
        claimed.may_begin
    }

    fn withdraw(&self, action: ActionName) {
        let mut book = self.engine.borrow_mut();
        if book.fault == Some(Fault::StaysInLine) {
            return;
        }
        let notices = book.pools.as_mut().map(|pools| pools.withdraw(self.owner.run, action));
        book.grant(notices.unwrap_or_default());
    }

    fn set(&self, changes: Vec<Change>) {
        let mut book = self.engine.borrow_mut();
        let notices = book.pools.as_mut().map(|pools| pools.set(&self.owner, changes, NOW));
        book.grant(notices.unwrap_or_default());
    }

    fn obstacle(&self, action: ActionName) -> Option<Wait> {
        let book = self.engine.borrow();
        let obstacle = book.pools.as_ref()?.obstacle(self.owner.run, action)?;
        Some(Wait { pool: obstacle.to_string(), ..Wait::default() })
    }
}

pub(super) struct World {
    pub(super) random: Random,
    pub(super) setup: Setup,
    pub(super) now: Timestamp,
    pub(super) runs: Vec<SimRun>,
    pub(super) drivers: BTreeMap<DriverId, SimDriver>,
    /// One whom the others overtake for a while.
    pub(super) slow: Option<DriverId>,
    pub(super) keys: BTreeMap<String, Key>,
    /// Keys that the cache has outputs for.
    pub(super) cached: BTreeSet<String>,
    pub(super) is_full: bool,
    pub(super) is_interrupted: bool,
    /// Nothing goes wrong any more, and nothing new is called.
    pub(super) is_calm: bool,
    /// Calls that were dropped, and whose caller has not said yet what becomes of them.
    pub(super) deferred: Vec<(usize, ActionName, Option<AttemptNo>)>,
    /// What somebody was told.
    answered: Vec<(usize, ActionName, End)>,
    book: Rc<RefCell<PoolBook>>,
    last_driver: DriverId,
    last_run: u32,
    pub(super) diary: Vec<String>,
}

impl World {
    pub(super) fn new(random: Random, setup: Setup) -> World {
        let mut world = World {
            random,
            setup,
            now: Timestamp(0),
            runs: Vec::new(),
            drivers: BTreeMap::new(),
            slow: None,
            keys: BTreeMap::new(),
            cached: BTreeSet::new(),
            is_full: false,
            is_interrupted: false,
            is_calm: false,
            deferred: Vec::new(),
            answered: Vec::new(),
            book: Rc::default(),
            last_driver: 0,
            last_run: 0,
            diary: Vec::new(),
        };
        world.new_book();
        world
    }

    pub(super) fn note(&mut self, line: String) {
        self.diary.push(format!("{:>6} {line}", self.now.0 / 1000));
    }

    /// A process begins, with all its pools unused.
    fn new_book(&mut self) {
        let limits = |slots| {
            let narrow = QueueLimits { concurrency: Some(1), ..QueueLimits::default() };
            Limits { queues: [(NARROW.to_owned(), narrow)].into(), ..Limits::of_slots(Some(slots)) }
        };
        let (pools, fault) = (self.setup.slots.map(|slots| Admission::new(&limits(slots))), self.setup.fault);
        self.book = Rc::new(RefCell::new(PoolBook { pools, fault, ..PoolBook::default() }));
    }

    fn pools_of_run(&mut self) -> SimPools {
        self.last_run += 1;
        SimPools { owner: owner(self.last_run), engine: Rc::clone(&self.book) }
    }

    /// A new run, which is written at once.
    pub(super) fn create(&mut self, limits: RunLimits, root: crate::ActionSpec) {
        let pools = self.pools_of_run();
        let mut live = LiveRun::new(Run::new(limits), pools);
        live.command(&Command::Enqueue { action: ActionName::ROOT, spec: root.into() }, self.now).unwrap();
        let written = live.take_news().events;
        self.runs.push(SimRun { live, limits, written, unwritten: Vec::new(), lost: None });
        self.note(format!("run {} is created", self.runs.len() - 1));
    }

    /// Sends a command; a refusal means that the action has moved on.
    pub(super) fn command(&mut self, run: usize, command: &Command) {
        let before = self.runs[run].unwritten.len();
        let now = self.now;
        let _ = self.with_live(run, None, |live| live.command(command, now));
        self.absorb_news(run);
        let new = self.runs[run].unwritten[before..].iter();
        let lines: Vec<String> = new.map(|event| format!("{run}/{}: {:?}", event.action, event.fact)).collect();
        lines.into_iter().for_each(|line| self.note(line));
    }

    /// Does something with a run, in one of its drivers if `own` is its action.
    pub(super) fn with_live<T>(
        &mut self,
        run: usize,
        own: Option<ActionName>,
        what: impl FnOnce(&mut LiveRun<SimPools>) -> T,
    ) -> T {
        let live = &mut self.runs[run].live;
        if self.setup.fault != Some(Fault::CountsUndriven) {
            return what(live);
        }
        let queued = live.run.actions().filter(|(_, action)| matches!(action.state, State::Queued { .. }));
        let queued = queued.map(|(name, _)| *name);
        let undriven: Vec<ActionName> = queued.filter(|name| Some(*name) != own && !live.is_driven(name)).collect();
        live.drivers.driven.extend(&undriven);
        let result = what(live);
        live.drivers.driven.retain(|name| !undriven.contains(name));
        result
    }

    /// Forgets whose turn it is in a run now: only `action` itself has changed.
    pub(super) fn forget_whose_turn_it_is(&mut self, run: usize, action: ActionName) {
        self.runs[run].live.news.woken.retain(|woken| *woken == action);
    }

    /// Tells whoever has to be told.
    pub(super) fn absorb_news(&mut self, run: usize) {
        let News { events, mut woken } = self.runs[run].live.take_news();
        if self.setup.fault == Some(Fault::HandsOnOneSlot) {
            let changed: BTreeSet<ActionName> = events.iter().map(|event| event.action).collect();
            let mut handed_on = woken.iter().copied().filter(|name| !changed.contains(name));
            let first = handed_on.next();
            woken.retain(|name| changed.contains(name) || Some(*name) == first);
        }
        self.runs[run].unwritten.extend(events);
        for action in woken {
            if self.setup.fault == Some(Fault::ForgetsToWake) && self.random.one_in(4) {
                continue;
            }
            self.wake(|driver| driver.run == run && driver.rules.action() == action);
        }
        for turn in std::mem::take(&mut self.book.borrow_mut().told) {
            if self.setup.fault == Some(Fault::ForgetsTurns) && self.random.one_in(2) {
                continue;
            }
            if let Some(driver) = self.drivers.get_mut(&turn) {
                driver.has_turn = true;
            }
        }
    }

    pub(super) fn wake(&mut self, whom: impl Fn(&SimDriver) -> bool) {
        for driver in self.drivers.values_mut().filter(|driver| whom(driver)) {
            driver.is_told |= driver.watches;
            driver.is_told_within = true;
        }
    }

    pub(super) fn process_facts(&self, run: usize) -> ProcessFacts {
        let looks = self.setup.fault != Some(Fault::IgnoresAFullDisk);
        let facts = self.facts_of_run(run);
        if self.is_full && looks { ProcessFacts { journal: JournalFacts::Full, ..facts } } else { facts }
    }

    /// The same, whatever the disk does.
    pub(super) fn facts_of_run(&self, run: usize) -> ProcessFacts {
        let journal = match self.runs[run].lost {
            Some(Lost::Refused) => JournalFacts::Lost,
            Some(Lost::Full) => JournalFacts::BrokenOff,
            None => JournalFacts::Open,
        };
        ProcessFacts { is_interrupted: self.is_interrupted, journal }
    }

    /// One more who waits for the end of an action; `caller` is the attempt whose body does.
    pub(super) fn call(&mut self, run: usize, action: ActionName, caller: Option<(ActionName, AttemptNo)>) -> DriverId {
        self.last_driver += 1;
        let id = self.last_driver;
        let adopts = self.setup.adopts && self.setup.fault != Some(Fault::ForgetsToAdopt);
        let rules = Driver::new(action, id).adopting(adopts).starting_at_once(self.setup.starts_at_once);
        self.drivers.insert(id, SimDriver::new(run, rules, caller));
        self.note(format!("{run}/{action}: driver {id} begins"));
        id
    }

    /// Writes what has happened to a run, unless the disk is full or the run is refused.
    pub(super) fn commit(&mut self, run: usize) -> bool {
        let is_refused = self.runs[run].lost == Some(Lost::Refused);
        if !self.is_full && !is_refused {
            let unwritten = std::mem::take(&mut self.runs[run].unwritten);
            self.runs[run].written.extend(unwritten);
        }
        self.runs[run].unwritten.is_empty()
    }

    pub(super) fn is_safe(&self, run: usize) -> bool {
        self.runs[run].unwritten.is_empty()
    }

    /// The run does not go on in this process.
    pub(super) fn break_off(&mut self, run: usize, why: Lost) {
        self.note(format!("run {run} is broken off: {why:?}"));
        self.runs[run].lost.get_or_insert(why);
        self.wake(|driver| driver.run == run);
    }

    /// Takes up a run anew from the journal, if nobody drives it any more and all that will be written of it is written.
    pub(super) fn resume(&mut self, run: usize) -> bool {
        let Some(why) = self.runs[run].lost else { return false };
        if !self.runs[run].live.is_left() || (why == Lost::Full && !self.commit(run)) {
            return false;
        }
        let none = SimPools { owner: owner(0), engine: Rc::default() };
        self.runs[run].live.give_up_pools(none);
        // Whoever still looks on has the old one.
        self.drivers.retain(|_, driver| driver.run != run);
        self.deferred.retain(|(of, ..)| *of != run);
        self.load(run);
        self.note(format!("run {run} is taken up anew"));
        true
    }

    fn load(&mut self, index: usize) {
        let pools = self.pools_of_run();
        let run = &mut self.runs[index];
        let mut folded = Run::new(run.limits);
        run.written.iter().for_each(|event| folded.apply(event));
        folded.count_timers_from(self.now, self.now);
        let lost = folded.lost_attempts();
        (run.live, run.lost) = (LiveRun::new(folded, pools), None);
        run.unwritten.clear();
        if !self.setup.adopts {
            lost.iter().for_each(|command| self.command(index, command));
        }
        self.absorb_news(index);
    }

    /// The process ends here, and another one begins with what is written.
    pub(super) fn restart(&mut self) {
        self.note("the process is killed, another one begins".to_owned());
        self.drivers.clear();
        self.keys.clear();
        self.deferred.clear();
        self.is_interrupted = false;
        self.new_book();
        for run in 0..self.runs.len() {
            self.load(run);
        }
    }

    pub(super) fn answer(&mut self, run: usize, action: ActionName, end: End) {
        self.answered.push((run, action, end));
    }

    pub(super) fn fails(&self) -> Failure {
        Failure::user("Oops", "it broke")
    }

    pub(super) fn cache_policy(&self, run: usize, action: &ActionName) -> Option<CachePolicy> {
        self.runs[run].live.run().action(action)?.spec.cache.clone()
    }

    /// True if the driver has taken a slot for its launch, or needs none.
    pub(super) fn launches_with_a_slot(&self, id: DriverId) -> bool {
        let mut book = self.book.borrow_mut();
        book.claimed.remove(&id) || book.pools.is_none()
    }

    /// What must be true between any two steps.
    pub(super) fn check(&self) -> Result<(), String> {
        let book = self.book.borrow();
        if let Some(violation) = &book.violation {
            return Err(violation.clone());
        }
        let busy: usize = self.runs.iter().map(|run| run.live.run().busy().len()).sum();
        if let Some(pools) = &book.pools {
            pools.check()?;
            let (begun, granted) = (pools.begun(), pools.granted());
            if begun != busy + granted {
                return Err(format!("{begun} slots are taken, by {busy} attempts and {granted} that may begin"));
            }
        }
        let mut driven = BTreeSet::new();
        for driver in self.drivers.values().filter(|driver| driver.rules.drives()) {
            let (run, action) = (driver.run, driver.rules.action());
            if !driven.insert((run, action)) {
                return Err(format!("{run}/{action} has two drivers"));
            }
            if !self.runs[run].live.is_driven(&action) {
                return Err(format!("{run}/{action} has a driver and does not know it"));
            }
        }
        let known: usize = self.runs.iter().map(|run| run.live.drivers.driven.len()).sum();
        if known != driven.len() {
            return Err(format!("{known} actions are taken for driven, {} are", driven.len()));
        }
        Ok(())
    }

    /// What somebody was told is written.
    pub(super) fn check_answers(&self) -> Result<(), String> {
        for (run, action, end) in &self.answered {
            let mut folded = Run::new(self.runs[*run].limits);
            self.runs[*run].written.iter().for_each(|event| folded.apply(event));
            if folded.action(action).and_then(crate::Action::end) != Some(end) {
                return Err(format!("{run}/{action}: somebody was told {end:?}, which is not written"));
            }
        }
        Ok(())
    }
}

fn owner(run: u32) -> Owner<u32> {
    Owner { run, name: format!("r{run}").into(), project: "p".into(), key: None, weight: 1 }
}
