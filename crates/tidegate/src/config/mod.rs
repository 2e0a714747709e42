//! The configuration: one TOML file, overridden by environment variables (docs/configuration.md).
//!
//! The program reads it before anything else. It reports all problems at once, each with its place
//! and its remedy, and never shows a secret.

mod connector_table;
mod env;
mod integration;
mod media;
mod problem;
mod report;
mod secrets;
pub(crate) mod sections;
#[cfg(test)]
mod tests;
mod tree;
mod values;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use connector::Kind;
use connector::registry::KINDS;
use gateway::Operators;

pub(crate) use self::integration::Integration;
pub(crate) use self::media::MediaSection;
pub(crate) use self::report::ConfigErrors;
pub(crate) use self::sections::{Admin, Server, StoreSection};

use self::walk::{Table, Walk};

/// The file that is read by default.
pub(crate) const DEFAULT_FILE: &str = "tidegate.toml";

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// The minimal file.
const LEAST: &str = r#"
    [[integration]]
    name           = "acme"
    region         = "mypurecloud.com"
    integration_id = "…"                      # Genesys shows it with the Open Messaging integration
    clients        = [{ id = "…", secret = { env = "ACME_CLIENT_SECRET" } }]
    webhook_secret = { env = "ACME_WEBHOOK_SECRET" }

    [integration.connector]
    type   = "http"
    url    = "http://127.0.0.1:9000"
    secret = { env = "ACME_CONNECTOR_SECRET" }
"#;

/// Everything that the operator chose, with defaults for the rest.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where Tidegate listens.
    pub(crate) server: Server,
    /// Where the gateway answers operators.
    pub(crate) admin: Admin,
    /// Where messages are kept.
    pub(crate) store: StoreSection,
    /// Where files are kept, if they are.
    pub(crate) media: Option<MediaSection>,
    /// Who may use the console and the API.
    pub(crate) console: Operators,
    /// The integrations, at least one.
    pub(crate) integrations: Vec<Integration>,
}

impl Config {
    /// Reads the file at `path`, and the variables of `env` that name keys or secrets. If the file
    /// does not exist, variables suffice only if `path` is [`DEFAULT_FILE`], because a mistyped
    /// file name must be reported.
    pub(crate) fn load(
        path: &Path,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let file = path.display().to_string();
        let variables: BTreeMap<String, String> = env.collect();
        let text = match secrets::read_text(path, LARGEST) {
            Ok(text) => text,
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                if path == Path::new(DEFAULT_FILE) && env::are_a_configuration(&variables) {
                    let file = format!("{file} (which is not there)");
                    return Self::parse(&file, Path::new(""), "", variables.into_iter());
                }
                let text = format!(
                    "there is no such file. Name another with --config FILE, or write one; \
                     tidegate.example.toml has every key, and this is the minimum:\n{LEAST}"
                );
                return Err(ConfigErrors::of_file(&file, text));
            }
            Err(cause) => {
                return Err(ConfigErrors::of_file(
                    &file,
                    format!("the file cannot be read: {cause}"),
                ));
            }
        };
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::parse(&file, directory, &text, variables.into_iter())
    }

    /// Reads `text` as the contents of `file`. Paths of secrets are relative to `directory`.
    pub(crate) fn parse(
        file: &str,
        directory: &Path,
        text: &str,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        Self::parse_with(KINDS, file, directory, text, env)
    }

    /// The same with these kinds of connectors.
    pub(crate) fn parse_with(
        kinds: &'static [&'static dyn Kind],
        file: &str,
        directory: &Path,
        text: &str,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let (config, walk) = read(kinds, directory, text, env);
        match ConfigErrors::of(file, walk.problems()) {
            Some(errors) => Err(errors),
            // A missing value is always a problem, so this default never applies.
            None => config.ok_or_else(|| ConfigErrors::of_file(file, "cannot be read".to_owned())),
        }
    }
}

/// The address at which a gateway with this configuration answers operators. Nothing else is read,
/// so that it needs no secrets.
pub(crate) fn operators_address(
    path: &Path,
    env: impl Iterator<Item = (String, String)>,
) -> Result<SocketAddr, ConfigErrors> {
    let file = path.display().to_string();
    let text = match secrets::read_text(path, LARGEST) {
        Err(cause) if cause.kind() == ErrorKind::NotFound && path == Path::new(DEFAULT_FILE) => {
            String::new()
        }
        read => read.map_err(|cause| {
            ConfigErrors::of_file(&file, format!("the file cannot be read: {cause}"))
        })?,
    };
    let not_toml =
        |_| ConfigErrors::of_file(&file, "is not TOML; `tidegate check` says where".to_owned());
    let mut tree = tree::parse(&text).map_err(not_toml)?;
    let variables: BTreeMap<String, String> = env.collect();
    env::override_keys(&mut tree, &variables);
    let walk = Walk::new(variables, PathBuf::new(), KINDS, Vec::new());
    let address = walk.root(&tree, |root| {
        let server = root.field("server").table(sections::server).listen;
        root.field("admin").table(|table| sections::admin(table, server)).listen.unwrap_or(server)
    });
    let mut problems = walk.problems();
    problems.retain(|problem| problem.key.ends_with(".listen"));
    ConfigErrors::of(&file, problems).map_or(Ok(address), Err)
}

fn read(
    kinds: &'static [&'static dyn Kind],
    directory: &Path,
    text: &str,
    env: impl Iterator<Item = (String, String)>,
) -> (Option<Config>, Walk) {
    let variables: BTreeMap<String, String> = env.collect();
    let walk = |variables, problems| Walk::new(variables, directory.to_owned(), kinds, problems);
    match tree::parse(text) {
        Err(mut problems) => {
            // In a broken file, a line of a secret may look like a key, so only known keys are
            // shown.
            let known = known_keys();
            let is_known =
                |word: &str| known.iter().any(|key| key.rsplit('.').next() == Some(word));
            problems
                .iter_mut()
                .filter(|problem| !is_known(&problem.key))
                .for_each(|problem| problem.key.clear());
            (None, walk(variables, problems))
        }
        Ok(mut tree) => {
            let problems = env::override_keys(&mut tree, &variables);
            let walk = walk(variables, problems);
            (walk.root(&tree, config), walk)
        }
    }
}

/// Every key, such as `integration.hold.for`, except those of the console's users.
fn known_keys() -> BTreeSet<String> {
    tree::parse(LEAST).map_or_else(
        |_| BTreeSet::new(),
        |tree| {
            let walk = Walk::new(BTreeMap::new(), PathBuf::new(), KINDS, Vec::new());
            walk.root(&tree, config);
            walk.known()
        },
    )
}

fn config(root: &Table<'_>) -> Option<Config> {
    let server = root.field("server").table(sections::server);
    let admin = root.field("admin").table(|table| sections::admin(table, server.listen));
    let store = root.field("store").table(sections::store);
    let media = root.field("media").table(|table| media::media(table, &server));
    let console = root.field("console").table(sections::console);
    let integrations =
        root.field("integration").required("[[integration]] with name, region and so on");
    let elements = integrations.elements();
    if elements.as_ref().is_some_and(Vec::is_empty) {
        integrations.problem("is empty: write at least one [[integration]]");
    }
    let mut seen = BTreeMap::new();
    let mut read = Vec::new();
    for (index, element) in elements?.iter().enumerate() {
        read.push(element.table(|table| integration::integration(table, index, &mut seen)));
    }
    Some(Config {
        server,
        admin,
        store,
        media,
        console: console?,
        integrations: read.into_iter().collect::<Option<_>>()?,
    })
}
