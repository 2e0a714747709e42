//! The limits of sockets.

use std::time::Duration;

/// How many calls may wait for their answers on one socket. The next ones wait for a place.
pub(super) const MAX_CALLS: usize = 256;

/// The limits of the sockets of one chat service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many sockets may be open at once.
    pub max_sockets: usize,
    /// A socket from which nothing came for this long is closed.
    pub dead_after: Duration,
}
