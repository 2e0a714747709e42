//! Files over real sockets: a server of files, and the gateway's store.

mod addresses;
mod bucket;
mod fetching;
mod keeping;
mod stage;
