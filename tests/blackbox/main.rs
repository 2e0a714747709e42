//! What a user would notice, on the built program.

mod support;

mod addresses;
mod bad_input;
mod browser;
mod clock;
mod commands;
mod crash;
mod disk;
mod ingress;
mod openapi;
mod overload;
mod policies;
#[path = "../ports.rs"]
mod ports;
mod postgres;
mod postgres_around;
#[path = "../postgres_cluster.rs"]
mod postgres_cluster;
mod restart;
mod sdk;
mod sdk_conformance;
mod secrets;
mod store_away;
mod store_copy;
mod strangers;
mod the_loop;
mod verdict;
