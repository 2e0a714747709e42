//! What the gateway posts to Genesys. Genesys answers as the test says, in simulated time.

mod limited;
mod poison;
mod questions;
mod stage;
mod typing;
