//! What the figures are compared with, in processes of their own.

mod bare;
mod floor;
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
    Floor,
    /// The whole loop in memory, without a store.
    Relay,
}

/// Where it stands.
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
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], place.port))).await.expect("the port is free");
    let router = match place.peer {
        Peer::Bare => bare::router(),
        Peer::Floor => floor::router(),
        Peer::Relay => relay::router(place.chat, place.genesys),
    };
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router).await.expect("it serves");
}
