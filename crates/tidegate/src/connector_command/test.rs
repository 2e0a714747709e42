//! `tidegate connector test`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use connector::http::{BaseUrl, Secret};
use connector::suite::{self, ConnectorProcess, SuiteReport, SuiteSetup};
use gateway::SystemClock;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::process::Started;
use crate::arguments::duration;
use crate::failure::Failure;
use crate::wiring;

#[derive(Debug, Args)]
pub(crate) struct TestOptions {
    /// The connector's URL, as in `[integration.connector]`.
    #[arg(long)]
    url: BaseUrl,
    /// The secret that both sides sign with: `whsec_…`, `env:NAME` or `file:PATH`.
    #[arg(long, value_parser = secret_source)]
    secret: SecretSource,
    /// Where to take the connector's events. By default a free port for callers on this machine.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The name in the URL for events, `/connectors/NAME/events`.
    #[arg(long, value_name = "NAME", default_value = "suite", value_parser = integration)]
    integration: String,
    /// How long an answer may take; in the gateway `delivery.timeout`.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    timeout: Duration,
    /// How long to wait for an event, and for a message on the customer's screen.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    wait: Duration,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
    /// Start the connector with this, and kill it with `kill -9` for the cases about a crash.
    /// `{gateway}` stands for the URL for events, `{listen}` for host and port of `--url`.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Where the secret is. `Debug` shows no secret.
#[derive(Clone)]
enum SecretSource {
    Literal(Secret),
    Variable(String),
    File(PathBuf),
}

impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretSource")
    }
}

fn secret_source(text: &str) -> Result<SecretSource, String> {
    if let Some(name) = text.strip_prefix("env:") {
        Ok(SecretSource::Variable(name.to_owned()))
    } else if let Some(path) = text.strip_prefix("file:") {
        Ok(SecretSource::File(path.into()))
    } else {
        text.parse().map(SecretSource::Literal).map_err(|error| format!("{error}"))
    }
}

impl SecretSource {
    fn read(self) -> Result<Secret, Failure> {
        let wrong = |why: String| Failure::configuration(format!("tidegate: --secret: {why}"));
        let text = match self {
            Self::Literal(secret) => return Ok(secret),
            Self::Variable(name) => std::env::var(&name)
                .map_err(|_| wrong(format!("the environment variable {name} is not set")))?,
            Self::File(path) => std::fs::read_to_string(&path)
                .map_err(|error| wrong(format!("cannot read {}: {error}", path.display())))?,
        };
        text.trim().parse().map_err(|error: connector::http::NotASecret| wrong(error.to_string()))
    }
}

fn integration(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.chars().all(is_plain) {
        Ok(name.to_owned())
    } else {
        Err("letters, digits, '-', '_' and '.' are allowed".to_owned())
    }
}

/// Runs the suite. A failed case is a failure of the command.
pub(super) async fn run(options: TestOptions) -> Result<(), Failure> {
    let json = options.json;
    let interrupted = interrupted()?;
    let (setup, process) = prepare(options).await?;
    let suite = suite::run(setup, |case| {
        if !json {
            println!("{case}");
        }
    });
    let ended = tokio::select! {
        ended = suite => ended.map_err(|why| Failure::failed("the connector does not answer", why)),
        () = interrupted => Err(Failure::found("interrupted")),
    };
    if let Some(process) = process {
        process.stop().await;
    }
    print(&ended?, json)
}

fn print(report: &SuiteReport, json: bool) -> Result<(), Failure> {
    if json {
        println!("{}", report.json());
    } else {
        println!("{report}");
    }
    match report.counts() {
        (passed, failed @ 1.., _) => {
            Err(Failure::found(format!("{failed} of {} cases failed", passed + failed)))
        }
        _ => Ok(()),
    }
}

/// Listens for events, and starts the connector if there is a command.
async fn prepare(options: TestOptions) -> Result<(SuiteSetup, Option<Arc<Started>>), Failure> {
    let secret = options.secret.read()?;
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.map_err(|error| {
        Failure::configuration(format!("tidegate: cannot listen on {}: {error}", options.listen))
    })?;
    let address = listener.local_addr().map_err(|error| Failure::failed("no address", error))?;
    let gateway = format!("http://{address}/connectors/{}/events", options.integration);
    let line = format!("taking events at {gateway}");
    if options.json {
        eprintln!("{line}");
    } else {
        println!("{line}");
    }
    let process = start(options.command, &gateway, &options.url)?;
    let client = wiring::connector_clients()?.to(options.url.as_url()).clone();
    let setup = SuiteSetup {
        url: options.url,
        secret,
        integration: options.integration,
        listener,
        client,
        clock: Arc::new(SystemClock),
        timeout: options.timeout,
        wait: options.wait,
        process: process.clone().map(|process| process as Arc<dyn ConnectorProcess>),
    };
    Ok((setup, process))
}

fn start(
    command: Vec<String>,
    gateway: &str,
    url: &BaseUrl,
) -> Result<Option<Arc<Started>>, Failure> {
    let Some(program) = command.first().cloned() else { return Ok(None) };
    let url = url.as_url();
    let port = url.port_or_known_default().unwrap_or_default();
    let listen = format!("{}:{port}", url.host_str().unwrap_or_default());
    let filled = command
        .into_iter()
        .map(|word| word.replace("{gateway}", gateway).replace("{listen}", &listen))
        .collect();
    let started = Started::start(filled).map_err(|error| {
        Failure::configuration(format!("tidegate: cannot start {program}: {error}"))
    })?;
    Ok(Some(Arc::new(started)))
}

/// Resolves on Ctrl-C and on SIGTERM.
fn interrupted() -> Result<impl Future<Output = ()>, Failure> {
    let cannot = |error| Failure::failed("cannot wait for signals", error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
