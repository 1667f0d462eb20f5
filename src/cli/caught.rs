//! Panics as reasons: a mistake in one strategy must not end a sweep of thousands of points.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_CATCHING: Cell<bool> = const { Cell::new(false) };
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What `action` returns, or where and why it panicked, for the user. Nothing is printed.
pub(super) fn caught<T>(action: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if IS_CATCHING.get() {
                CAUGHT.set(info.location().map(ToString::to_string));
            } else {
                usual(info);
            }
        }));
    });
    let was_catching = IS_CATCHING.replace(true);
    // What a panic leaves half done belongs to the action, or is a cache whose lock recovers.
    let result = catch_unwind(AssertUnwindSafe(action));
    IS_CATCHING.set(was_catching);
    result.map_err(|payload| {
        let place = CAUGHT.take().unwrap_or_else(|| "an unknown place".to_owned());
        let message = message(payload.as_ref());
        format!("coinfer panicked at {place}: {message} (a mistake in coinfer; please report it)")
    })
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_reason_with_its_place() {
        assert_eq!(caught(|| 1), Ok(1));
        let reason = caught(|| panic!("{} lanes", 0)).unwrap_err();
        assert!(reason.starts_with("coinfer panicked at src/cli/caught.rs:"), "{reason}");
        assert!(reason.contains(": 0 lanes (a mistake in coinfer"), "{reason}");
        let inner = caught(|| (caught(|| panic!("inner")).is_err(), caught(|| panic!("again")).is_err()));
        assert_eq!(inner, Ok((true, true)));
    }
}
