//! `tidegate check`: one line per check, and what to do if one fails.

use std::path::Path;
use std::sync::Arc;

use connector::{BuildParts, CheckError};
use gateway::SystemClock;
use genesys::{CallError, Client, Secret};
use store::Chain;
use url::Url;

use crate::config::{self, Config};
use crate::failure::Failure;
use crate::wiring::{self, HttpClients};

/// Checks everything that the gateway will rely on.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let config = wiring::configuration(file)?;
    let mut lines = CheckReport::default();
    let read = if file.exists() {
        file.display().to_string()
    } else {
        "the configuration in the environment".to_owned()
    };
    lines.ok("configuration", format!("{read} is valid"));
    check_store(&mut lines, &config).await;
    let (genesys, connector) = (wiring::genesys_clients()?, wiring::connector_clients()?);
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
struct CheckReport {
    passed: usize,
    failed: usize,
}

impl CheckReport {
    fn ok(&mut self, what: impl AsRef<str>, detail: impl AsRef<str>) {
        self.passed += 1;
        println!("ok    {}: {}", what.as_ref(), detail.as_ref());
    }

    fn fail(&mut self, what: impl AsRef<str>, why: impl AsRef<str>, todo: impl AsRef<str>) {
        self.failed += 1;
        println!("FAIL  {}: {}\n      {}", what.as_ref(), why.as_ref(), todo.as_ref());
    }
}

/// Opens the store only for reading, so a running gateway is not disturbed.
async fn check_store(lines: &mut CheckReport, config: &Config) {
    let url = &config.store.url;
    // The URL of a database may contain a password.
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
                Chain(&error).to_string(),
                "change store.url, or start the database; `tidegate serve` makes the schema",
            );
        }
        Err(error) => {
            lines.fail(
                "store",
                Chain(&error).to_string(),
                "change store.url, or move the file away",
            );
        }
    }
}

async fn check_genesys(
    lines: &mut CheckReport,
    integration: &config::Integration,
    public_url: Option<&Url>,
    http: &HttpClients,
) {
    let Some(client) = check_tokens(lines, integration, http).await else { return };
    let name = &integration.name;
    let what =
        format!("{name}: integration {} at {}", integration.integration_id, integration.hosts.api);
    let found = match client.integration(&integration.integration_id).await {
        Ok(answer) => answer.value,
        Err(error) => {
            let todo = "integration_id must be the id that Genesys shows, and the OAuth client's \
                role needs messaging:integration:view";
            return lines.fail(what, Chain(&error).to_string(), todo);
        }
    };
    if found.is_active() {
        lines.ok(&what, "is there");
    } else {
        let todo = "look at it in Genesys Cloud under Message > Platforms";
        lines.fail(&what, "it is not active", todo);
    }
    let theirs = found.outbound_notification_webhook_url.as_deref();
    match public_url.map(|url| webhook_url(url, name.as_str())) {
        Some(ours) => check_webhook_url(lines, name.as_str(), theirs, &ours),
        None => check_webhook_path(lines, name.as_str(), theirs),
    }
    let secret = found.outbound_notification_webhook_signature_secret_token;
    check_webhook_secret(lines, integration, secret);
}

/// Checks that each client gets a token. Returns the first client that works.
async fn check_tokens(
    lines: &mut CheckReport,
    integration: &config::Integration,
    http: &HttpClients,
) -> Option<Client> {
    let (name, hosts) = (&integration.name, &integration.hosts);
    let mut usable = None;
    for credentials in &integration.clients {
        let client = Client::new(http.to(&hosts.api).clone(), hosts.clone(), credentials.clone());
        let what = format!("{name}: token of client {} at {}", client.id(), hosts.login);
        match client.check_token().await {
            Ok(()) => {
                lines.ok(what, "granted");
                usable.get_or_insert(client);
            }
            Err(error) => {
                let todo = match error {
                    CallError::Unauthorized { .. } => {
                        "compare id and secret in `clients` with the OAuth client at Genesys"
                    }
                    _ => "is the region right, and can this machine reach it?",
                };
                lines.fail(what, Chain(&error).to_string(), todo);
            }
        }
    }
    usable
}

/// Compares the webhook URL at Genesys with this gateway's.
fn check_webhook_url(lines: &mut CheckReport, name: &str, theirs: Option<&str>, ours: &Url) {
    let what = format!("{name}: webhook");
    if theirs == Some(ours.as_str()) {
        return lines.ok(what, ours.as_str());
    }
    let why = format!(
        "Genesys calls {}, and this gateway answers at {ours}",
        theirs.unwrap_or("nothing")
    );
    let todo = match theirs.and_then(|theirs| other_name(theirs, ours)) {
        Some(theirs) => format!(
            "set `name` of this [[integration]] to \"{theirs}\", or the integration's outbound \
             notification webhook URL to {ours}"
        ),
        None => format!("set the integration's outbound notification webhook URL to {ours}"),
    };
    lines.fail(what, why, todo);
}

fn check_webhook_secret(
    lines: &mut CheckReport,
    integration: &config::Integration,
    theirs: Option<Secret>,
) {
    let what = format!("{}: webhook secret", integration.name);
    // Genesys may show asterisks in place of the secret.
    let Some(theirs) = theirs.filter(|theirs| !theirs.expose().chars().all(|c| c == '*')) else {
        return lines.ok(what, "Genesys does not show it, so it is not compared");
    };
    if integration.webhook_secrets.iter().any(|ours| ours.expose() == theirs.expose()) {
        lines.ok(what, "is the same on both sides");
    } else {
        let todo = "webhook_secret must be the integration's signature secret token";
        lines.fail(what, "Genesys signs with another secret", todo);
    }
}

/// Compares the path of the webhook URL at Genesys, if the gateway's own address is not configured.
fn check_webhook_path(lines: &mut CheckReport, name: &str, theirs: Option<&str>) {
    let (what, path) = (format!("{name}: webhook"), format!("/genesys/{name}"));
    let todo = format!(
        "set the integration's outbound notification webhook URL to this gateway's, with the path \
         {path}"
    );
    match theirs.map(|url| (url, Url::parse(url).is_ok_and(|url| url.path().ends_with(&path)))) {
        Some((url, true)) => {
            lines.ok(
                what,
                format!("Genesys calls {url}; set server.public_url to have all of it compared"),
            );
        }
        Some((url, false)) => {
            lines.fail(what, format!("Genesys calls {url}, which does not end with {path}"), todo);
        }
        None => lines.fail(what, "Genesys calls nothing", todo),
    }
}

/// The webhook URL that Genesys must call. The public URL may have a path.
fn webhook_url(public: &Url, name: &str) -> Url {
    let mut url = public.clone();
    // An http URL always has a path.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["genesys", name]);
    }
    url
}

/// The integration's name in Genesys's URL, if the name is the only difference. Then the mistake
/// may be in the configuration.
fn other_name(theirs: &str, ours: &Url) -> Option<String> {
    let theirs = Url::parse(theirs).ok()?;
    let split = |url: &Url| {
        let (before, name) = url.as_str().rsplit_once('/')?;
        Some((before.to_owned(), name.to_owned()))
    };
    let ((before, name), (ours, _)) = (split(&theirs)?, split(ours)?);
    (before == ours && !name.is_empty()).then_some(name)
}

async fn check_connector(
    lines: &mut CheckReport,
    integration: &config::Integration,
    http: &HttpClients,
) {
    let what = format!("{}: chat service at {}", integration.name, integration.connector.address());
    let parts = BuildParts { http: &|url| http.to(url).clone(), clock: Arc::new(SystemClock) };
    let connector = integration.connector.build(&parts).connector;
    if connector.sockets().is_some() {
        // They are open at a running gateway, never at this process.
        let detail = "it opens the connection itself, so there is nothing to call; the metric \
            tidegate_sockets of the running gateway says whether it has";
        return lines.ok(what, detail);
    }
    match connector.check().await {
        Ok(detail) => lines.ok(what, detail),
        Err(error) => lines.fail(what, Chain(&error).to_string(), todo(&error)),
    }
}

/// How to fix it.
fn todo(error: &CheckError) -> &'static str {
    match error {
        CheckError::Unreachable(_) => {
            "start the chat service, or correct integration.connector.url"
        }
        CheckError::Unauthorized(_) => {
            "set integration.connector.secret to the secret that the chat service has, and \
             compare the two clocks"
        }
        CheckError::Failing(_) => "look into the chat service's own log",
        CheckError::Missing(_) => {
            "correct host, port and path of integration.connector.url, or let the connector \
             answer 200 there"
        }
        CheckError::Redirect(_) | CheckError::WebPage(_) | CheckError::Gateway => {
            "correct host, port and path of integration.connector.url"
        }
    }
}
