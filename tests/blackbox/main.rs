//! What a user would notice, on the built program.

mod support;

mod addresses;
mod bad_input;
mod browser;
mod clock;
mod commands;
mod crash;
mod disk;
mod documents;
mod edges;
mod environment;
mod first_byte;
mod first_message;
mod handover;
mod ingress;
mod openapi;
mod operators;
mod overload;
mod panics;
mod policies;
#[path = "../ports.rs"]
mod ports;
mod postgres;
mod postgres_around;
#[path = "../postgres_cluster.rs"]
mod postgres_cluster;
#[path = "../postgres_standby.rs"]
mod postgres_standby;
#[path = "../psql.rs"]
mod psql;
mod refused;
mod replay;
mod restart;
mod sdk;
mod sdk_conformance;
mod secrets;
mod sessions;
mod store_away;
mod store_copy;
mod store_file;
mod strangers;
mod the_loop;
mod told;
mod verdict;
#[path = "../wall_clock.rs"]
mod wall_clock;
