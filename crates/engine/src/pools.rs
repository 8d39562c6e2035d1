//! The pools of the engine, for drivers on several threads; the rules are [`spanwise_core::admission`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use spanwise_core::admission::{
    Admission, Change, Dimension, Holder, KEY_LABEL, Limits, Obstacle, Owner, Refusal, WEIGHT_LABEL, Wish,
};
use spanwise_core::lifecycle::Lifecycle;
use spanwise_core::trace::TraceParent;
use spanwise_core::{ActionName, RunId, RunPools, Timestamp, Wait};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::settings::RunSettings;

/// What tells a driver that its attempt may begin.
pub(crate) type Notice = Arc<Notify>;

/// A run, as long as it is in this process.
type RunNumber = u64;

/// The pools of an engine.
#[derive(Debug)]
pub(crate) struct EnginePools {
    /// None where nothing is limited.
    state: Option<Mutex<State>>,
    clock: Clock,
    /// Notified when no attempt does anything any more.
    idle: Notify,
}

#[derive(Debug)]
struct State {
    admission: Admission<RunNumber, Notice>,
    runs: FxHashMap<RunNumber, KnownRun>,
    last_run: RunNumber,
    /// When the next timer looks at the pools.
    armed: Option<Timestamp>,
}

/// A run whose attempts may be in the way of others.
#[derive(Debug)]
struct KnownRun {
    id: RunId,
    is_traced: bool,
}

impl EnginePools {
    pub(crate) fn new(limits: &Limits, clock: Clock) -> Arc<EnginePools> {
        let state = (!limits.are_none()).then(|| {
            let (admission, runs) = (Admission::new(limits), FxHashMap::default());
            Mutex::new(State { admission, runs, last_run: 0, armed: None })
        });
        Arc::new(EnginePools { state, clock, idle: Notify::new() })
    }

    /// Pools without limits.
    pub(crate) fn unlimited() -> Arc<EnginePools> {
        EnginePools::new(&Limits::default(), Clock::start())
    }

    /// The pools as one more run has them.
    pub(crate) fn of_run(self: &Arc<Self>, id: &RunId, settings: &RunSettings) -> PoolsOfRun {
        let is_traced = settings.trace.is_exported();
        let run = self.lock().map_or(0, |mut state| {
            state.last_run += 1;
            let run = state.last_run;
            state.runs.insert(run, KnownRun { id: id.clone(), is_traced });
            run
        });
        let label = |name: &str| settings.options.labels.get(name);
        let weight = label(WEIGHT_LABEL).and_then(|weight| weight.parse().ok()).unwrap_or(1);
        let key = label(KEY_LABEL).map(|key| key.as_str().into());
        let (name, project) = (id.name.as_str().into(), id.project.as_str().into());
        PoolsOfRun { engine: Arc::clone(self), owner: Owner { run, name, project, key, weight }, is_traced }
    }

    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        Some(self.state.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn has_queue(&self, name: &str) -> bool {
        self.lock().is_some_and(|state| state.admission.has_queue(name))
    }

    /// Lets nothing begin any more.
    pub(crate) fn close(&self) {
        if let Some(mut state) = self.lock() {
            state.admission.close();
        }
    }

    /// Returns when no attempt does anything but wait for children. Without a limit nobody counts, and it returns at once.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.lock().is_none_or(|state| state.admission.is_idle()) {
                return;
            }
            idle.await;
        }
    }

    /// An attempt of a queue has begun at this time, as the journal has it.
    pub(crate) fn recall(&self, queue: Option<&Arc<str>>, at: Timestamp) {
        if let Some(mut state) = self.lock() {
            state.admission.recall(queue, at, self.clock.now());
        }
    }

    /// Changes the pools, and notifies those who may begin now.
    fn with<A>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Admission<RunNumber, Notice>, Timestamp) -> (A, Vec<Notice>),
    ) -> Option<A> {
        let mut state = self.lock()?;
        let (answer, notices) = change(&mut state.admission, self.clock.now());
        if state.admission.is_idle() {
            self.idle.notify_waiters();
        }
        self.arm(&mut state);
        drop(state);
        notices.iter().for_each(|notice| notice.notify_one());
        Some(answer)
    }

    /// Sees to it that the pools are looked at when it is no longer too early for somebody who waits.
    fn arm(self: &Arc<Self>, state: &mut State) {
        let Some(due) = state.admission.next_due() else { return };
        // Whoever waits is driven on a runtime.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if state.armed.is_some_and(|armed| armed <= due) {
            return;
        }
        state.armed = Some(due);
        let pools = Arc::downgrade(self);
        let instant = self.clock.instant(due);
        runtime.spawn(async move {
            tokio::time::sleep_until(instant).await;
            let Some(pools) = pools.upgrade() else { return };
            if let Some(mut state) = pools.lock() {
                state.armed.take_if(|armed| *armed == due);
            }
            pools.with(|admission, now| ((), admission.tick(now)));
        });
    }
}

/// The pools of the engine, as one of its runs has them.
#[derive(Debug)]
pub(crate) struct PoolsOfRun {
    engine: Arc<EnginePools>,
    owner: Owner<RunNumber>,
    is_traced: bool,
}

/// What keeps an action from being launched.
#[derive(Debug)]
pub(crate) struct InTheWay {
    /// As it is shown: `gpu 2 of 2`.
    pub(crate) pool: String,
    /// The number of the server's slots, if it is these.
    pub(crate) slots: Option<u32>,
    /// Who has what is short, the first of them.
    pub(crate) who: Vec<(RunId, ActionName)>,
    /// How many do, where each of them has one.
    pub(crate) count: Option<u64>,
    /// The spans of their attempts, as far as they are exported.
    spans: Vec<TraceParent>,
}

impl PoolsOfRun {
    /// What keeps an action that stands in line from being launched.
    pub(crate) fn in_the_way(&self, action: ActionName) -> Option<InTheWay> {
        let state = self.engine.lock()?;
        let obstacle = state.admission.obstacle(self.owner.run, action)?;
        Some(in_the_way(&obstacle, &state.runs))
    }
}

fn in_the_way(obstacle: &Obstacle<RunNumber>, runs: &FxHashMap<RunNumber, KnownRun>) -> InTheWay {
    let holders = obstacle.holders.iter().filter_map(|holder| Some((holder, runs.get(&holder.run)?)));
    let is_counted = matches!(obstacle.of, Dimension::Attempts | Dimension::Slots | Dimension::Idle);
    InTheWay {
        pool: obstacle.to_string(),
        slots: (obstacle.is_of_server && obstacle.of == Dimension::Slots).then_some(obstacle.limit as u32),
        who: holders.clone().map(|(holder, run)| (run.id.clone(), holder.action)).collect(),
        count: is_counted.then_some(obstacle.used),
        spans: holders.filter_map(|(holder, run)| span_of(holder, run)).collect(),
    }
}

fn span_of(holder: &Holder<RunNumber>, run: &KnownRun) -> Option<TraceParent> {
    let attempt = holder.attempt.filter(|_| run.is_traced)?;
    let above = holder.span_above.unwrap_or_else(|| Lifecycle::run_span(&run.id, None));
    Some(Lifecycle::attempt_span(&run.id, above, &holder.action, attempt))
}

impl RunPools for PoolsOfRun {
    type Notice = Notice;

    fn are_limited(&self) -> bool {
        self.engine.state.is_some()
    }

    fn are_traced(&self) -> bool {
        self.is_traced
    }

    fn accept(&self, action: ActionName, wish: &Wish, is_awaited: bool) -> Result<(), Refusal> {
        self.engine.lock().map_or(Ok(()), |mut state| state.admission.accept(&self.owner, action, wish, is_awaited))
    }

    fn claim(&self, action: ActionName, wish: &Wish, notice: &Notice) -> bool {
        let claim = |admission: &mut Admission<_, _>, now| {
            let claimed = admission.claim(&self.owner, action, wish, notice, now);
            (claimed.may_begin, claimed.notices)
        };
        self.engine.with(claim).unwrap_or(true)
    }

    fn withdraw(&self, action: ActionName) {
        self.engine.with(|admission, _| ((), admission.withdraw(self.owner.run, action)));
    }

    fn set(&self, changes: Vec<Change>) {
        self.engine.with(|admission, now| ((), admission.set(&self.owner, changes, now)));
    }

    fn obstacle(&self, action: ActionName) -> Option<Wait> {
        let InTheWay { pool, spans, .. } = self.in_the_way(action)?;
        // Nobody would see them.
        let holders = if self.is_traced { spans } else { Vec::new() };
        Some(Wait { pool, holders, ..Wait::default() })
    }
}

impl Drop for PoolsOfRun {
    fn drop(&mut self) {
        if let Some(mut state) = self.engine.lock() {
            state.runs.remove(&self.owner.run);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use spanwise_core::admission::{QueueLimits, Standing};
    use spanwise_core::{AttemptNo, RunName};

    use super::*;

    fn name(text: &str) -> ActionName {
        ActionName::new(text).unwrap()
    }

    fn of_run(pools: &Arc<EnginePools>, run: &str) -> PoolsOfRun {
        let (org, project, domain) = (String::new(), "p".to_owned(), "d".to_owned());
        let id = RunId { org, project, domain, name: RunName::new(run).unwrap() };
        pools.of_run(&id, &RunSettings::default())
    }

    fn notice() -> Notice {
        Arc::new(Notify::new())
    }

    fn set(pools: &PoolsOfRun, action: &str, standing: Standing) {
        pools.set(vec![Change { action: name(action), wish: Wish::default(), standing }]);
    }

    const UNDER_WAY: Standing = Standing::UnderWay { attempt: AttemptNo(1), is_busy: true };

    #[tokio::test]
    async fn s4_runs_take_turns_and_a_withdrawn_action_gives_its_slot_on() {
        let pools = EnginePools::new(&Limits::of_slots(Some(1)), Clock::start());
        let (first, second) = (of_run(&pools, "r1"), of_run(&pools, "r2"));
        let claim = |pools: &PoolsOfRun, action, notice: &Notice| pools.claim(name(action), &Wish::default(), notice);
        assert!(claim(&first, "a", &notice()));
        let (b, c, d) = (notice(), notice(), notice());
        assert!(!claim(&first, "b", &b));
        assert!(!claim(&first, "c", &c));
        assert!(!claim(&second, "d", &d));
        // `a` is launched and ends.
        set(&first, "a", UNDER_WAY);
        set(&first, "a", Standing::Apart);
        // The other run has had nothing, and is next.
        d.notified().await;
        assert!(claim(&second, "d", &d));
        assert!(!claim(&first, "b", &b));
        let found = first.in_the_way(name("b")).unwrap();
        assert_eq!((found.pool.as_str(), found.slots, found.who[0].1), ("server 1 of 1", Some(1), name("d")));
        // `d` goes without having been launched.
        second.withdraw(name("d"));
        b.notified().await;
        set(&first, "b", Standing::Apart);
        c.notified().await;
    }

    #[tokio::test]
    async fn s14_6_who_waits_for_a_rate_is_told_when_its_time_has_come() {
        let queue = QueueLimits { rate: Some("2/s".parse().unwrap()), ..QueueLimits::default() };
        let queues = [("q".to_owned(), queue)].into();
        let pools = EnginePools::new(&Limits { queues, ..Limits::default() }, Clock::start());
        let run = of_run(&pools, "r1");
        let wish = Wish { queue: Some("q".into()), ..Wish::default() };
        let began = std::time::Instant::now();
        let notices = [0; 5].map(|_| notice());
        let launch = |index: usize| {
            let change = Change { action: name(&format!("a{index}")), wish: wish.clone(), standing: UNDER_WAY };
            run.set(vec![change]);
        };
        for (index, notice) in notices.iter().enumerate() {
            assert_eq!(run.claim(name(&format!("a{index}")), &wish, notice), index < 2);
            if index < 2 {
                launch(index);
            }
        }
        for (index, notice) in notices.iter().enumerate().skip(2).take(2) {
            notice.notified().await;
            launch(index);
        }
        assert!(began.elapsed() >= Duration::from_secs(1));
        notices[4].notified().await;
        assert!(began.elapsed() >= Duration::from_secs(2));
    }
}
