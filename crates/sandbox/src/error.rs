//! Why a sandbox does not start, and why a call of its handle is refused.

use std::io;
use std::net::SocketAddr;

use crate::clock::ClockError;
use crate::invalid::Invalid;
use crate::schemas::SchemaError;
use crate::switches::SwitchError;
use crate::world::Refusal;

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The sandbox cannot listen on the address.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address and port of [`SandboxConfig::listen`](crate::SandboxConfig::listen).
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The clock cannot run at that speed.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// A schema is broken, which is a bug in this program.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The client for webhooks cannot be set up.
    #[error("the client for webhook calls cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// Why a call of the handle was refused.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// Something does not exist, or has ended.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A field of the requested integration is invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The switches cannot be set in this way.
    #[error(transparent)]
    Switch(#[from] SwitchError),
}
