//! Genesys Cloud Open Messaging: the JSON bodies, the webhook's signature, the REST calls, and a
//! rate limiter for them.
//!
//! This crate is for programs that connect a chat service to Genesys Cloud (a middleware), and for
//! emulators of Genesys Cloud. It keeps fields and words that it does not know, and writes them
//! back unchanged. It does not decide what to do with a message.
//!
//! The names of bodies in parentheses, such as `OpenOutboundNormalizedMessage`, are those of the
//! models in Genesys's SDKs.
//!
//! ```no_run
//! use genesys::inbound::InboundReceipt;
//! use genesys::receipt::ReceiptStatus;
//! use genesys::{Budget, Lane, Secret, WebhookMessage, signature};
//!
//! # async fn example(
//! #     header: &[u8],
//! #     body: &[u8],
//! #     budget: Budget,
//! #     now: jiff::Timestamp,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! // In the webhook: trust nothing before the signature over the raw bytes is checked.
//! signature::verify(&[Secret::new("the integration's secret")], Some(header), body)?;
//! let message = WebhookMessage::read(body)?;
//! let customer = message.to().ok_or("the message has no recipient")?.clone();
//!
//! // Later: report to Genesys that the customer got the message, within the rate limit.
//! let receipt = InboundReceipt::new(&message.id, customer, now, ReceiptStatus::Delivered, true);
//! let post = async |client: genesys::Client| client.post_receipt("i", &receipt).await;
//! budget.call(Lane::Delivered, post).await?;
//! # Ok(())
//! # }
//! ```

#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]

pub mod agent;
pub mod budget;
mod call_error;
mod cause;
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
pub use cause::Cause;
pub use client::{Answer, Body, Client, Credentials, Exchange, LastCall, MayLeave, Transport};
pub use envelope::{Envelope, NotJson};
pub use error_body::ErrorBody;
pub use message::{Channel, Content, Party};
pub use rate_limit::RateLimit;
pub use region::Hosts;
pub use secret::Secret;
pub use webhook::WebhookMessage;
