//! What a driver of the engine does with [`Next`], one step at a time, so that others come in between.

use super::super::*;
use super::world::{DriverId, Fault, Lost, World};
use crate::{CachePolicy, End, Ended, Fate, JournalFacts, Lookup, Source};

/// A driver, and how far it is.
pub(super) struct SimDriver {
    pub(super) run: usize,
    pub(super) rules: Driver<DriverId>,
    /// The attempt whose body made the call.
    caller: Option<(ActionName, AttemptNo)>,
    pub(super) at: At,
    /// It is told of changes of its action.
    pub(super) watches: bool,
    pub(super) is_told: bool,
    pub(super) has_turn: bool,
    /// The same for the watch of the attempt or the lookup that it is in: at first it looks by itself.
    pub(super) is_told_within: bool,
    /// The key that it computes.
    key: Option<String>,
    /// It has read the cache, or found an attempt under way.
    has_read: bool,
}

/// How far a driver is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum At {
    Look,
    /// It is about to watch its action.
    BeforeWatch,
    Wait(Option<Timestamp>),
    Room,
    LookUp(CachePolicy),
    Body(Body),
    /// The action is at its end, which is told once it is written.
    Commit(End),
    /// It is interrupted, and dropped where it waits.
    Never,
}

/// The body of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Body {
    pub(super) attempt: AttemptNo,
    /// It ends by itself; else it has to be cut short.
    pub(super) ends: bool,
    /// It waits for something outside of the run.
    pub(super) is_outside: bool,
    /// The calls that it waits for.
    pub(super) calls: Vec<DriverId>,
}

impl SimDriver {
    pub(super) fn new(run: usize, rules: Driver<DriverId>, caller: Option<(ActionName, AttemptNo)>) -> SimDriver {
        SimDriver {
            run,
            rules,
            caller,
            at: At::Look,
            watches: false,
            is_told: false,
            has_turn: false,
            is_told_within: false,
            key: None,
            has_read: false,
        }
    }
}

impl World {
    fn at(&mut self, id: DriverId, at: At) {
        if let Some(driver) = self.drivers.get_mut(&id) {
            driver.is_told_within = matches!(at, At::Body(_) | At::LookUp(_));
            driver.at = at;
        }
    }

    pub(super) fn is_due(&self, due: Option<Timestamp>) -> bool {
        due.is_some_and(|due| due <= self.now)
    }

    /// When a timer wakes the driver.
    pub(super) fn due(&self, id: DriverId) -> Option<Timestamp> {
        let driver = &self.drivers[&id];
        match driver.at {
            At::Wait(due) => due,
            At::LookUp(_) | At::Body(_) => {
                self.runs[driver.run].live.run().action(&driver.rules.action()).and_then(crate::Action::due)
            }
            _ => None,
        }
    }

    /// True if the driver would do something now.
    pub(super) fn is_runnable(&self, id: DriverId) -> bool {
        let driver = &self.drivers[&id];
        match &driver.at {
            At::Look | At::BeforeWatch => true,
            At::Wait(due) => driver.is_told || driver.has_turn || self.is_due(*due),
            At::Room => !self.is_full || self.is_interrupted || !self.setup.waits_for_room,
            At::LookUp(policy) => driver.is_told_within || self.is_due(self.due(id)) || self.may_compute(id, policy),
            At::Body(body) => {
                let has_called = body.calls.iter().any(|call| self.drivers.contains_key(call));
                let acts = !self.is_calm || (body.ends && !has_called);
                acts || driver.is_told_within || self.is_due(self.due(id))
            }
            At::Commit(_) => !self.is_full || self.runs[driver.run].lost.is_some(),
            At::Never => false,
        }
    }

    pub(super) fn step(&mut self, id: DriverId) -> Result<(), String> {
        let (run, at) = (self.drivers[&id].run, self.drivers[&id].at.clone());
        match at {
            At::Look => self.look(id)?,
            At::BeforeWatch => {
                let late = self.setup.fault == Some(Fault::WatchesTooLate);
                let driver = self.drivers.get_mut(&id).expect("it takes a step");
                driver.watches = true;
                driver.at = if late { At::Wait(None) } else { At::Look };
                driver.rules.set_watching();
            }
            At::Wait(due) => {
                if self.is_due(due) {
                    self.tick(id);
                }
                let driver = self.drivers.get_mut(&id).expect("it takes a step");
                (driver.is_told, driver.has_turn, driver.at) = (false, false, At::Look);
            }
            At::Room if self.setup.waits_for_room || self.is_interrupted => self.at(id, At::Look),
            At::Room => self.fail(id, Lost::Full),
            At::LookUp(policy) => self.look_up(id, &policy),
            At::Body(body) => self.look_after(id, &body),
            At::Commit(end) => {
                if self.commit(run) || self.setup.fault == Some(Fault::AnswersTooEarly) {
                    let action = self.drivers[&id].rules.action();
                    self.answer(run, action, end);
                    self.leave(id);
                } else if self.runs[run].lost.is_some() {
                    self.fail(id, Lost::Refused);
                }
            }
            At::Never => {}
        }
        Ok(())
    }

    fn look(&mut self, id: DriverId) -> Result<(), String> {
        let (run, now) = (self.drivers[&id].run, self.now);
        let process = self.process_facts(run);
        let mut driver = self.drivers.remove(&id).expect("it takes a step");
        let action = driver.rules.action();
        let looked_up = self.runs[run].live.drivers.looking_up.contains(&action);
        let next = self.with_live(run, Some(action), |live| live.advance(&mut driver.rules, process, now));
        if looked_up && self.setup.fault == Some(Fault::LooksUpForEver) {
            self.runs[run].live.drivers.looking_up.insert(action);
        }
        if matches!(next, Ok(Next::LookUp(_))) && self.setup.fault == Some(Fault::LooksUpWithoutAWord) {
            self.forget_whose_turn_it_is(run, action);
        }
        let (drives, has_read, key) = (driver.rules.drives(), driver.has_read, driver.key.clone());
        self.drivers.insert(id, driver);
        self.absorb_news(run);
        let next = next.map_err(|rejection| format!("driver {id} of {run}/{action}: {rejection}"))?;
        if drives {
            self.note(format!("{run}/{action}: driver {id}: {next:?}"));
        }
        if let Next::Launch { attempt } | Next::Adopt { attempt } = next {
            self.check_start(id, attempt)?;
        }
        if let Next::Launch { .. } = next {
            if !self.launches_with_a_slot(id) {
                return Err(format!("driver {id} launches {run}/{action} without a slot"));
            }
            self.check_cache(id, has_read, key)?;
        }
        if let Next::Adopt { .. } = next {
            self.reserve_if_free(id);
        }
        let at = match next {
            Next::Finished(end) => At::Commit(end),
            Next::GiveBack => {
                self.settle_and_leave(id, Fate::Release);
                At::Never
            }
            Next::AwaitRoom => At::Room,
            Next::Leave => {
                self.fail(id, Lost::Refused);
                return Ok(());
            }
            Next::Adopt { attempt } | Next::Launch { attempt } => {
                let ends = !self.random.one_in(4);
                At::Body(Body { attempt, ends, is_outside: false, calls: Vec::new() })
            }
            Next::LookUp(policy) if self.setup.fault == Some(Fault::SkipsTheCache) && !policy.serialize => At::Look,
            Next::LookUp(policy) => At::LookUp(policy),
            Next::Watch => At::BeforeWatch,
            Next::Hold { due } | Next::Wait { due } => At::Wait(due),
            // Here the two clocks say the same.
            Next::Sleep { until, due } => At::Wait(Some(due.map_or(until, |due| due.min(until)))),
        };
        self.at(id, at);
        Ok(())
    }

    /// An attempt begins, or goes on.
    fn check_start(&self, id: DriverId, attempt: AttemptNo) -> Result<(), String> {
        let SimDriver { run, rules, .. } = &self.drivers[&id];
        let action = rules.action();
        let is_body =
            |other: &SimDriver| other.run == *run && other.rules.action() == action && matches!(other.at, At::Body(_));
        if self.drivers.values().any(is_body) {
            return Err(format!("{run}/{action} runs twice"));
        }
        if self.is_full || self.is_interrupted || self.runs[*run].lost.is_some() {
            return Err(format!("{run}/{action} begins although nothing may begin"));
        }
        if self.runs[*run].live.run().action(&action).and_then(crate::Action::attempt) != Some(attempt) {
            return Err(format!("{run}/{action}: attempt {attempt} is not under way"));
        }
        Ok(())
    }

    fn check_cache(&self, id: DriverId, has_read: bool, key: Option<String>) -> Result<(), String> {
        let (run, action) = (self.drivers[&id].run, self.drivers[&id].rules.action());
        let Some(policy) = self.cache_policy(run, &action) else { return Ok(()) };
        if !has_read {
            return Err(format!("{run}/{action} begins without a look at the cache"));
        }
        let shared = self.runs[run].live.run().needs_key(&action, &policy);
        let holders = self.drivers.values().filter(|driver| driver.key.as_ref() == Some(&policy.key)).count();
        if shared && key.is_some() && holders != 1 {
            return Err(format!("{} is computed {holders} times", policy.key));
        }
        Ok(())
    }

    fn reserve_if_free(&mut self, id: DriverId) {
        let (run, action) = (self.drivers[&id].run, self.drivers[&id].rules.action());
        let driver = self.drivers.get_mut(&id).expect("it takes a step");
        driver.has_read = true;
        if let Some(policy) = self.cache_policy(run, &action).filter(|policy| policy.serialize) {
            let key = self.keys.entry(policy.key.clone()).or_default();
            if key.holder.is_none() {
                key.holder = Some(id);
                self.drivers.get_mut(&id).expect("it takes a step").key = Some(policy.key);
            }
        }
    }

    /// True if the driver has the right to compute the key, or needs none.
    fn may_compute(&self, id: DriverId, policy: &CachePolicy) -> bool {
        let (run, action) = (self.drivers[&id].run, self.drivers[&id].rules.action());
        !self.runs[run].live.run().needs_key(&action, policy)
            || self.keys.get(&policy.key).is_some_and(|key| key.holder == Some(id))
    }

    fn look_up(&mut self, id: DriverId, policy: &CachePolicy) {
        let (run, action) = (self.drivers[&id].run, self.drivers[&id].rules.action());
        if self.is_due(self.due(id)) {
            self.tick(id);
        }
        if !self.goes_on(id) {
            self.leave_key_line(id);
            self.at(id, At::Look);
            return;
        }
        self.drivers.get_mut(&id).expect("it takes a step").is_told_within = false;
        if !self.may_compute(id, policy) {
            let key = self.keys.entry(policy.key.clone()).or_default();
            if key.holder.is_some() || !key.queue.is_empty() {
                if !key.queue.contains(&id) {
                    key.queue.push_back(id);
                    self.command(run, &Command::Hold { action, wait: None });
                }
                return;
            }
            key.holder = Some(id);
        }
        let is_holder = self.keys.get(&policy.key).is_some_and(|key| key.holder == Some(id));
        let driver = self.drivers.get_mut(&id).expect("it takes a step");
        driver.has_read = true;
        driver.key = is_holder.then(|| policy.key.clone());
        let lookup = Lookup { asked_at: self.now, ..Lookup::default() };
        if policy.overwrite {
        } else if self.cached.contains(&policy.key) {
            let source = Source::Cache { run: "r".to_owned(), scope: None, action, attempt: AttemptNo(1) };
            self.command(run, &Command::Reuse { action, source, lookup: Some(lookup) });
        } else {
            self.command(run, &Command::Miss { action, lookup });
        }
        self.at(id, At::Look);
    }

    /// An attempt is under way: it is cut short, or goes on.
    fn look_after(&mut self, id: DriverId, body: &Body) {
        if self.is_interrupted && body.ends && body.calls.is_empty() && self.random.one_in(2) {
            // It ends before anybody tells it of the interruption, or because of that.
            return self.ends(id, body.attempt);
        }
        if self.is_due(self.due(id)) && self.goes_on(id) {
            self.tick(id);
        }
        if !self.goes_on(id) {
            self.drop_body(id, Fate::Release);
            self.at(id, At::Look);
            return;
        }
        self.drivers.get_mut(&id).expect("it takes a step").is_told_within = false;
        self.act(id, body);
    }

    fn goes_on(&self, id: DriverId) -> bool {
        let driver = &self.drivers[&id];
        self.runs[driver.run].live.goes_on(&driver.rules, self.facts_of_run(driver.run))
    }

    /// The body has ended and says how.
    pub(super) fn report(&mut self, id: DriverId, attempt: AttemptNo, ended: Ended) {
        let (run, action) = (self.drivers[&id].run, self.drivers[&id].rules.action());
        let has_succeeded = ended == Ended::Succeeded;
        self.drop_body(id, if has_succeeded { Fate::Abort } else { Fate::Release });
        let Some(driver) = self.drivers.get(&id) else { return };
        if let Some(command) = driver.rules.report(attempt, ended, self.is_interrupted) {
            self.command(run, &command);
            if let Some(policy) = self.cache_policy(run, &action).filter(|_| has_succeeded) {
                self.cached.insert(policy.key);
            }
        }
        self.at(id, At::Look);
    }

    fn tick(&mut self, id: DriverId) {
        let (run, action) = (self.drivers[&id].run, self.drivers[&id].rules.action());
        self.command(run, &Command::Tick { action, clock: self.now });
    }

    /// The driver returns an error: nobody goes on with the run in this process.
    fn fail(&mut self, id: DriverId, why: Lost) {
        let run = self.drivers[&id].run;
        self.settle_and_leave(id, Fate::Release);
        self.leave(id);
        self.break_off(run, why);
    }

    /// The body is gone, and with it the calls that it had open.
    fn drop_body(&mut self, id: DriverId, fate: Fate) {
        let driver = self.drivers.get_mut(&id).expect("it has a body");
        let At::Body(body) = std::mem::replace(&mut driver.at, At::Look) else { return };
        let (run, action) = (driver.run, driver.rules.action());
        if body.is_outside {
            self.runs[run].live.wait_outside(&action, body.attempt, false);
            self.absorb_news(run);
        }
        for call in body.calls {
            let fate = if self.random.one_in(3) { Fate::Deferred } else { fate };
            self.drop_driver(call, fate);
        }
    }

    /// Somebody who waited for an action does so no more.
    pub(super) fn drop_driver(&mut self, id: DriverId, fate: Fate) {
        if !self.drivers.contains_key(&id) {
            return;
        }
        self.drop_body(id, fate);
        let driver = &self.drivers[&id];
        let (live, is_interrupted) = (&self.runs[driver.run].live, self.is_interrupted);
        let known = driver.caller.and_then(|(caller, attempt)| live.fate_of_call(&caller, attempt, is_interrupted));
        let fate = known.unwrap_or(fate);
        self.note(format!("driver {id} is dropped: {fate:?}"));
        self.settle_and_leave(id, fate);
        self.leave(id);
    }

    fn settle_and_leave(&mut self, id: DriverId, fate: Fate) {
        let driver = &self.drivers[&id];
        let (run, action) = (driver.run, driver.rules.action());
        if !driver.rules.drives() || self.setup.fault == Some(Fault::KeepsTheAction) {
            return;
        }
        if let Some(known) = self.runs[run].live.run().action(&action).filter(|known| !known.is_finished()) {
            let attempt = known.attempt();
            self.settle(run, action, attempt, fate);
        }
        let mut driver = self.drivers.remove(&id).expect("it drives");
        self.leave_run(&mut driver);
        self.drivers.insert(id, driver);
    }

    pub(super) fn settle(&mut self, run: usize, action: ActionName, attempt: Option<AttemptNo>, fate: Fate) {
        if fate == Fate::Deferred {
            self.deferred.push((run, action, attempt));
        }
        if let Some(command) = fate.command(action, attempt, self.setup.adopts) {
            self.command(run, &command);
        }
    }

    fn leave_run(&mut self, driver: &mut SimDriver) {
        let (run, action) = (driver.run, driver.rules.action());
        self.with_live(run, Some(action), |live| live.leave(&mut driver.rules));
        if self.setup.fault == Some(Fault::LeavesWithoutAWord) {
            self.forget_whose_turn_it_is(run, action);
        }
        self.absorb_news(run);
    }

    /// The driver is gone: its key is another's.
    fn leave(&mut self, id: DriverId) {
        self.leave_key_line(id);
        let Some(mut driver) = self.drivers.remove(&id) else { return };
        if self.setup.fault != Some(Fault::KeepsTheAction) {
            self.leave_run(&mut driver);
        }
        let Some(key) = driver.key.filter(|_| self.setup.fault != Some(Fault::KeepsTheKey)) else { return };
        self.pass_on(&key);
    }

    fn leave_key_line(&mut self, id: DriverId) {
        for key in self.keys.values_mut() {
            key.queue.retain(|waiting| *waiting != id);
        }
        // One that was given the right while it looked away gives it on.
        let had = self.drivers.get(&id).and_then(|driver| driver.key.clone());
        let given = self.keys.iter().find(|(key, of)| of.holder == Some(id) && had.as_ref() != Some(*key));
        if let Some(key) = given.map(|(key, _)| key.clone()) {
            self.pass_on(&key);
        }
    }

    fn pass_on(&mut self, key: &str) {
        if let Some(key) = self.keys.get_mut(key) {
            key.holder = key.queue.pop_front();
        }
    }

    /// True if nothing that the driver does is watched for any more.
    pub(super) fn is_stopped(&self, id: DriverId) -> bool {
        self.drivers.get(&id).is_none_or(|driver| driver.at == At::Never)
    }

    /// True if nothing begins in a run now.
    pub(super) fn refuses_what_is_new(&self, run: usize) -> bool {
        self.process_facts(run).journal != JournalFacts::Open
    }
}
