//! The HTTP connector against many chat services: scripted, broken, and a real one in Python.

#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it in test functions only, and all of this is test"
)]

mod answers;
mod broken;
mod departure;
#[path = "../../../../tests/ports.rs"]
mod ports;

mod python_chat;
mod requests;
mod service;
mod suite;
