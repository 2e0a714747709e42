//! What the log gets of a panic: where it happened, and its message only if that is a literal. Any
//! other message may quote a customer. Rust's own message about a bad index into a text does.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::panic::Location;

/// Replaces the standard hook, which prints the message of every panic. A message may quote a
/// customer.
pub(crate) fn install_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let told = line(panic.payload(), panic.location(), std::thread::current().name());
        let mut log = std::io::stderr().lock();
        // If the log cannot be written, there is no other place to tell of the panic.
        let _ = writeln!(log, "{told}");
        // `RUST_BACKTRACE` asks for it. It has only names of functions and places.
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            let _ = writeln!(log, "{backtrace}");
        }
    }));
}

fn line(payload: &dyn Any, place: Option<&Location<'_>>, thread: Option<&str>) -> String {
    let place = place.map_or("an unknown place".to_owned(), Location::to_string);
    let said = payload
        .downcast_ref::<&'static str>()
        .unwrap_or(&"(its message is left out, because it may quote a customer)");
    format!("thread '{}' panicked at {place}: {said}", thread.unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, panic_any};

    use super::*;

    const WORDS: &str = "meine Größe ist XL";

    fn told(panics: fn()) -> String {
        let payload = catch_unwind(panics).expect_err("it panics");
        line(&*payload, Some(Location::caller()), Some("main"))
    }

    #[test]
    fn a_customers_words_are_left_out() {
        // The library's message is: byte index 9 is not a char boundary; it is inside …
        let told = [
            told(|| assert!(WORDS[9..].is_empty())),
            told(|| panic!("a bad message: {}", std::hint::black_box(WORDS))),
            told(|| panic_any(WORDS.to_owned())),
            told(|| {
                let refused: Result<(), &str> = std::hint::black_box(Err(WORDS));
                refused.unwrap();
            }),
        ];
        for line in told {
            assert!(line.contains("panicked at ") && line.contains("panics.rs:"), "{line}");
            assert!(!line.contains("XL"), "{line}");
        }
    }

    #[test]
    fn a_literal_is_told() {
        let line = told(|| panic!("this cannot happen"));
        assert!(line.starts_with("thread 'main' panicked at "), "{line}");
        assert!(line.ends_with(": this cannot happen"), "{line}");
    }
}
