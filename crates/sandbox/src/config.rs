//! How a sandbox is started.

use std::net::{Ipv4Addr, SocketAddr};

/// How a sandbox is started.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Where it listens. Port 0 takes a free one.
    ///
    /// On a loopback address, the control paths and the desktop answer only to `localhost` and to
    /// IP addresses; any other name in `Host` gets 421. On another address they answer to any name.
    pub listen: SocketAddr,
    /// The seed of the randomness that faults depend on.
    pub seed: u64,
    /// How many seconds of sandbox time pass in a real second.
    pub clock_scale: f64,
    /// The OAuth clients: id and secret.
    pub clients: Vec<(String, String)>,
    /// Requests a minute for each token (Genesys's default is 300); 0 sets no limit.
    pub rate_per_minute: u32,
    /// The most entries that the transcript keeps; the oldest go first.
    pub transcript_entries: usize,
    /// The most bytes of bodies that the transcript keeps; the oldest go first.
    pub transcript_bytes: usize,
    /// The most webhook calls that are under way at once for one integration.
    pub webhook_connections: usize,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 1,
            clock_scale: 1.0,
            clients: vec![("sandbox-client".to_owned(), "sandbox-secret".to_owned())],
            rate_per_minute: 300,
            transcript_entries: 200_000,
            transcript_bytes: 256 * 1024 * 1024,
            webhook_connections: 64,
        }
    }
}
