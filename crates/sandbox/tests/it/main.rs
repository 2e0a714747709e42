//! The sandbox over the wire, as a middleware and a test script meet it.

#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

mod agents;
mod bodies;
mod desktop;
mod faults;
mod limits;
mod notifications;
mod pages;
mod receipts;
mod robustness;
mod support;
mod switches;
mod time;
mod webhooks;
