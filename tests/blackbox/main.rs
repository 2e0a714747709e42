//! What a user would notice, on the built program.

mod support;

mod bad_input;
mod browser;
mod commands;
mod crash;
mod ingress;
mod policies;
mod restart;
mod sdk;
mod the_loop;
