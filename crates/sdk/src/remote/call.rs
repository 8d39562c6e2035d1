//! Calling a deployed task.

use super::reference::RemoteTask;
use crate::call::{Call, Callee};
use crate::task::TaskOutput;

impl RemoteTask {
    /// The call. Its output must be a `T`.
    pub fn call<T: TaskOutput>(self) -> Call<T> {
        Call::new(Callee::from(self))
    }
}
