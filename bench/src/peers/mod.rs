//! The reference implementations, each in its own process.

mod bare;
pub(crate) mod floor;
mod memory;
mod relay;

use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use tokio::net::TcpListener;

/// A reference implementation.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Peer {
    /// A handler that reads the body.
    Bare,
    /// A handler that appends the body to a file.
    File,
    /// A handler that inserts the body into a table of SQLite.
    Table,
    /// The gateway with the simulation's store in memory.
    Memory,
    /// The whole loop in memory, without a store.
    Relay,
}

/// The arguments of a reference implementation.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    peer: Peer,
    #[arg(long)]
    port: u16,
    #[arg(long)]
    chat: url::Url,
    #[arg(long)]
    genesys: url::Url,
}

/// Serves until it is killed.
pub(crate) async fn serve(place: Place) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], place.port)))
        .await
        .expect("the port is free");
    let router = match place.peer {
        Peer::Bare => bare::router(),
        Peer::File => floor::file(),
        Peer::Table => floor::table(),
        Peer::Memory => memory::router(place.chat, place.genesys),
        Peer::Relay => relay::router(place.chat, place.genesys),
    };
    let listener =
        axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router).await.expect("it serves");
}
