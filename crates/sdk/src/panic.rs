//! Panics of tasks: caught at the task's border, with their message and their place.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Once;

use spanwise_core::{Failure, code};

thread_local! {
    /// Where the last panic of this thread happened.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Adds the reading of places to the panic hook of the program, which goes on to do what it did.
pub(crate) fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map(ToString::to_string);
            PLACE.with(|slot| *slot.borrow_mut() = place);
            previous(panic);
        }));
    });
}

/// The failure of an attempt that panicked. To be called on the thread that caught it.
pub(crate) fn failure(payload: &(dyn Any + Send)) -> Failure {
    let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic with a value that is no text".to_owned(),
    };
    let place = PLACE.with(|slot| slot.borrow_mut().take());
    Failure { place, ..Failure::user(code::PANIC, message) }
}
