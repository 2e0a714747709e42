//! Reads slightly broken input of other programs: JSON with damaged characters, numbers in place of
//! ids, `Retry-After` in any of its forms.
//!
//! All input from Genesys or from a chat service is read by this crate, so that a fault is repaired
//! in the same way everywhere. Nothing here guesses at a meaning, and no error quotes its input.

pub mod id;
pub mod json;
mod retry_after;

pub use retry_after::{http_date, retry_after};
