//! `tidegate check`: one line a check, and what to do where one fails.

use std::path::Path;
use std::sync::Arc;

use connector::Connector;
use connector::http::HttpConnector;
use conversation::Clock;
use gateway::SystemClock;
use genesys::{CallError, Client};
use url::Url;

use crate::config::{self, Config};
use crate::failure::Failure;
use crate::wiring;

/// Checks everything that the gateway will rely on.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let config = wiring::configuration(file)?;
    let mut lines = Lines::default();
    lines.ok("configuration", format!("{} is valid", file.display()));
    check_store(&mut lines, &config).await;
    let (genesys, connector) = (wiring::genesys_client()?, wiring::connector_client()?);
    for integration in &config.integrations {
        check_genesys(&mut lines, integration, config.server.public_url.as_ref(), &genesys).await;
        check_connector(&mut lines, integration, &connector).await;
    }
    let (passed, failed) = (lines.passed, lines.failed);
    if failed > 0 {
        return Err(Failure::found(format!("{failed} of {} checks failed", passed + failed)));
    }
    println!("all {passed} checks passed");
    Ok(())
}

#[derive(Default)]
struct Lines {
    passed: usize,
    failed: usize,
}

impl Lines {
    fn ok(&mut self, what: impl AsRef<str>, detail: impl AsRef<str>) {
        self.passed += 1;
        println!("ok    {}: {}", what.as_ref(), detail.as_ref());
    }

    fn fail(&mut self, what: impl AsRef<str>, why: impl AsRef<str>, todo: impl AsRef<str>) {
        self.failed += 1;
        println!("FAIL  {}: {}\n      {}", what.as_ref(), why.as_ref(), todo.as_ref());
    }
}

/// Reads only: a gateway that runs has the file, and goes on.
async fn check_store(lines: &mut Lines, config: &Config) {
    let url = &config.store.url;
    // A password may stand in the URL of a database.
    let name = if url.starts_with("sqlite:") { url } else { "the database" };
    match wiring::store_to_read(url).await {
        Ok(_) => lines.ok("store", format!("{name} can be read")),
        Err(store::OpenError::Missing(path)) => {
            match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                Some(folder) if !folder.is_dir() => lines.fail(
                    "store",
                    format!("there is no folder {}", folder.display()),
                    "create it, or change store.url",
                ),
                _ => lines.ok("store", format!("{name} will be created")),
            }
        }
        Err(error @ (store::OpenError::Database(_) | store::OpenError::NewerDatabase { .. })) => {
            lines.fail(
                "store",
                error.to_string(),
                "change store.url, or start the database; `tidegate serve` makes the schema",
            );
        }
        Err(error) => {
            lines.fail("store", error.to_string(), "change store.url, or move the file away")
        }
    }
}

async fn check_genesys(
    lines: &mut Lines,
    integration: &config::Integration,
    public_url: Option<&Url>,
    http: &reqwest::Client,
) {
    let name = &integration.name;
    let mut usable = None;
    for credentials in &integration.clients {
        let client = Client::new(http.clone(), integration.hosts.clone(), credentials.clone());
        let what = format!("{name}: token of client {}", client.id());
        match client.check_token().await {
            Ok(()) => {
                lines.ok(what, "granted");
                usable.get_or_insert(client);
            }
            Err(error @ CallError::Unauthorized { .. }) => {
                lines.fail(
                    what,
                    error.to_string(),
                    "compare id and secret in `clients` with the OAuth client at Genesys",
                );
            }
            Err(error) => lines.fail(
                what,
                error.to_string(),
                "is the region right, and can this machine reach it?",
            ),
        }
    }
    let Some(client) = usable else { return };
    let what = format!("{name}: integration {}", integration.integration_id);
    let found = match client.integration(&integration.integration_id).await {
        Ok(answer) => answer.value,
        Err(error) => {
            let todo = "integration_id must be the id that Genesys shows, and the OAuth client's role needs messaging:integration:view";
            return lines.fail(what, error.to_string(), todo);
        }
    };
    if found.is_active() {
        lines.ok(&what, "is there");
    } else {
        lines.fail(
            &what,
            "it is not active",
            "look at it in Genesys Cloud under Message > Platforms",
        );
    }
    let theirs = found.outbound_notification_webhook_url.as_deref();
    match public_url.map(|url| webhook_url(url, name.as_str())) {
        Some(ours) if theirs == Some(ours.as_str()) => {
            lines.ok(format!("{name}: webhook"), ours.as_str())
        }
        Some(ours) => lines.fail(
            format!("{name}: webhook"),
            format!("Genesys calls {}", theirs.unwrap_or("nothing")),
            format!("set the integration's outbound notification webhook URL to {ours}"),
        ),
        None => lines.fail(
            format!("{name}: webhook"),
            "server.public_url is not set, so nobody can say whether Genesys calls the right place",
            "set server.public_url to the address under which Genesys reaches this gateway",
        ),
    }
    let secret = found.outbound_notification_webhook_signature_secret_token;
    match secret.filter(|secret| !secret.expose().chars().all(|c| c == '*')) {
        Some(secret)
            if integration.webhook_secrets.iter().any(|ours| ours.expose() == secret.expose()) =>
        {
            lines.ok(format!("{name}: webhook secret"), "is the same on both sides");
        }
        Some(_) => lines.fail(
            format!("{name}: webhook secret"),
            "Genesys signs with another secret",
            "webhook_secret must be the integration's signature secret token",
        ),
        None => lines.ok(
            format!("{name}: webhook secret"),
            "Genesys does not show it, so it is not compared",
        ),
    }
}

/// Where Genesys has to call, which may be below a path.
fn webhook_url(public: &Url, name: &str) -> Url {
    let mut url = public.clone();
    // An http URL always has a path.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["genesys", name]);
    }
    url
}

async fn check_connector(
    lines: &mut Lines,
    integration: &config::Integration,
    http: &reqwest::Client,
) {
    let what = format!("{}: chat service", integration.name);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let connector = HttpConnector::new(integration.connector.clone(), http.clone(), clock);
    match connector.check().await {
        Ok(detail) => lines.ok(what, detail),
        Err(error) => lines.fail(
            what,
            error.to_string(),
            "compare integration.connector with what runs there",
        ),
    }
}
