//! Genesys Cloud on your own machine: enough for the whole loop of Open Messaging, on the real
//! paths.
//!
//! It is for anyone who builds an Open Messaging middleware and has no account to try it on. A
//! test, a demo, or the program starts it. It knows nothing about the middleware that it talks to,
//! and this must stay so.
//!
//! The layers, from the bottom:
//!
//! 1. `world` is the simulated organisation: plain data, without I/O and without a clock.
//! 2. `app` is what all parts share: the world behind its lock, the clock, switches and faults.
//! 3. `webhook` sends what the world has to say; `agent` and `integrations` are the operations that
//!    need more than the world.
//! 4. `http` is the API and the control paths. `desktop` is the agent's page, and `handle` is for
//!    the same process.
//! 5. `server` starts it all, and is the only one that knows both `http` and `desktop`.
//!
//! No layer uses one above it.

mod agent;
mod app;
mod clock;
mod config;
mod connection_breaker;
mod desktop;
mod error;
mod faults;
mod guard;
mod handle;
mod http;
mod ids;
mod integrations;
mod invalid;
mod media;
mod schemas;
mod server;
mod span;
mod switches;
mod transcript;
mod verdict;
mod webhook;
mod webhook_clients;
mod world;

pub use agent::SentMessage;
pub use clock::{ClockError, SandboxClock};
pub use config::SandboxConfig;
pub use error::{HandleError, StartError};
pub use faults::{Action, Rule, RuleError, Target};
pub use handle::{Handle, NewIntegration};
pub use invalid::Invalid;
pub use schemas::SchemaError;
pub use server::{Running, Sandbox};
pub use span::Span;
pub use switches::{
    Description, ExhaustedWebhook, Late, LimitCode, PlainHttp, RefusedWebhook, SecondSocket,
    SwitchError, Switches, UnknownReceipt,
};
pub use transcript::{Direction, Entry, Kind};
pub use verdict::{ReceiptFault, RefusedCall, Verdict, VerdictRow, WebhookFault};
pub use world::Refusal;
