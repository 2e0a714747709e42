//! The sandbox over the wire, as a middleware and a test script see it.

#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

mod agents;
mod bodies;
mod desktop;
mod examples;
mod faults;
mod judging;
mod limits;
mod media;
mod notifications;
mod pages;
mod profiles;
mod receipts;
mod robustness;
mod roles;
mod support;
mod switches;
mod time;
mod webhooks;
