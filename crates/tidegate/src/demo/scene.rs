//! Values that the demo's parts and its script share.

use std::time::Duration;

/// The integration's name, at Genesys and in the gateway.
pub(super) const NAME: &str = "demo";
/// How long the chat service's handshake takes.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long the gateway holds a message: shorter than usual, so that the second scene does not take
/// long.
pub(super) const HOLD: Duration = Duration::from_secs(10);
