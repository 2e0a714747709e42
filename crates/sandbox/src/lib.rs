//! Genesys Cloud on your own machine: enough for the whole loop of Open Messaging, on the real
//! paths.
//!
//! It is for anyone who builds an Open Messaging middleware and has no account to try it on. A
//! test, a demo, or the program starts it. It knows nothing about the middleware that it talks to,
//! and this must stay so.

mod app;
mod clock;
mod config;
mod cut;
mod desktop;
mod faults;
mod handle;
mod http;
mod ids;
mod invalid;
mod media;
mod schemas;
mod server;
mod span;
mod switches;
mod transcript;
mod verdict;
mod webhook;
mod world;

pub use clock::{ClockError, SandboxClock};
pub use config::SandboxConfig;
pub use faults::{Action, Rule, RuleError, Target};
pub use handle::{Handle, HandleError, NewIntegration, SentMessage};
pub use schemas::SchemaError;
pub use server::{Running, Sandbox, StartError};
pub use span::Span;
pub use switches::{
    Description, ExhaustedWebhook, Late, LimitCode, PlainHttp, RefusedWebhook, SecondSocket,
    Switches, UnknownReceipt,
};
pub use transcript::{Direction, Entry, Kind};
pub use verdict::{ReceiptFault, RefusedCall, Verdict, VerdictRow, WebhookFault};
pub use world::Refusal;
