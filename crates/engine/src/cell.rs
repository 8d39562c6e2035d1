//! A run of this process behind one lock: its state and its drivers, its unwritten events, and who watches what.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use spanwise_core::{
    ActionName, AttemptNo, Command, Event, Fate, JournalFacts, LiveRun, News, Next, ProcessFacts, Rejection, Run,
    RunId, Timestamp,
};
use spanwise_store::{Definition, NewArtifact, Payloads, RunKey};
use tokio::sync::{Notify, watch};

use crate::error::Error;
use crate::pools::{EnginePools, Notice, PoolsOfRun};
use crate::settings::RunSettings;

mod feed;
mod reads;
mod rows;
mod unwritten;
mod watcher;

pub use feed::{ActionFeed, ChildFeed};
use feed::{Changed, Feeds};
pub use watcher::Watch;

/// A driver of an action of this process.
pub(crate) type Driver = spanwise_core::Driver<Notice>;

/// What is stored with the events of a command.
#[derive(Debug, Default)]
pub(crate) struct New {
    /// Inputs and outputs of its action.
    pub(crate) payloads: Payloads,
    /// What its action is made from.
    pub(crate) definitions: Vec<Definition>,
    /// The versions of artifacts that come to be by it.
    pub(crate) artifacts: Vec<NewArtifact>,
}

impl From<Payloads> for New {
    fn from(payloads: Payloads) -> New {
        New { payloads, ..New::default() }
    }
}

/// The state of a run behind one lock; commands are decided and applied under it, commits happen outside.
pub(crate) struct RunCell {
    id: RunId,
    key: OnceLock<RunKey>,
    settings: RunSettings,
    /// False if nobody is to be notified of its end.
    may_notify: bool,
    state: Mutex<CellState>,
    changes: watch::Sender<()>,
}

struct CellState {
    live: LiveRun<PoolsOfRun>,
    next_seq: u64,
    /// Events that no transaction has taken yet, and the actions they changed.
    events: Vec<Event>,
    changed: FxHashMap<ActionName, Payloads>,
    /// What actions are made from, by digest, until it is in the store.
    definitions: FxHashMap<String, Bytes>,
    /// Versions of artifacts that come to be by events that no transaction has taken yet.
    artifacts: Vec<NewArtifact>,
    watchers: FxHashMap<ActionName, Vec<Arc<Notify>>>,
    feeds: Feeds,
    /// The run was just created, and whoever did that is about to drive its root.
    root_claimed: bool,
    /// Why the run cannot go on in this process, if it cannot.
    broken: Option<Error>,
    /// Why the store refuses its events for good, if it does.
    refused: Option<Error>,
}

impl RunCell {
    pub(crate) fn new(id: RunId, settings: RunSettings, pools: &Arc<EnginePools>) -> RunCell {
        let run = Run::new(settings.limits());
        RunCell::with(id, OnceLock::new(), settings, (run, 0), pools)
    }

    /// A run as its stored events leave it, with the number of the next one.
    pub(crate) fn restored(
        id: RunId,
        key: RunKey,
        settings: RunSettings,
        stored: (Run, u64),
        pools: &Arc<EnginePools>,
    ) -> RunCell {
        RunCell::with(id, OnceLock::from(key), settings, stored, pools)
    }

    fn with(
        id: RunId,
        key: OnceLock<RunKey>,
        settings: RunSettings,
        (run, next_seq): (Run, u64),
        pools: &Arc<EnginePools>,
    ) -> RunCell {
        let state = CellState {
            live: LiveRun::new(run, pools.of_run(&id, &settings)),
            next_seq,
            events: Vec::new(),
            changed: FxHashMap::default(),
            definitions: FxHashMap::default(),
            artifacts: Vec::new(),
            watchers: FxHashMap::default(),
            feeds: Feeds::default(),
            root_claimed: false,
            broken: None,
            refused: None,
        };
        let state = Mutex::new(state);
        // Whom a run of an earlier process notifies is in the store alone.
        let may_notify = key.get().is_some() || !settings.receivers.is_empty();
        RunCell { id, key, settings, may_notify, state, changes: watch::Sender::new(()) }
    }

    pub(crate) fn id(&self) -> &RunId {
        &self.id
    }

    pub(crate) fn settings(&self) -> &RunSettings {
        &self.settings
    }

    pub(crate) fn may_notify(&self) -> bool {
        self.may_notify
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Gives a new run its key in the store. Whoever has created it is about to drive its root.
    pub(crate) fn set_key(&self, key: RunKey) {
        let _ = self.key.set(key);
        self.lock().root_claimed = true;
    }

    pub(crate) fn key(&self) -> RunKey {
        *self.key.get().expect("a run is shared only after the store gave it a key")
    }

    fn lock(&self) -> MutexGuard<'_, CellState> {
        // The rules do not panic, and nothing else runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides a command and applies its events. `new` belongs to the command's action, if events follow for it.
    pub(crate) fn command(&self, command: &Command, now: Timestamp, new: impl Into<New>) -> Result<bool, Rejection> {
        let mut state = self.lock();
        let changed = state.command(command, now, new.into())?;
        drop(state);
        if changed {
            self.announce();
        }
        Ok(changed)
    }

    /// What a driver of an action does next ([`Run::next`]), carried out as far as it changes the run.
    pub(crate) fn advance(
        &self,
        driver: &mut Driver,
        mut process: ProcessFacts,
        now: Timestamp,
    ) -> Result<Next, Rejection> {
        let mut state = self.lock();
        if process.journal == JournalFacts::Open {
            process.journal = state.journal();
        }
        let next = state.live.advance(driver, process, now);
        state.root_claimed &= !(driver.action().is_root() && driver.drives());
        let changed = state.absorb_news();
        drop(state);
        if changed {
            self.announce();
        }
        next
    }

    /// True if a driver goes on with what it is in the middle of ([`LiveRun::goes_on`]).
    pub(crate) fn goes_on(&self, driver: &Driver, is_interrupted: bool) -> bool {
        let state = self.lock();
        state.live.goes_on(driver, ProcessFacts { is_interrupted, journal: state.journal() })
    }

    /// What becomes of a dropped call ([`LiveRun::fate_of_call`]).
    pub(crate) fn fate_of_call(&self, caller: &ActionName, attempt: AttemptNo, is_interrupted: bool) -> Option<Fate> {
        self.lock().live.fate_of_call(caller, attempt, is_interrupted)
    }

    /// Tells of the children of `parent` from now on.
    pub(crate) fn feed(self: &Arc<Self>, parent: ActionName) -> ChildFeed {
        let changed = self.lock().feeds.add(parent);
        ChildFeed { cell: Arc::clone(self), parent, changed }
    }

    pub(crate) fn remove_feed(&self, parent: ActionName, changed: &Arc<Changed>) {
        self.lock().feeds.remove(parent, changed);
    }

    /// Tells of all actions from now on.
    pub(crate) fn feed_of_all(self: &Arc<Self>) -> ActionFeed {
        let changed = self.lock().feeds.add_of_all();
        ActionFeed { cell: Arc::clone(self), changed }
    }

    pub(crate) fn remove_feed_of_all(&self, changed: &Arc<Changed>) {
        self.lock().feeds.remove_of_all(changed);
    }

    /// Wakes the subscribers of the run.
    fn announce(&self) {
        if self.changes.receiver_count() > 0 {
            self.changes.send_replace(());
        }
    }

    /// Reports every attempt lost that the journal has under way: its process is gone.
    pub(crate) fn report_lost(&self, now: Timestamp) {
        let lost = self.lock().live.run().lost_attempts();
        for command in lost {
            // A refusal means that an earlier report of this loop has already ended it.
            let _ = self.command(&command, now, Payloads::default());
        }
    }

    /// An attempt begins to wait for something outside of its run, or has waited.
    pub(crate) fn wait_outside(&self, action: &ActionName, attempt: AttemptNo, begins: bool) {
        let mut state = self.lock();
        state.live.wait_outside(action, attempt, begins);
        state.absorb_news();
        drop(state);
        self.announce();
    }

    /// Gives every attempt under way back that is lost.
    pub(crate) fn release_all(&self, now: Timestamp, is_lost: &dyn Fn(&RunId, RunKey, &ActionName, AttemptNo) -> bool) {
        let under_way: Vec<(ActionName, AttemptNo)> = {
            let state = self.lock();
            let driven = state.live.run().actions().filter(|(_, action)| action.spec.tracked.is_none());
            driven.filter_map(|(name, action)| Some((*name, action.attempt()?))).collect()
        };
        let lost = under_way.into_iter().filter(|(action, attempt)| is_lost(&self.id, self.key(), action, *attempt));
        for (action, attempt) in lost {
            // A refusal means that it has ended meanwhile.
            let _ = self.command(&Command::Release { action, attempt }, now, Payloads::default());
        }
    }

    /// Tells everyone who waits that the run cannot go on in this process.
    pub(crate) fn break_off(&self, error: &Error) {
        let mut state = self.lock();
        state.broken.get_or_insert_with(|| error.clone());
        state.notify_all();
    }

    /// Wakes everyone who waits for anything of this run.
    pub(crate) fn wake_all(&self) {
        self.lock().notify_all();
    }

    pub(crate) fn broken(&self) -> Option<Error> {
        self.lock().broken.clone()
    }

    /// Breaks the run off: the store has refused its events for good, and will refuse what follows them.
    pub(crate) fn refuse(&self, error: &Error) {
        self.lock().refused.get_or_insert_with(|| error.clone());
        self.break_off(error);
    }

    pub(crate) fn refused(&self) -> Option<Error> {
        self.lock().refused.clone()
    }

    /// True if the run is broken off and nobody drives it any more: it can be taken up anew from the journal.
    pub(crate) fn is_given_up(&self) -> bool {
        let state = self.lock();
        state.broken.is_some() && state.live.is_left()
    }

    /// Gives back what its attempts take up: the run is being loaded anew, and whatever is still done with this one takes up nothing.
    pub(crate) fn give_up_pools(&self) {
        self.lock().live.give_up_pools(EnginePools::unlimited().of_run(&self.id, &self.settings));
    }

    /// Drives no more; whoever waits for the action may go on.
    pub(crate) fn leave(&self, driver: &mut Driver) {
        let mut state = self.lock();
        state.live.leave(driver);
        state.absorb_news();
    }

    /// Watches an action from now on.
    pub(crate) fn watch(self: &Arc<Self>, action: ActionName) -> Watch {
        let notify = Arc::new(Notify::new());
        self.lock().watchers.entry(action).or_default().push(Arc::clone(&notify));
        Watch { cell: Arc::clone(self), action, notify }
    }
}

impl CellState {
    /// Whether new events of this run can be written, apart from a full disk.
    fn journal(&self) -> JournalFacts {
        match (&self.refused, &self.broken) {
            (Some(_), _) => JournalFacts::Lost,
            (None, Some(_)) => JournalFacts::BrokenOff,
            (None, None) => JournalFacts::Open,
        }
    }

    fn command(&mut self, command: &Command, now: Timestamp, new: New) -> Result<bool, Rejection> {
        let changed = self.live.command(command, now)?;
        let News { events, woken } = self.live.take_news();
        if let Some(first) = events.first() {
            self.changed.entry(first.action).or_default().take_new(new.payloads);
            self.definitions.extend(new.definitions.into_iter().map(|Definition { digest, body }| (digest, body)));
            self.artifacts.extend(new.artifacts);
        }
        self.absorb(events, &woken);
        Ok(changed)
    }

    /// Takes over what has happened to the run. True if something has.
    fn absorb_news(&mut self) -> bool {
        let News { events, woken } = self.live.take_news();
        let changed = !events.is_empty();
        self.absorb(events, &woken);
        changed
    }

    fn absorb(&mut self, events: Vec<Event>, woken: &[ActionName]) {
        for event in &events {
            let parent = self.live.run().action(&event.action).and_then(|action| action.spec.parent);
            self.feeds.note(parent, event.action);
            self.changed.entry(event.action).or_default();
        }
        self.events.extend(events);
        woken.iter().for_each(|action| self.notify(action));
    }

    fn notify_all(&self) {
        self.watchers.values().flatten().for_each(|watcher| watcher.notify_one());
    }

    fn notify(&self, action: &ActionName) {
        self.watchers.get(action).into_iter().flatten().for_each(|watcher| watcher.notify_one());
    }
}
