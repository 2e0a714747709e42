//! Builds the parts from the configuration: clients, budgets, connectors, stores.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use connector::http::client_settings;
use connector::{BuildParts, Built};
use conversation::Clock;
use gateway::{Integration, LOST_FILE};
use genesys::{Budget, BudgetConfig, Client};
use media::{Media, MediaSettings};
use store::{Chain, Machine, OpenError, PostgresStore, SqliteStore, Store};
use url::{Host, Url};

use crate::config::{self, Config, MediaSection};
use crate::failure::Failure;

/// How long connecting may take. A call that does not connect in this time has sent nothing.
const CONNECT: Duration = Duration::from_secs(5);

/// Installs the TLS provider. It must be called before the first client is made.
pub(crate) fn install_tls() {
    // An error only means that a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Reads the configuration from the file and the environment.
pub(crate) fn configuration(file: &Path) -> Result<Config, Failure> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    Config::load(file, std::env::vars_os().filter_map(text)).map_err(Failure::configuration)
}

/// The HTTP clients for one kind of call. Calls to this machine never use a proxy, whatever the
/// environment says (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`), because a proxy on another machine
/// could not reach it.
pub(crate) struct HttpClients {
    here: reqwest::Client,
    elsewhere: reqwest::Client,
}

impl HttpClients {
    fn new(
        settings: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, Failure> {
        // See `client_settings` for why HTTP/2 is off.
        let builder = || settings(reqwest::Client::builder()).http1_only().user_agent(AGENT);
        let cannot = |error| Failure::failed("cannot make an HTTP client", error);
        let here = builder().no_proxy().build().map_err(cannot)?;
        Ok(Self { here, elsewhere: builder().build().map_err(cannot)? })
    }

    /// The client for this URL.
    pub(crate) fn to(&self, url: &Url) -> &reqwest::Client {
        if is_on_this_machine(url) { &self.here } else { &self.elsewhere }
    }

    /// The client for URLs on this machine.
    #[cfg(feature = "sandbox")]
    pub(crate) fn here(self) -> reqwest::Client {
        self.here
    }
}

fn is_on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    }
}

/// The clients for calls to Genesys.
pub(crate) fn genesys_clients() -> Result<HttpClients, Failure> {
    HttpClients::new(|builder| {
        builder.connect_timeout(CONNECT).redirect(reqwest::redirect::Policy::none())
    })
}

/// The clients for calls to chat services.
pub(crate) fn connector_clients() -> Result<HttpClients, Failure> {
    HttpClients::new(client_settings)
}

const AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));

/// Builds one integration with all its parts. It needs a tokio runtime.
pub(crate) fn integration(
    config: config::Integration,
    genesys: &HttpClients,
    connector: &HttpClients,
    clock: &Arc<dyn Clock>,
    files: &KeptFiles,
) -> Arc<Integration> {
    let genesys = genesys.to(&config.hosts.api);
    let clients = config
        .clients
        .into_iter()
        .map(|client| Client::new(genesys.clone(), config.hosts.clone(), client));
    let parts = BuildParts { http: &|url| connector.to(url).clone(), clock: Arc::clone(clock) };
    let Built { connector, events } = config.connector.build(&parts);
    // The jitter must differ between nodes, but need not be unpredictable.
    let rng = fastrand::Rng::with_seed(clock.now().as_microsecond().unsigned_abs());
    Arc::new(Integration {
        name: config.name,
        genesys_id: config.integration_id,
        webhook_secrets: config.webhook_secrets,
        budget: Budget::new(clients.collect(), BudgetConfig::default(), rng),
        policy: config.policy,
        fallback: config.fallback,
        notices: config.notices,
        detect_end: config.detect_end,
        media: files.media.clone(),
        lost_file: files.lost.clone(),
        connector,
        events,
    })
}

/// Where files are kept, and what stands for one that is lost.
pub(crate) struct KeptFiles {
    media: Option<Media>,
    lost: String,
}

impl Default for KeptFiles {
    /// Files are not kept: links to them pass unchanged.
    fn default() -> Self {
        Self { media: None, lost: LOST_FILE.to_owned() }
    }
}

/// Opens the store for files, if there is one. Links begin with `base`.
pub(crate) fn files(config: Option<MediaSection>, base: Url) -> Result<KeptFiles, Failure> {
    let Some(config) = config else { return Ok(KeptFiles::default()) };
    let aws = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok().filter(|name| name.starts_with("AWS_"))?;
        Some((name, value.into_string().ok()?))
    });
    let settings = MediaSettings {
        url: config.url,
        base,
        link_life: config.link_life,
        max_size: config.max_size as u64,
        fetch_timeout: config.fetch_timeout,
        allow: config.allow,
        aws: aws.collect(),
    };
    let media = Media::open(settings).map_err(|error| {
        Failure::configuration(format!(
            "tidegate: files cannot be kept: {}\n  media.url says where they are kept; a folder must be writable, and a \
             bucket needs AWS_REGION and credentials in AWS's variables",
            Chain(&error)
        ))
    })?;
    Ok(KeptFiles { media: Some(media), lost: config.lost })
}

/// Opens the store for writing. If a node dies, other nodes drive its conversations within
/// `takeover`.
pub(crate) async fn store(url: &str, takeover: Duration) -> Result<Arc<dyn Store>, Failure> {
    let unusable = |error: OpenError, remedy: &str| {
        Failure::configuration(format!(
            "tidegate: the store cannot be used: {}\n  store.url says where it is; {remedy}",
            Chain(&error)
        ))
    };
    if is_postgres(url) {
        let remedy = "the user must be allowed to create the schema `tidegate` in it";
        let opened = PostgresStore::open(url, takeover).await;
        Ok(Arc::new(opened.map_err(|error| unusable(error, remedy))?))
    } else {
        let remedy = "its folder must exist and be writable, and only one process may open it";
        Ok(Arc::new(SqliteStore::open(url).map_err(|error| unusable(error, remedy))?))
    }
}

/// The store's clock, by which deadlines are kept. Changes of a wall clock do not affect it.
pub(crate) async fn clock_of(
    store: &dyn Store,
    machine: Arc<dyn Machine>,
) -> Result<Arc<dyn Clock>, Failure> {
    Ok(store
        .clock(machine)
        .await
        .map_err(|error| Failure::failed("the store's clock cannot be read", error))?)
}

/// Opens the store read-only, even while a gateway writes it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_all_of_its_names() {
        let here = |url: &str| is_on_this_machine(&url.parse().expect("a URL"));
        for url in [
            "http://127.0.0.1:9000",
            "http://127.8.0.1",
            "https://[::1]:1/x",
            "http://[::ffff:127.0.0.1]",
            "http://localhost:9000",
            "http://LOCALHOST./x",
            "http://chat.localhost",
        ] {
            assert!(here(url), "{url}");
        }
        for url in [
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://[2001:db8::1]",
            "http://chat",
        ] {
            assert!(!here(url), "{url}");
        }
    }
}
