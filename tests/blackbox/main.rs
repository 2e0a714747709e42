//! What a user would notice, on the built program.

mod support;

mod addresses;
mod bad_input;
mod browser;
mod clock;
mod commands;
mod connect_in_30_minutes;
mod connector_page;
mod connector_suite;
mod console;
mod console_actions;
mod console_lists;
mod content;
mod crash;
mod dead_letters;
mod disk;
mod documents;
mod edges;
mod environment;
mod files;
mod first_byte;
mod first_message;
mod handover;
mod ingress;
mod lists;
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
#[path = "../s3/mod.rs"]
mod s3;
mod sdk;
mod sdk_conformance;
mod secrets;
mod sessions;
mod socket;
mod store_away;
mod store_copy;
mod store_file;
mod strangers;
mod the_loop;
mod told;
mod verdict;
#[path = "../wall_clock.rs"]
mod wall_clock;
mod where_is_it;
