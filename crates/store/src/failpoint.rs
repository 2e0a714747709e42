//! Deliberate panics, for tests of the built program. Only a debug build has them: in a release
//! build [`reached`] is empty.
//!
//! The environment variable `STORE_FAILPOINT` names a file. Once a test has written the name of a
//! point into it, the code that reaches that point panics.

/// Panics if the test has armed this point.
#[cfg(debug_assertions)]
pub(crate) fn reached(point: &str) {
    static FILE: std::sync::OnceLock<Option<std::ffi::OsString>> = std::sync::OnceLock::new();
    let Some(file) = FILE.get_or_init(|| std::env::var_os("STORE_FAILPOINT")) else { return };
    let wanted = std::fs::read_to_string(file).unwrap_or_default();
    if wanted.trim() == point {
        // The program logs no message of a panic that is not a literal.
        tracing::error!("the failpoint {point} was reached");
        panic!("a failpoint was reached");
    }
}

#[cfg(not(debug_assertions))]
pub(crate) const fn reached(_: &str) {}
