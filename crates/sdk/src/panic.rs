//! Panics of tasks: caught at the task's border, with their message and the source position.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Once;

use spanwise_core::{Failure, code};

thread_local! {
    /// What the last panic of this thread said, and where it happened.
    static LAST: RefCell<Option<Said>> = const { RefCell::new(None) };
}

struct Said {
    #[cfg(feature = "otel")]
    message: Option<String>,
    position: Option<String>,
}

/// Notes where a panic happens, in front of the panic hook of the program, which does what it did.
pub(crate) fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let said = Said {
                #[cfg(feature = "otel")]
                message: panic.payload_as_str().map(str::to_owned),
                position: panic.location().map(ToString::to_string),
            };
            LAST.with(|slot| *slot.borrow_mut() = Some(said));
            previous(panic);
        }));
    });
}

/// What the panic that is unwinding this thread said. For spans that end on its way.
#[cfg(feature = "otel")]
pub(crate) fn message() -> String {
    let message = LAST.with(|slot| slot.borrow().as_ref().and_then(|said| said.message.clone()));
    message.unwrap_or_else(|| "the task panicked".to_owned())
}

/// The failure of an attempt that panicked. To be called on the thread that caught it.
pub(crate) fn failure(payload: &(dyn Any + Send)) -> Failure {
    let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic with a value that is no text".to_owned(),
    };
    let position = LAST.with(|slot| slot.borrow_mut().take()).and_then(|said| said.position);
    Failure { position, ..Failure::user(code::PANIC, message) }
}
