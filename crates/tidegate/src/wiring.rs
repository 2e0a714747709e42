//! From the configuration to the parts: clients, budgets, connectors, stores.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use connector::http::{HttpConnector, Inbound, client_settings};
use conversation::Clock;
use gateway::Integration;
use genesys::{Budget, BudgetConfig, Client};
use store::{OpenError, PostgresStore, SqliteStore, Store};

use crate::config::{self, Config};
use crate::failure::Failure;

/// A host that does not answer a connection in this time is not there: nothing was sent.
const CONNECT: Duration = Duration::from_secs(5);

/// Has to be called once, before the first client is made.
pub(crate) fn install_tls() {
    // An error says only that somebody else was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Reads the configuration, from the file and the environment.
pub(crate) fn configuration(file: &Path) -> Result<Config, Failure> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    Config::load(file, std::env::vars_os().filter_map(text)).map_err(Failure::configuration)
}

/// The client for calls to Genesys.
pub(crate) fn genesys_client() -> Result<reqwest::Client, Failure> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .redirect(reqwest::redirect::Policy::none());
    builder
        .user_agent(AGENT)
        .build()
        .map_err(|error| Failure::failed("cannot make an HTTP client", error))
}

/// The client for calls to chat services.
pub(crate) fn connector_client() -> Result<reqwest::Client, Failure> {
    let builder = client_settings(reqwest::Client::builder()).user_agent(AGENT);
    builder.build().map_err(|error| Failure::failed("cannot make an HTTP client", error))
}

const AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));

/// One integration with all its parts. It needs a tokio runtime.
pub(crate) fn integration(
    config: config::Integration,
    genesys: &reqwest::Client,
    connector: &reqwest::Client,
    clock: &Arc<dyn Clock>,
) -> Arc<Integration> {
    let clients = config
        .clients
        .into_iter()
        .map(|client| Client::new(genesys.clone(), config.hosts.clone(), client));
    // The jitter has to differ from node to node; nobody has to be unable to guess it.
    let rng = fastrand::Rng::with_seed(clock.now().as_microsecond().unsigned_abs());
    Arc::new(Integration {
        name: config.name,
        genesys_id: config.integration_id,
        webhook_secrets: config.webhook_secrets,
        budget: Budget::new(clients.collect(), BudgetConfig::default(), rng),
        policy: config.policy,
        notices: config.notices,
        detect_end: config.detect_end,
        events: Inbound::new(config.connector.secret.clone(), Arc::clone(clock)),
        connector: Arc::new(HttpConnector::new(
            config.connector,
            connector.clone(),
            Arc::clone(clock),
        )),
    })
}

/// Opens the store for writing. `takeover` is how soon another node drives the conversations of one that died.
pub(crate) async fn store(url: &str, takeover: Duration) -> Result<Arc<dyn Store>, Failure> {
    let unusable = |error: OpenError, remedy: &str| {
        Failure::configuration(format!(
            "tidegate: the store cannot be used: {error}\n  store.url says where it is; {remedy}"
        ))
    };
    if is_postgres(url) {
        let remedy = "the user must be allowed to create the schema `tidegate` in it";
        let opened = PostgresStore::open(url, takeover).await;
        Ok(Arc::new(opened.map_err(|error| unusable(error, remedy))?))
    } else {
        let remedy = "its folder must exist and be writable, and only one process may have it";
        Ok(Arc::new(SqliteStore::open(url).map_err(|error| unusable(error, remedy))?))
    }
}

/// Opens the store only to read it, beside whoever writes it.
pub(crate) async fn store_to_read(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    Ok(if is_postgres(url) {
        Arc::new(PostgresStore::open_read_only(url).await?)
    } else {
        Arc::new(SqliteStore::open_read_only(url)?)
    })
}

pub(crate) fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres")
}
