//! The pages of the operators' console: plain values in, HTML out.
//!
//! The pages work without JavaScript. One script updates a page that is visible. Nothing in them is
//! inline, so that the content security policy can forbid inline scripts and styles. They show what
//! a timeline has, and never the words of an agent or a customer.
//!
//! Code here must not read the store or decide about a message. [`maud`] escapes every text.

mod actions;
mod assets;
mod conversation;
mod found;
mod frame;
mod integration;
mod lanes;
mod links;
mod message;
mod notice;
mod overview;
mod prose;
mod sign_in;
mod steps;
mod times;

pub use actions::not_done;
pub use assets::{Asset, asset};
pub use conversation::conversations;
pub use found::{Hit, found};
pub use frame::Frame;
pub use integration::{
    Attention, ConversationEntry, Entries, List, ListPage, MessageEntry, integration, list,
};
pub use links::message as message_link;
pub use maud::Markup;
pub use message::messages;
pub use notice::notice;
pub use overview::{IntegrationRow, Overview, overview};
pub use sign_in::{Refusal, sign_in};
