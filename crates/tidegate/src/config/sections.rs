//! `[server]`, `[admin]`, `[store]` and `[console]`.
//!
//! Each section asks for all of its keys before it returns because of one, so that all problems are
//! found.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use gateway::{ConsoleUser, OperatorToken, Operators, Role};
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
    /// The URL that Genesys and chat services must call.
    pub(crate) public_url: Option<Url>,
    /// The largest request body that it accepts, in bytes.
    pub(crate) max_body: usize,
}

/// `[admin]`: where the gateway answers operators.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    /// A separate address for operators. Without it, the server's address answers them, but only
    /// from this machine.
    pub(crate) listen: Option<SocketAddr>,
}

/// `[store]`: where messages are kept.
#[derive(Clone)]
pub(crate) struct StoreSection {
    /// `sqlite:` and a path, or `postgres://…`. It may contain a password, so it is never shown.
    pub(crate) url: String,
    /// How long a finished conversation is kept.
    pub(crate) retention: Duration,
    /// If a node dies, other nodes drive its conversations within this time.
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

/// The default of `store.takeover`.
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

/// Reads `[admin]`. `server` is the address of the server.
pub(super) fn admin(table: &Table<'_>, server: SocketAddr) -> Admin {
    let field = table.field("listen");
    let listen = field.parsed(|text| address(text, "127.0.0.1:9090"));
    // Port 0 means a new port each time, so the two do not collide.
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
            "{} is not an address with a port: write for example \"{example}\" or \"[::1]:{port}\"",
            quoted(text)
        )
    })
}

pub(super) fn store(table: &Table<'_>) -> StoreSection {
    let url = table.field("url").parsed(|text| {
        match text.strip_prefix("sqlite:") {
            Some(path) if !path.trim().is_empty() => Ok(text.to_owned()),
            None if PostgresStore::is_url(text) => Ok(text.to_owned()),
            // The URL may contain a password, so it is not repeated.
            _ => Err("is not a store's URL: write \"sqlite:tidegate.db\" or \
                 \"postgres://user@host/database\""
                .to_owned()),
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

pub(super) fn console(table: &Table<'_>) -> Option<Operators> {
    let (users, tokens) = (users(table), tokens(table));
    Some(Operators { users: users?, tokens: tokens? })
}

const ROLES: [(&str, Role); 2] = [("operator", Role::Operator), ("viewer", Role::Viewer)];

/// The journal keeps the name with each action, and terminals show it.
fn operator_name(name: &str) -> Result<String, String> {
    const LONGEST: usize = 64;
    if name.chars().count() <= LONGEST && !name.contains(char::is_control) {
        Ok(name.to_owned())
    } else {
        Err(format!("has more than {LONGEST} characters, or a control character"))
    }
}

fn tokens(table: &Table<'_>) -> Option<Vec<OperatorToken>> {
    let tokens = table.field("tokens");
    let (mut names, mut known) = (BTreeMap::new(), Vec::new());
    let mut read = Vec::new();
    for (index, token) in tokens.elements().unwrap_or_default().iter().enumerate() {
        read.push(token.table(|table| {
            let given = table.field("name").required("name = \"night shift\"");
            let name = given.parsed(operator_name);
            if let Some(other) = name.clone().and_then(|name| names.insert(name, index)) {
                given.problem(format!(
                    "console.tokens[{other}] has this name too, and the journal could not tell who \
                     acted: give each token a name of its own"
                ));
            }
            let role = table.field("role").choice(&ROLES).unwrap_or(Role::Viewer);
            let given = table.field("token").required("token = { env = \"TIDEGATE_TOKEN\" }");
            let token = given.secret(secrets::of_token);
            if let Some(token) = &token {
                if let Some((other, _)) = known.iter().find(|(_, known)| known == token) {
                    given.problem(format!(
                        "console.tokens[{other}] has the same token, and a request could not tell \
                         whose it is: give each entry a token of its own"
                    ));
                }
                known.push((index, token.clone()));
            }
            Some(OperatorToken { name: name?, token: token?, role })
        }));
    }
    read.into_iter().collect()
}

fn users(table: &Table<'_>) -> Option<Vec<ConsoleUser>> {
    let users = table.field("users");
    let mut seen = BTreeMap::new();
    let mut read = Vec::new();
    for (index, user) in users.elements().unwrap_or_default().iter().enumerate() {
        read.push(user.table(|table| {
            let name = table.field("name").required("name = \"ops\"");
            let known = name.parsed(operator_name);
            if let Some(other) = known.clone().and_then(|known| seen.insert(known, index)) {
                name.problem(format!(
                    "console.users[{other}] has this name too: give each user a name of their own"
                ));
            }
            let hash =
                table.field("password_hash").required("password_hash = { env = \"OPS_HASH\" }");
            let role = table.field("role").required("role = \"viewer\", or \"operator\"");
            let (password_hash, role) = (hash.secret(secrets::of_password), role.choice(&ROLES));
            Some(ConsoleUser { name: known?, password_hash: password_hash?, role: role? })
        }));
    }
    read.into_iter().collect()
}
