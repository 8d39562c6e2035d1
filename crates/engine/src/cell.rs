//! The state of a run in this process: its actions, its unwritten events, who drives and who watches what.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet};
use spanwise_core::lifecycle::Lifecycle;
use spanwise_core::trace::TraceParent;
use spanwise_core::{
    Action, ActionName, ActionSpec, AttemptNo, CachePolicy, Command, End, Event, Rejection, Run, RunId, State,
    Timestamp,
};
use spanwise_store::{ActionRow, Append, Payloads, RunKey};
use tokio::sync::{Notify, watch};

use crate::error::Error;
use crate::feed::{Changed, ChildFeed, Feeds};
use crate::places::Places;
use crate::settings::RunSettings;

mod rows;
mod watcher;

use rows::{ended_at, row};
pub use watcher::Watch;

/// The state of a run behind one lock; commands are decided and applied under it, commits happen outside.
pub(crate) struct RunCell {
    id: RunId,
    key: OnceLock<RunKey>,
    settings: RunSettings,
    state: Mutex<CellState>,
    changes: watch::Sender<()>,
}

struct CellState {
    run: Run,
    next_seq: u64,
    /// Events that no transaction has taken yet, and the actions they changed.
    events: Vec<Event>,
    changed: FxHashMap<ActionName, Payloads>,
    watchers: FxHashMap<ActionName, Vec<Arc<Notify>>>,
    feeds: Feeds,
    places: Arc<Places>,
    /// Actions that somebody in this process drives.
    driven: FxHashSet<ActionName>,
    /// Those of them whose driver asks the cache, or waits for another computation of their key.
    looking_up: FxHashSet<ActionName>,
    /// The run was just created, and whoever did that is about to drive its root.
    root_claimed: bool,
    /// Why the run cannot go on in this process, if it cannot.
    broken: Option<Error>,
    /// Why the store will never take what happened to it, if so.
    refused: Option<Error>,
}

/// What a driver holds while it drives: the wheel, if it has it, and its turn where places are short.
#[derive(Debug, Default)]
pub(crate) struct Wheel {
    /// True if nobody else drives the action.
    pub(crate) taken: bool,
    /// An attempt that is under way without a driver may be taken up again.
    pub(crate) adopts: bool,
    /// The cache was asked, or it is too late to ask.
    pub(crate) looked_up: bool,
    /// It waits for a place, or has one that it has not used yet.
    pub(crate) in_line: bool,
    /// Tells that a place is there.
    pub(crate) turn: Arc<Notify>,
}

/// Why a queued action is held back.
pub(crate) enum Held {
    /// Another action computes its cache key.
    Key,
    /// The places of its run are taken by these.
    Run { limit: u32, busy: Vec<ActionName> },
    /// By something outside of its run.
    Outside,
}

/// What a driver has to do next.
pub(crate) enum Next {
    /// Nothing: the action is at its end.
    Finished(End),
    /// Nothing more in this process.
    Broken(Error),
    /// Run this attempt, which was just launched for it; or take it up again, if an earlier process launched it.
    Run { attempt: AttemptNo, adopted: bool },
    /// Ask the cache before the first attempt.
    LookUp(CachePolicy),
    /// Wait for a change, or until a timer is due.
    Wait { due: Option<Timestamp> },
}

impl RunCell {
    pub(crate) fn new(id: RunId, settings: RunSettings, places: Arc<Places>) -> RunCell {
        let run = Run::new(settings.limits());
        RunCell::with(id, OnceLock::new(), settings, (run, 0), places)
    }

    /// A run as its stored events leave it, with the number of the next one.
    pub(crate) fn restored(
        id: RunId,
        key: RunKey,
        settings: RunSettings,
        stored: (Run, u64),
        places: Arc<Places>,
    ) -> RunCell {
        places.change(i64::from(stored.0.occupied()));
        RunCell::with(id, OnceLock::from(key), settings, stored, places)
    }

    fn with(
        id: RunId,
        key: OnceLock<RunKey>,
        settings: RunSettings,
        (run, next_seq): (Run, u64),
        places: Arc<Places>,
    ) -> RunCell {
        let state = CellState {
            run,
            next_seq,
            events: Vec::new(),
            changed: FxHashMap::default(),
            watchers: FxHashMap::default(),
            feeds: Feeds::default(),
            places,
            driven: FxHashSet::default(),
            looking_up: FxHashSet::default(),
            root_claimed: false,
            broken: None,
            refused: None,
        };
        let state = Mutex::new(state);
        RunCell { id, key, settings, state, changes: watch::Sender::new(()) }
    }

    pub(crate) fn id(&self) -> &RunId {
        &self.id
    }

    pub(crate) fn settings(&self) -> &RunSettings {
        &self.settings
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    pub(crate) fn root_spec(&self) -> Option<Arc<ActionSpec>> {
        self.lock().run.root().map(|root| Arc::clone(&root.spec))
    }

    /// All actions as they are now, in no order.
    pub(crate) fn rows(&self) -> Vec<ActionRow> {
        self.lock().run.actions().map(|(name, action)| row(*name, action)).collect()
    }

    /// When an action began and ended, and how, if it has.
    pub(crate) fn recorded(&self, action: &ActionName) -> Option<(Timestamp, Timestamp, End)> {
        let state = self.lock();
        let known = state.run.action(action)?;
        Some((known.enqueued_at, known.updated_at, known.end()?.clone()))
    }

    /// The code of the timeout that cut an attempt short, if one did.
    pub(crate) fn timeout_of(&self, action: &ActionName, attempt: AttemptNo) -> Option<String> {
        let state = self.lock();
        let known = state.run.action(action)?;
        match known.end() {
            Some(End::TimedOut(failure)) if known.attempts == attempt.0 => Some(failure.code.clone()),
            _ => (known.timed_out == Some(attempt)).then(|| spanwise_core::code::MAX_RUNTIME_EXCEEDED.to_owned()),
        }
    }

    /// True if somebody in this process drives the action, or is about to.
    pub(crate) fn is_driven(&self, action: &ActionName) -> bool {
        let state = self.lock();
        state.driven.contains(action) || (action.is_root() && state.root_claimed)
    }

    /// Makes a new run known by its key; whoever created it is the one who drives it.
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

    /// Decides a command and applies its events. `payloads` belong to the command's action, if events follow for it.
    pub(crate) fn command(&self, command: &Command, now: Timestamp, payloads: Payloads) -> Result<bool, Rejection> {
        let mut state = self.lock();
        let changed = state.command(command, now, payloads)?;
        drop(state);
        if changed {
            self.announce();
        }
        Ok(changed)
    }

    /// Looks at an action and, if an attempt is owed and nobody else drives it, launches it. With `starts_at_once` the
    /// executor gives its first sign of life by being asked.
    pub(crate) fn advance(
        &self,
        action: ActionName,
        wheel: &mut Wheel,
        starts_at_once: bool,
        now: Timestamp,
    ) -> Result<Next, Rejection> {
        let mut state = self.lock();
        let known = state.run.action(&action).ok_or(Rejection::NotFound(action))?;
        if let State::Finished(end) = &known.state {
            return Ok(Next::Finished(end.clone()));
        }
        if let Some(error) = &state.broken {
            return Ok(Next::Broken(error.clone()));
        }
        let (queued, due, under_way) = (matches!(known.state, State::Queued { .. }), known.due(), known.attempt());
        let unread = known.spec.cache.clone().filter(|_| queued && !wheel.looked_up);
        // Whoever waits takes the wheel if nobody has it: the next attempt needs a driver.
        let new_at_the_wheel = !wheel.taken && state.driven.insert(action);
        wheel.taken |= new_at_the_wheel;
        state.root_claimed &= !action.is_root();
        if let Some(attempt) = under_way.filter(|_| new_at_the_wheel && wheel.adopts) {
            wheel.looked_up = true;
            return Ok(Next::Run { attempt, adopted: true });
        }
        if let Some(policy) = unread.filter(|_| wheel.taken) {
            wheel.looked_up = true;
            state.looking_up.insert(action);
            return Ok(Next::LookUp(policy));
        }
        if wheel.taken {
            state.looking_up.remove(&action);
        }
        if !(queued && wheel.taken && state.has_turn(&action)) {
            // Whoever could use the place must not wait behind one that cannot.
            state.leave_line(self.key(), action, wheel);
            // Whoever has the wheel knows which timers count.
            return Ok(Next::Wait { due: due.filter(|_| wheel.taken) });
        }
        wheel.in_line = !state.places.claim(self.key(), action, &wheel.turn);
        if wheel.in_line {
            state.command(&Command::Hold { action }, now, Payloads::default())?;
            drop(state);
            self.announce();
            return Ok(Next::Wait { due });
        }
        let attempt = state.launch(action, starts_at_once, now);
        state.places.settle();
        drop(state);
        self.announce();
        Ok(Next::Run { attempt: attempt?, adopted: false })
    }

    /// The action as it is now.
    pub(crate) fn action(&self, action: &ActionName) -> Option<Action> {
        self.lock().run.action(action).cloned()
    }

    /// A span of the trace that an action belongs to, if the run's lifecycle is traced: the nearest that a map names.
    fn span_above(&self, action: &ActionName) -> Option<TraceParent> {
        if !self.settings.trace.is_exported() {
            return None;
        }
        let state = self.lock();
        let above = |name: &ActionName| state.run.action(name)?.spec.parent;
        // A map without a span leaves the action in the trace of its caller.
        let nearest = std::iter::successors(Some(*action), above)
            .find_map(|name| state.run.action(&name).and_then(|known| known.spec.traceparent));
        let inbound = state.run.root().and_then(|root| root.spec.traceparent);
        drop(state);
        Some(nearest.unwrap_or_else(|| Lifecycle::run_span(&self.id, inbound)))
    }

    /// The span of an attempt, if the run's lifecycle is traced.
    pub(crate) fn attempt_span(&self, action: &ActionName, attempt: AttemptNo) -> Option<TraceParent> {
        Some(Lifecycle::attempt_span(&self.id, self.span_above(action)?, action, attempt))
    }

    /// The span of an action, if the run's lifecycle is traced.
    pub(crate) fn action_span(&self, action: &ActionName) -> Option<TraceParent> {
        Some(Lifecycle::action_span(&self.id, self.span_above(action)?, action))
    }

    /// How an action uses the cache, if it does.
    pub(crate) fn cache_policy(&self, action: &ActionName) -> Option<CachePolicy> {
        self.lock().run.action(action).and_then(|action| action.spec.cache.clone())
    }

    /// True if one of its parents has the right to compute this key: it would wait for itself.
    pub(crate) fn is_reserved_above(&self, action: &ActionName, key: &str) -> bool {
        let state = self.lock();
        let parent = |name: &ActionName| state.run.action(name).and_then(|action| action.spec.parent);
        let policy = |name: ActionName| state.run.action(&name).and_then(|action| action.spec.cache.as_ref());
        std::iter::successors(parent(action), parent)
            .filter_map(policy)
            .any(|above| above.serialize && above.key == key)
    }

    /// The children of an action, in the order in which they were accepted.
    pub(crate) fn children(&self, parent: &ActionName) -> Vec<ActionName> {
        self.lock().run.action(parent).map(|parent| parent.children().to_vec()).unwrap_or_default()
    }

    /// Every task action that is not at its end.
    pub(crate) fn unfinished(&self) -> Vec<ActionName> {
        let state = self.lock();
        let live = state.run.actions().filter(|(_, action)| !action.is_finished() && action.spec.has_driver());
        let mut names: Vec<(Timestamp, ActionName)> = live.map(|(name, action)| (action.enqueued_at, *name)).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }

    /// Tells of the children of `parent` from now on.
    pub(crate) fn feed(self: &Arc<Self>, parent: ActionName) -> ChildFeed {
        let changed = self.lock().feeds.add(parent);
        ChildFeed { cell: Arc::clone(self), parent, changed }
    }

    pub(crate) fn remove_feed(&self, parent: ActionName, changed: &Arc<Changed>) {
        self.lock().feeds.remove(parent, changed);
    }

    /// Tells whoever looks on that something has changed.
    fn announce(&self) {
        if self.changes.receiver_count() > 0 {
            self.changes.send_replace(());
        }
    }

    /// How the action ended, if it has.
    pub(crate) fn end(&self, action: &ActionName) -> Result<Option<End>, Rejection> {
        let state = self.lock();
        let known = state.run.action(action).ok_or(Rejection::NotFound(*action))?;
        Ok(known.end().cloned())
    }

    /// Reports every attempt that the journal says is under way: its process is gone.
    pub(crate) fn report_lost(&self, now: Timestamp) {
        let mut lost: Vec<(ActionName, AttemptNo, bool)> = {
            let state = self.lock();
            // One that was launched and never gave a sign of life has not begun.
            let began = |action: &Action| matches!(action.state, State::Running { .. });
            let actions = state.run.actions();
            actions.filter_map(|(name, action)| Some((*name, action.attempt()?, began(action)))).collect()
        };
        // Parents first: whether one only waited shows in its children's attempts.
        lost.sort_by_cached_key(|(action, ..)| (self.depth(action), *action));
        for (action, attempt, blamed) in lost {
            let reason = "its process ended without a report".to_owned();
            let command = Command::ReportLost { action, attempt, reason, blamed };
            // A refusal means that an earlier report of this loop has already ended it.
            let _ = self.command(&command, now, Payloads::default());
        }
    }

    /// An attempt begins to wait for something outside of its run, or has waited.
    pub(crate) fn wait_outside(&self, action: &ActionName, attempt: AttemptNo, begins: bool) {
        let mut state = self.lock();
        let occupied = state.run.occupied();
        state.run.wait_outside(action, attempt, begins);
        state.places.change(i64::from(state.run.occupied()) - i64::from(occupied));
        state.notify_next_in_line();
        drop(state);
        self.announce();
    }

    /// Actions that take up a place, the oldest first.
    pub(crate) fn busy(&self) -> Vec<ActionName> {
        self.lock().busy()
    }

    /// Why an action is held back; none if it is not.
    pub(crate) fn held(&self, action: &ActionName) -> Option<Held> {
        let state = self.lock();
        let State::Queued { held: true, .. } = state.run.action(action)?.state else { return None };
        if state.looking_up.contains(action) {
            return Some(Held::Key);
        }
        match self.settings.limits().max_action_concurrency {
            Some(limit) if !state.run.has_free_place() => Some(Held::Run { limit, busy: state.busy() }),
            _ => Some(Held::Outside),
        }
    }

    /// Gives every attempt under way back that is lost.
    pub(crate) fn release_all(&self, now: Timestamp, is_lost: &dyn Fn(&RunId, RunKey, &ActionName, AttemptNo) -> bool) {
        let under_way: Vec<(ActionName, AttemptNo)> = {
            let state = self.lock();
            state.run.actions().filter_map(|(name, action)| Some((*name, action.attempt()?))).collect()
        };
        let lost = under_way.into_iter().filter(|(action, attempt)| is_lost(&self.id, self.key(), action, *attempt));
        for (action, attempt) in lost {
            // A refusal means that it has ended meanwhile.
            let _ = self.command(&Command::Release { action, attempt }, now, Payloads::default());
        }
    }

    /// How many parents an action has.
    fn depth(&self, action: &ActionName) -> usize {
        let state = self.lock();
        let parent = |name: &ActionName| state.run.action(name).and_then(|action| action.spec.parent);
        std::iter::successors(parent(action), parent).count()
    }

    pub(crate) fn has_unwritten(&self) -> bool {
        let state = self.lock();
        state.refused.is_none() && !state.events.is_empty()
    }

    /// Takes what is to be written: the events, and each changed action once, as it is now.
    pub(crate) fn take_unwritten(&self) -> Option<Append> {
        if self.refused().is_some() {
            return None;
        }
        let append = self.take(self.key());
        (!append.events.is_empty()).then_some(append)
    }

    /// The same for a run that the store does not know yet.
    pub(crate) fn take_first(&self) -> Append {
        self.take(RunKey(0))
    }

    fn take(&self, run: RunKey) -> Append {
        let mut state = self.lock();
        let events = std::mem::take(&mut state.events);
        let first_seq = state.next_seq;
        state.next_seq += events.len() as u64;
        let mut changed: Vec<(ActionName, Payloads)> = std::mem::take(&mut state.changed).into_iter().collect();
        // In the order of the table: a batch of neighbours is written faster than names at random.
        changed.sort_unstable_by_key(|(name, _)| *name);
        let root_changed = changed.iter().any(|(name, _)| name.is_root());
        let row_of = |(name, payloads)| Some((row(name, state.run.action(&name)?), payloads));
        let actions = changed.into_iter().filter_map(row_of).collect();
        let run_phase = state.run.root().filter(|_| root_changed).map(|root| (root.phase(), ended_at(root)));
        Append { run, first_seq, events, actions, run_phase }
    }

    pub(crate) fn attempt(&self, action: &ActionName) -> Option<AttemptNo> {
        self.lock().run.action(action).and_then(Action::attempt)
    }

    pub(crate) fn is_under_way(&self, action: &ActionName, attempt: AttemptNo) -> bool {
        self.attempt(action) == Some(attempt)
    }

    pub(crate) fn due(&self, action: &ActionName) -> Option<Timestamp> {
        self.lock().run.action(action).and_then(Action::due)
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
        state.broken.is_some() && state.driven.is_empty()
    }

    /// Counts no more among the places of the engine, whatever is still done with it: the run is taken up anew.
    pub(crate) fn give_up_places(&self) {
        let mut state = self.lock();
        let places = std::mem::replace(&mut state.places, Arc::new(Places::new(None)));
        places.change(-i64::from(state.run.occupied()));
    }

    /// Stops driving; whoever waits for the action may go on.
    pub(crate) fn leave_wheel(&self, action: &ActionName, wheel: &mut Wheel) {
        let mut state = self.lock();
        wheel.taken = false;
        state.driven.remove(action);
        state.looking_up.remove(action);
        state.leave_line(self.key(), *action, wheel);
        state.notify(action);
        // The turn that it may have had is somebody else's now.
        state.notify_next_in_line();
    }

    pub(crate) fn is_finished(&self, action: &ActionName) -> bool {
        self.lock().run.action(action).is_some_and(Action::is_finished)
    }

    /// Watches an action from now on.
    pub(crate) fn watch(self: &Arc<Self>, action: ActionName) -> Watch {
        let notify = Arc::new(Notify::new());
        self.lock().watchers.entry(action).or_default().push(Arc::clone(&notify));
        Watch { cell: Arc::clone(self), action, notify }
    }
}

impl CellState {
    fn busy(&self) -> Vec<ActionName> {
        let busy = self.run.actions().filter(|(_, action)| action.occupies_place());
        let mut busy: Vec<(Timestamp, ActionName)> = busy.map(|(name, action)| (action.enqueued_at, *name)).collect();
        busy.sort_unstable();
        busy.into_iter().map(|(_, name)| name).collect()
    }

    fn command(&mut self, command: &Command, now: Timestamp, payloads: Payloads) -> Result<bool, Rejection> {
        let events = self.run.decide(command, now)?;
        let Some(first) = events.first() else { return Ok(false) };
        self.changed.entry(first.action).or_default().take_new(payloads);
        let occupied = self.run.occupied();
        for event in &events {
            self.run.apply(event);
            self.feeds.note(self.run.action(&event.action).and_then(|action| action.spec.parent), event.action);
            if event.action != first.action {
                self.changed.entry(event.action).or_default();
            }
            self.notify(&event.action);
        }
        self.places.change(i64::from(self.run.occupied()) - i64::from(occupied));
        self.notify_next_in_line();
        self.events.extend(events);
        Ok(true)
    }

    fn launch(&mut self, action: ActionName, starts_at_once: bool, now: Timestamp) -> Result<AttemptNo, Rejection> {
        self.command(&Command::Launch { action }, now, Payloads::default())?;
        let launched = self.run.action(&action).and_then(Action::attempt);
        let attempt = launched.ok_or(Rejection::NotFound(action))?;
        if starts_at_once {
            self.command(&Command::ReportStarted { action, attempt }, now, Payloads::default())?;
        }
        Ok(attempt)
    }

    /// Gives up the wait for a place, or the place.
    fn leave_line(&self, run: RunKey, action: ActionName, wheel: &mut Wheel) {
        if std::mem::take(&mut wheel.in_line) {
            self.places.withdraw(run, action);
        }
    }

    /// True if the action may be launched now: there is no limit, or it is its turn among those that somebody drives.
    fn has_turn(&self, action: &ActionName) -> bool {
        !self.run.is_limited() || self.run.next_in_line(|name| self.is_ready(name)).any(|next| next == *action)
    }

    fn notify_next_in_line(&self) {
        for next in self.run.next_in_line(|name| self.is_ready(name)) {
            self.notify(&next);
        }
    }

    /// True if its driver would launch it now.
    fn is_ready(&self, action: &ActionName) -> bool {
        self.driven.contains(action) && !self.looking_up.contains(action)
    }

    fn notify_all(&self) {
        self.watchers.values().flatten().for_each(|watcher| watcher.notify_one());
    }

    fn notify(&self, action: &ActionName) {
        self.watchers.get(action).into_iter().flatten().for_each(|watcher| watcher.notify_one());
    }
}
