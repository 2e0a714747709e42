//! Open Messaging as Genesys Cloud speaks it: the bodies, the webhook's signature, the calls, the
//! rate limit.
//!
//! For anyone who writes an Open Messaging middleware or an emulator of Genesys Cloud. Bodies are
//! read tolerantly and written back without loss; nothing here decides what is to be done with a
//! message.
//!
//! ```no_run
//! use genesys::inbound::InboundReceipt;
//! use genesys::receipt::ReceiptStatus;
//! use genesys::{Budget, Lane, Secret, WebhookMessage, signature};
//!
//! # async fn example(header: &[u8], body: &[u8], budget: Budget, now: jiff::Timestamp) -> Option<()> {
//! // In the webhook: believe nothing before the signature over the raw bytes is checked.
//! signature::verify(&[Secret::new("the integration's secret")], Some(header), body).ok()?;
//! let message = WebhookMessage::read(body).ok()?;
//!
//! // Later: tell Genesys what became of it, when it is this receipt's turn.
//! let customer = message.to()?.clone();
//! let receipt = InboundReceipt::new(&message.id, customer, now, ReceiptStatus::Delivered, true);
//! let post = async |client: genesys::Client| client.post_receipt("the integration's id", &receipt).await;
//! budget.call(Lane::Delivered, post).await.ok()?;
//! # Some(())
//! # }
//! ```

#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]

pub mod agent;
pub mod budget;
mod call_error;
pub mod client;
pub mod conversation;
pub mod envelope;
pub mod error_body;
pub mod inbound;
pub mod integration;
pub mod message;
pub mod notifications;
pub mod oauth;
mod rate_limit;
pub mod receipt;
mod record;
pub mod region;
pub mod schema;
mod secret;
pub mod signature;
pub mod webhook;

pub use budget::{Budget, BudgetConfig, Lane, Permit};
pub use call_error::CallError;
pub use client::{Answer, Body, Client, Credentials, Exchange, LastCall, MayLeave, Transport};
pub use envelope::{Envelope, NotJson};
pub use error_body::ErrorBody;
pub use message::{Channel, Content, Party};
pub use rate_limit::RateLimit;
pub use region::Hosts;
pub use secret::Secret;
pub use webhook::WebhookMessage;
