//! The place where a call is written: it names the call, and says what the call carries.

use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;
use spanwise_core::ActionName;
use spanwise_proto::flyteidl2::task::NamedLiteral;
use spanwise_proto::hash;
use spanwise_wire::CustomContext;

/// How often an attempt has made each equal call, so that equal calls get different names (semantics S3).
#[derive(Default)]
pub(crate) struct CallCounts(Mutex<FxHashMap<CallKey, u64>>);

#[derive(PartialEq, Eq, Hash)]
struct CallKey {
    caller: ActionName,
    identity: Arc<str>,
    inputs_hash: String,
    group: Option<Arc<str>>,
}

impl CallCounts {
    /// Counts a call; the first one of its kind is 1.
    fn count(&self, key: CallKey) -> u64 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_insert(0);
        *count += 1;
        *count
    }
}

/// Where a call is written.
pub(crate) struct CallSite<'a> {
    /// The action that names it: the step around it, or the task.
    pub(crate) caller: ActionName,
    pub(crate) group: Option<&'a Arc<str>>,
    /// What a deployed task is called with.
    #[cfg_attr(not(feature = "remote"), expect(dead_code, reason = "only a server has tasks that are deployed"))]
    pub(crate) context: &'a CustomContext,
    pub(crate) counts: &'a CallCounts,
}

impl CallSite<'_> {
    /// The name of the action that a condition is: its own name stands for its task and its inputs, as in Flyte.
    pub(crate) fn name_condition(&self, name: &str) -> ActionName {
        self.name(&name.into(), name.to_owned())
    }

    /// The name of the action that a call is (semantics S3). Called once a call: it counts equal ones.
    pub(crate) fn name_call(&self, identity: &Arc<str>, literals: &[NamedLiteral]) -> ActionName {
        self.name(identity, hash::inputs_hash(literals))
    }

    fn name(&self, identity: &Arc<str>, inputs_hash: String) -> ActionName {
        let caller = self.caller;
        let key = CallKey {
            caller,
            identity: Arc::clone(identity),
            inputs_hash: inputs_hash.clone(),
            group: self.group.cloned(),
        };
        let sequence = self.counts.count(key);
        let group = self.group.map(|group| &**group);
        let name = hash::child_action_name(caller.as_str(), &inputs_hash, identity, sequence, group);
        ActionName::new(&name).expect("base36 of 16 bytes has at most 25 characters")
    }
}
