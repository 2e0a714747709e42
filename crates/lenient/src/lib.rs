//! Reads slightly broken input from other programs: JSON with damaged characters, ids that are
//! numbers, and `Retry-After` in any of its forms.
//!
//! All code that reads input from Genesys or from a chat service uses this crate, so that the same
//! fault is repaired in the same way. Nothing here guesses a meaning, and no error quotes its
//! input.

pub mod id;
pub mod json;
mod retry_after;

pub use retry_after::{http_date, retry_after};
