//! `[server]`, `[admin]`, `[store]` and `[console]`.
//!
//! The code that reads a configuration calls these. Each section asks for all of its keys before it
//! gives up on one.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use genesys::Secret;
use store::PostgresStore;
use url::Url;

use super::report::quoted;
use super::secrets;
use super::walk::Table;

/// `[server]`: where Tidegate listens.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// The address that it listens on.
    pub(crate) listen: SocketAddr,
    /// The address that Genesys and chat services are given.
    pub(crate) public_url: Option<Url>,
    /// The largest body that it accepts, in bytes.
    pub(crate) max_body: usize,
}

/// `[admin]`: where operators query the gateway.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    /// A separate address for operators. Without it, they are answered at the server's address,
    /// only from this machine.
    pub(crate) listen: Option<SocketAddr>,
}

/// `[store]`: where messages are kept.
#[derive(Clone)]
pub(crate) struct StoreSection {
    /// `sqlite:` and a path, or `postgres://…`. It may contain a password, so it is never shown.
    pub(crate) url: String,
    /// How long a finished conversation is kept.
    pub(crate) retention: Duration,
    /// How soon another node drives the conversations of one that died.
    pub(crate) takeover: Duration,
}

impl fmt::Debug for StoreSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.url.split(':').next().unwrap_or_default();
        f.debug_struct("StoreSection")
            .field("url", &format!("{kind}:…"))
            .field("retention", &self.retention)
            .field("takeover", &self.takeover)
            .finish()
    }
}

/// A user of the console and the API.
#[derive(Clone, Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "the console comes later"))]
pub(crate) struct ConsoleUser {
    /// The login name.
    pub(crate) name: String,
    /// The hash of their password, as `$algorithm$…`.
    pub(crate) password_hash: Secret,
    /// The user's role.
    pub(crate) role: Role,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// See everything, retry and discard messages, reload.
    Operator,
    /// See everything.
    Viewer,
}

/// The default for how soon another node drives the conversations of one that died.
pub(crate) const TAKEOVER: Duration = Duration::from_secs(10);

const DAY: Duration = Duration::from_hours(24);

pub(super) fn server(table: &Table<'_>) -> Server {
    let listen = table.field("listen").parsed(|text| address(text, "127.0.0.1:8080"));
    Server {
        listen: listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))),
        public_url: table.field("public_url").http_url("https://gateway.example.com"),
        max_body: table.field("max_body").size(1 << 10..=64 << 20).unwrap_or(1 << 20),
    }
}

/// `server` is the address of the server.
pub(super) fn admin(table: &Table<'_>, server: SocketAddr) -> Admin {
    let field = table.field("listen");
    let listen = field.parsed(|text| address(text, "127.0.0.1:9090"));
    // Port 0 means a new port each time.
    if listen == Some(server) && server.port() != 0 {
        field.problem(
            "is the address of server.listen too: give operators another port, or leave this out",
        );
    }
    Admin { listen }
}

fn address(text: &str, example: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let (_, port) = example.rsplit_once(':').unwrap_or_default();
        format!(
            "{} is no address with a port: write for example \"{example}\" or \"[::1]:{port}\"",
            quoted(text)
        )
    })
}

pub(super) fn store(table: &Table<'_>) -> StoreSection {
    let url = table.field("url").parsed(|text| {
        match text.strip_prefix("sqlite:") {
            Some(path) if !path.trim().is_empty() => Ok(text.to_owned()),
            None if PostgresStore::is_url(text) => Ok(text.to_owned()),
            // It may contain a password, so it is not repeated.
            _ => Err(
                "is no store: write \"sqlite:tidegate.db\" or \"postgres://user@host/database\""
                    .to_owned(),
            ),
        }
    });
    StoreSection {
        url: url.unwrap_or_else(|| "sqlite:tidegate.db".to_owned()),
        retention: table.field("retention").duration(DAY..=3_650 * DAY).unwrap_or(30 * DAY),
        takeover: table
            .field("takeover")
            .duration(Duration::from_secs(2)..=Duration::from_mins(5))
            .unwrap_or(TAKEOVER),
    }
}

pub(super) fn console(table: &Table<'_>) -> Option<Vec<ConsoleUser>> {
    let users = table.field("users");
    let mut seen = BTreeMap::new();
    let mut read = Vec::new();
    for (index, user) in users.elements().unwrap_or_default().iter().enumerate() {
        read.push(user.table(|table| {
            let name = table.field("name").required("name = \"ops\"");
            let known = name.text();
            if let Some(other) = known.clone().and_then(|known| seen.insert(known, index)) {
                name.problem(format!(
                    "console.users[{other}] has this name too: give each user a name of their own"
                ));
            }
            let hash =
                table.field("password_hash").required("password_hash = { env = \"OPS_HASH\" }");
            let role = table.field("role").required("role = \"viewer\", or \"operator\"");
            let (password_hash, role) = (
                hash.secret(secrets::of_password),
                role.choice(&[("operator", Role::Operator), ("viewer", Role::Viewer)]),
            );
            Some(ConsoleUser { name: known?, password_hash: password_hash?, role: role? })
        }));
    }
    read.into_iter().collect()
}
