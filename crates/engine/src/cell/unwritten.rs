//! What has happened to a run and is not in the journal yet.

use bytes::Bytes;
use spanwise_core::ActionName;
use spanwise_store::{Append, Definition, Payloads, RunKey};

use super::RunCell;
use super::rows::row;

impl RunCell {
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
        let first = self.take(RunKey(0));
        // Nobody finds the run here before it is in the store.
        self.forget_written(&first.definitions);
        first
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
        let row_of = |(name, payloads)| Some((row(name, state.live.run().action(&name)?), payloads));
        let actions = changed.into_iter().filter_map(row_of).collect();
        let root = state.live.run().root().filter(|_| root_changed);
        let run_phase = root.map(|root| (root.phase(), root.times().ended));
        let in_doubt = root.is_some_and(spanwise_core::Action::is_in_doubt);
        let definitions = state.definitions.iter();
        let definitions = definitions.map(|(digest, body)| Definition { digest: digest.clone(), body: body.clone() });
        let definitions = definitions.collect();
        let artifacts = std::mem::take(&mut state.artifacts);
        let (receivers, given) = (Vec::new(), Vec::new());
        Append { run, first_seq, events, actions, run_phase, in_doubt, definitions, receivers, given, artifacts }
    }

    /// The store has these definitions now: nobody looks for them here any more.
    pub(crate) fn forget_written(&self, definitions: &[Definition]) {
        if !definitions.is_empty() {
            let mut state = self.lock();
            definitions.iter().for_each(|written| drop(state.definitions.remove(&written.digest)));
        }
    }

    /// The body of a definition that may not be in the store yet.
    pub(crate) fn unwritten_definition(&self, digest: &str) -> Option<Bytes> {
        self.lock().definitions.get(digest).cloned()
    }
}
