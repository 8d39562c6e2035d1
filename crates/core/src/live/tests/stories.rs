//! Random stories: for a while anything happens, then nothing goes wrong any more, and everything has to come to its end.

use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use super::driving::{At, Body, SimDriver};
use super::random::Random;
use super::world::{DriverId, Fault, Lost, NARROW, Setup, World};
use crate::admission::Needs;
use crate::{ActionKind, ActionSpec, Backoff, CachePolicy, Ended, Fate, RetryPolicy, RunLimits, Timeouts, Wake};

/// Steps that a world needs at most to come to rest. A few hundred are usual.
const ENOUGH: usize = 20_000;

/// So many steps lie between two looks for drivers that sleep and should not: one that is forgotten sleeps for long.
const LOOKS_FOR_SLEEPERS: usize = 4;

/// Tells the story of a seed; returns what happened, or what should not have.
pub(super) fn tell(seed: u64, steps: usize, fault: Option<Fault>) -> Result<Vec<String>, String> {
    let mut random = Random(seed);
    let setup = Setup {
        slots: random.pick(&[None, Some(1), Some(2), Some(3)]).flatten(),
        crowd: random.pick(&[None, None, None, None, Some(12), Some(30)]).flatten(),
        adopts: random.one_in(2),
        starts_at_once: random.one_in(2),
        waits_for_room: random.one_in(2),
        fault,
    };
    let mut world = World::new(random, setup);
    // Of several runs each waits for the engine's slots while it has its own.
    (0..if setup.crowd.is_some() { 2 } else { 1 }).for_each(|_| world.begin_run());
    let told = (0..steps).try_for_each(|step| {
        world.something_happens()?;
        world.check()?;
        if setup.crowd.is_some() || step % LOOKS_FOR_SLEEPERS == 0 { world.check_sleepers() } else { Ok(()) }
    });
    let ended = told.and_then(|()| world.comes_to_its_end());
    ended.map_err(|violation| {
        let last: Vec<String> = world.diary.iter().rev().take(60).rev().cloned().collect();
        format!("{violation}\nseed {seed}, {steps} steps, {setup:?}\n{}", last.join("\n"))
    })?;
    Ok(world.diary)
}

impl World {
    fn begin_run(&mut self) {
        let limits = if self.setup.crowd.is_some() { [Some(1), Some(1), Some(2)] } else { [None, Some(2), Some(3)] };
        let limit = self.random.pick(&limits).flatten();
        let root = ActionSpec { kind: ActionKind::Task, parent: None, ..self.any_spec(0) };
        self.create(RunLimits { max_action_concurrency: limit }, root);
        self.call(self.runs.len() - 1, ActionName::ROOT, None);
    }

    /// One step of the story.
    fn something_happens(&mut self) -> Result<(), String> {
        if self.setup.crowd.is_some() {
            return self.something_happens_in_a_crowd();
        }
        match self.random.below(100) {
            0..68 => self.somebody_goes_on()?,
            68..76 => self.now = self.now.after(Duration::from_millis(self.random.next() % 15)),
            76..82 => drop(self.any_run().map(|run| self.commit(run))),
            82..85 => self.somebody_is_dropped(),
            85..89 => self.somebody_joins(),
            89..91 => self.an_action_is_signalled_or_aborted(),
            91..93 => self.a_dropped_call_is_settled(),
            93..95 => {
                self.is_full = !self.is_full && self.random.one_in(2);
                self.note(format!("the disk is full: {}", self.is_full));
            }
            95 => self.a_commit_is_refused(),
            96..98 => drop(self.any_run().map(|run| self.resume(run))),
            98 if self.runs.len() < 3 && !self.is_full && !self.is_interrupted => self.begin_run(),
            98 => {}
            _ if self.random.one_in(2) || self.is_interrupted => self.restart(),
            _ => {
                self.note("the process is about to end".to_owned());
                self.is_interrupted = true;
                self.wake(|_| true);
            }
        }
        Ok(())
    }

    /// One step of a story in which nothing matters but who has a slot, who waits for one, and who gives up.
    fn something_happens_in_a_crowd(&mut self) -> Result<(), String> {
        match self.random.below(100) {
            0..70 => self.somebody_goes_on()?,
            70..78 => self.somebody_is_replaced(true),
            78..86 => self.a_call_comes_right_behind_another()?,
            86..92 => self.somebody_is_replaced(false),
            92..96 => self.somebody_joins(),
            _ => self.now = self.now.after(Duration::from_millis(self.random.next() % 15)),
        }
        Ok(())
    }

    /// A dropped call is settled, and before anybody looks at that, its caller makes a new one, which gets as far as it can.
    fn a_call_comes_right_behind_another(&mut self) -> Result<(), String> {
        self.a_dropped_call_is_settled();
        let is_root = |driver: &SimDriver| driver.rules.action().is_root() && matches!(driver.at, At::Body(_));
        let roots: Vec<DriverId> = self.drivers.iter().filter(|(_, of)| is_root(of)).map(|(id, _)| *id).collect();
        let Some(root) = self.random.pick(&roots) else { return Ok(()) };
        let (run, At::Body(mut body)) = (self.drivers[&root].run, self.drivers[&root].at.clone()) else {
            return Ok(());
        };
        self.calls_a_child(run, ActionName::ROOT, &mut body);
        let call = body.calls.last().copied();
        self.keep(root, body);
        let Some(call) = call else { return Ok(()) };
        for _ in 0..4 {
            if self.drivers.contains_key(&call) && self.is_runnable(call) {
                self.step(call)?;
            }
        }
        Ok(())
    }

    fn any_run(&mut self) -> Option<usize> {
        Some(self.random.below(self.runs.len()))
    }

    fn somebody_goes_on(&mut self) -> Result<(), String> {
        if self.random.one_in(15) {
            let all: Vec<DriverId> = self.drivers.keys().copied().collect();
            self.slow = self.random.pick(&all);
        }
        let goes_on = |id: &DriverId| Some(*id) != self.slow && self.is_runnable(*id);
        let all: Vec<DriverId> = self.drivers.keys().copied().filter(goes_on).collect();
        match self.random.pick(&all) {
            Some(id) => self.step(id),
            None => Ok(()),
        }
    }

    fn somebody_is_dropped(&mut self) {
        let all: Vec<DriverId> = self.drivers.keys().copied().collect();
        if let Some(id) = self.random.pick(&all) {
            let fate = self.any_fate();
            self.drop_driver(id, fate);
        }
    }

    /// Whoever drives an action under the root is dropped, and another one may wait for the same action.
    fn somebody_is_replaced(&mut self, is_replaced: bool) {
        let is_child = |driver: &SimDriver| !driver.rules.action().is_root() && driver.rules.drives();
        let all: Vec<DriverId> =
            self.drivers.iter().filter(|(_, driver)| is_child(driver)).map(|(id, _)| *id).collect();
        let Some(id) = self.random.pick(&all) else { return };
        let (run, action) = (self.drivers[&id].run, self.drivers[&id].rules.action());
        let fate = self.random.pick(&[Fate::Release, Fate::Deferred]).unwrap_or(Fate::Release);
        self.drop_driver(id, fate);
        if is_replaced {
            self.call(run, action, None);
        }
    }

    fn any_fate(&mut self) -> Fate {
        self.random.pick(&[Fate::Abort, Fate::Release, Fate::Release, Fate::Deferred]).unwrap_or(Fate::Release)
    }

    fn somebody_joins(&mut self) {
        let Some(run) = self.any_run().filter(|run| self.runs[*run].lost.is_none()) else { return };
        let unfinished = self.runs[run].live.run().unfinished();
        if let Some(action) = self.random.pick(&unfinished) {
            self.call(run, action, None);
        }
    }

    fn an_action_is_signalled_or_aborted(&mut self) {
        let Some(run) = self.any_run() else { return };
        let mut names: Vec<ActionName> = self.runs[run].live.run().actions().map(|(name, _)| *name).collect();
        names.sort_unstable();
        let Some(action) = self.random.pick(&names) else { return };
        let (by, reason) = ("ann".to_owned(), "enough".to_owned());
        let command = match self.random.one_in(4) {
            true => Command::Abort { action, by, reason },
            false => Command::Signal { action, by, from: None },
        };
        self.command(run, &command);
    }

    fn a_dropped_call_is_settled(&mut self) {
        let Some((run, action, attempt)) = self.deferred.pop() else { return };
        let fate = if self.random.one_in(2) { Fate::Abort } else { Fate::Release };
        self.settle(run, action, attempt, fate);
    }

    fn a_commit_is_refused(&mut self) {
        let Some(run) = self.any_run() else { return };
        if !self.is_safe(run) && self.runs[run].lost.is_none() {
            self.break_off(run, Lost::Refused);
        }
    }

    /// The body of an attempt does something.
    pub(super) fn act(&mut self, id: DriverId, body: &Body) {
        let (run, action) = (self.drivers[&id].run, self.drivers[&id].rules.action());
        let mut body = body.clone();
        let attempt = body.attempt;
        body.calls.retain(|call| !self.is_stopped(*call));
        if body.ends && body.calls.is_empty() && self.may_end(&action) {
            return self.ends(id, attempt);
        }
        match self.random.below(12) {
            0..2 => self.command(run, &Command::ReportStarted { action, attempt }),
            2..9 if !self.is_calm => {
                let calls = if self.setup.crowd == Some(12) { 4 } else { 1 };
                (0..calls).for_each(|_| self.calls_a_child(run, action, &mut body));
            }
            9 => {
                if let Some(call) = body.calls.pop() {
                    let fate = self.any_fate();
                    self.drop_driver(call, fate);
                }
            }
            10 => {
                body.is_outside = !body.is_outside;
                self.runs[run].live.wait_outside(&action, attempt, body.is_outside);
                self.absorb_news(run);
            }
            _ => {}
        }
        self.keep(id, body);
    }

    /// Roots last long and leaves do not, so that many run at one time.
    fn may_end(&mut self, action: &ActionName) -> bool {
        let chances =
            if self.is_calm { 2 } else { [60, if self.setup.crowd.is_some() { 3 } else { 12 }, 6, 3][depth(action)] };
        self.random.one_in(chances)
    }

    fn keep(&mut self, id: DriverId, body: Body) {
        // What it has done may have ended it.
        if let Some(driver) = self.drivers.get_mut(&id)
            && let At::Body(kept) = &mut driver.at
        {
            *kept = body;
        }
    }

    pub(super) fn ends(&mut self, id: DriverId, attempt: AttemptNo) {
        let (reason, blamed) = ("killed".to_owned(), self.random.one_in(2));
        let ended = match self.random.below(8) {
            0..4 => Ended::Succeeded,
            4 => Ended::Lost { reason, blamed },
            5 => Ended::Failed(self.fails().terminal()),
            _ => Ended::Failed(self.fails()),
        };
        self.report(id, attempt, ended);
    }

    /// Each child has one parent, and who waits for a key is never waited for by who computes it.
    fn calls_a_child(&mut self, run: usize, parent: ActionName, body: &mut Body) {
        let depth = depth(&parent) + 1;
        let deepest = if self.setup.crowd.is_some() { 1 } else { 3 };
        if depth > deepest || self.refuses_what_is_new(run) || self.is_interrupted {
            return;
        }
        let names = self.setup.crowd.unwrap_or(4);
        let child = ActionName::new(&format!("{}{}", LEVELS[depth], self.random.below(names))).unwrap();
        let known = self.runs[run].live.run().action(&child).map(|known| known.spec.clone());
        let spec = known.unwrap_or_else(|| {
            let above = self.cache_policy(run, &parent).filter(|_| self.random.one_in(4));
            let spec = ActionSpec { parent: Some(parent), ..self.any_spec(depth) };
            let cache = above.or_else(|| spec.cache.clone());
            Arc::new(ActionSpec { cache, ..spec })
        });
        if spec.parent != Some(parent) {
            return;
        }
        self.command(run, &Command::Enqueue { action: child, spec });
        if self.runs[run].live.run().action(&child).is_some() {
            body.calls.push(self.call(run, child, Some((parent, body.attempt))));
        }
    }

    fn any_spec(&mut self, depth: usize) -> ActionSpec {
        let timers = if self.setup.crowd.is_some() { 20 } else { 6 };
        let limit = |random: &mut Random| random.one_in(timers).then(|| Duration::from_millis(random.next() % 40));
        let random = &mut self.random;
        let timeouts = Timeouts { max_runtime: limit(random), max_queued_time: limit(random), deadline: limit(random) };
        let base = Duration::from_millis(random.next() % 20);
        let backoff = random.one_in(2).then_some(Backoff { base, factor: 2.0, cap: None });
        let waits = [ActionKind::Condition, ActionKind::Timer][random.below(2)];
        let kind = if random.one_in(4) { waits } else { ActionKind::Task };
        let (moment, length) = (self.now.after(Duration::from_millis(20)), Duration::from_millis(random.next() % 40));
        let wake = if random.one_in(2) { Wake::after(length, self.now) } else { Wake::at(moment) };
        let key = format!("key-{depth}-{}", random.below(2));
        let (overwrite, serialize) = (random.one_in(3), random.one_in(2));
        let cache = random.one_in(2).then_some(CachePolicy { key, overwrite, serialize, max_age_seconds: None });
        let retries = random.below(if self.setup.crowd.is_some() { 9 } else { 3 }) as u32;
        let retry = RetryPolicy { retries, backoff };
        // In a crowd it is the slots of a run that are wanted.
        let is_alone = self.setup.crowd.is_none();
        let queue = (is_alone && random.one_in(3)).then(|| NARROW.into());
        let needs = Needs { cpu: (is_alone && random.one_in(4)).then_some(0), ..Needs::default() };
        ActionSpec { kind, retry, timeouts, cache, queue, needs, wake: Some(wake), ..ActionSpec::task("env.task") }
    }

    /// Nothing goes wrong any more, and whoever waits for something is driven by somebody: everything ends.
    fn comes_to_its_end(&mut self) -> Result<(), String> {
        self.note("nothing goes wrong any more".to_owned());
        (self.is_calm, self.is_full) = (true, false);
        if self.is_interrupted {
            self.restart();
        }
        for _ in 0..ENOUGH {
            self.check()?;
            let runnable: Vec<DriverId> = self.drivers.keys().copied().filter(|id| self.is_runnable(*id)).collect();
            if let Some(id) = self.random.pick(&runnable) {
                self.step(id)?;
                continue;
            }
            self.check_sleepers()?;
            if !self.somebody_helps() && !self.time_passes() {
                return self.check_rest();
            }
        }
        Err("it does not come to rest".to_owned())
    }

    /// What those do who are no drivers: they settle, signal, take up runs, and drive what has no driver.
    fn somebody_helps(&mut self) -> bool {
        if !self.deferred.is_empty() {
            self.a_dropped_call_is_settled();
            return true;
        }
        if (0..self.runs.len()).any(|run| self.resume(run)) {
            return true;
        }
        // One that is broken off is taken up anew first.
        for run in (0..self.runs.len()).filter(|run| self.runs[*run].lost.is_none()).collect::<Vec<_>>() {
            let actions = self.runs[run].live.run().actions();
            let paused = actions.filter(|(_, action)| action.state == State::Paused).map(|(name, _)| *name).min();
            if let Some(action) = paused {
                self.command(run, &Command::Signal { action, by: "ann".to_owned(), from: None });
                return true;
            }
            for action in self.runs[run].live.run().unfinished() {
                let is_driver = |other: &SimDriver| other.run == run && other.rules.action() == action;
                if !self.drivers.values().any(is_driver) {
                    self.call(run, action, None);
                    return true;
                }
            }
        }
        // A body that ends in no other way is talked into it.
        let id = self.drivers.iter().find(|(_, driver)| matches!(&driver.at, At::Body(body) if !body.ends));
        let Some(id) = id.map(|(id, _)| *id) else { return false };
        let driver = &self.drivers[&id];
        let attempt = self.runs[driver.run].live.run().action(&driver.rules.action()).and_then(crate::Action::attempt);
        if let Some(driver) = self.drivers.get_mut(&id)
            && let At::Body(body) = &mut driver.at
            // One whose attempt is over has to be told by its watch.
            && attempt == Some(body.attempt)
        {
            body.ends = true;
            return true;
        }
        false
    }

    fn time_passes(&mut self) -> bool {
        let due = self.drivers.keys().filter_map(|id| self.due(*id)).min();
        due.is_some_and(|due| {
            self.now = self.now.max(due);
            true
        })
    }

    fn check_rest(&self) -> Result<(), String> {
        if let Some((id, driver)) = self.drivers.iter().next() {
            let (run, action) = (driver.run, driver.rules.action());
            let known = self.runs[run].live.run().action(&action);
            let state = known.map(|known| &known.state);
            return Err(format!("driver {id} of {run}/{action} waits for ever: {:?}, {state:?}", driver.at));
        }
        for (index, run) in self.runs.iter().enumerate() {
            let unfinished = run.live.run().unfinished();
            if !unfinished.is_empty() || !run.live.is_left() {
                return Err(format!("{index}: {unfinished:?} is lost"));
            }
        }
        self.check_answers()
    }
}

/// How the names of each depth begin.
const LEVELS: [&str; 4] = ["a", "b", "c", "d"];

fn depth(name: &ActionName) -> usize {
    LEVELS.iter().position(|level| name.as_str().starts_with(level)).unwrap_or_default()
}
