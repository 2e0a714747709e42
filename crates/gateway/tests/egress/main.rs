//! Posts to Genesys, in simulated time. Genesys answers as the test says.

mod answers;
mod files;
mod limited;
mod poison;
mod questions;
mod stage;
mod typing;
