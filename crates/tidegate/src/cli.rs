//! The command line, and where log lines go.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::DEFAULT_FILE;

/// The gateway between Genesys Cloud Open Messaging and a chat service that loses no word.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, propagate_version = true)]
pub(crate) struct Cli {
    /// How log lines on stderr look. `TIDEGATE_LOG` sets which there are, such as `info` or
    /// `gateway=debug`.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole loop on this machine: gateway, sandbox and a chat service whose handshake
    /// takes 5 s.
    Demo(DemoOptions),
    /// Run the gateway.
    Serve {
        /// The configuration.
        #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
        config: PathBuf,
    },
    /// Run Genesys Cloud's side of Open Messaging on this machine, for any middleware.
    Sandbox(SandboxOptions),
    /// Say whether the configuration, Genesys, the store and each chat service are as they should
    /// be.
    Check {
        /// The configuration.
        #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
        config: PathBuf,
    },
    /// Look after a store: bring it to this version, copy it into another, give back room.
    Store {
        #[command(subcommand)]
        what: StoreCommand,
    },
    /// Prove or refute the invariants for every message in a store.
    Audit {
        /// The store.
        #[arg(long, value_name = "URL", default_value = "sqlite:tidegate.db")]
        store: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Bring a store to the schema of this version, as `serve` would; a new one is made.
    Migrate {
        /// The store.
        #[arg(long, value_name = "URL", default_value = "sqlite:tidegate.db")]
        store: String,
    },
    /// Make one store hold what another holds, and audit both. Beside a running gateway first; once
    /// more when that has stopped, which copies only what has changed.
    Copy {
        /// The store that is read.
        #[arg(long, value_name = "URL")]
        from: String,
        /// The store that is written. What only it has is removed.
        #[arg(long, value_name = "URL")]
        to: String,
    },
    /// Give back the room of what was removed. The gateway has to be stopped.
    Compact {
        /// The store.
        #[arg(long, value_name = "URL", default_value = "sqlite:tidegate.db")]
        store: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Play a fixed scene, check each step, and end.
    #[arg(long)]
    pub(crate) script: bool,
    /// Where the demo keeps its messages; a new file in the temporary folder if not given.
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SandboxOptions {
    /// Where to listen.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8082")]
    pub(crate) listen: SocketAddr,
    /// How fast its clock runs: 60 makes a minute of a second.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub(crate) clock_scale: f64,
    /// How many calls a minute each token has.
    #[arg(long, value_name = "CALLS", default_value_t = 300)]
    pub(crate) rate: u32,
    /// Where its chance comes from, so that a run can be repeated.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write everything that happens to this file, one JSON object a line; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) transcript: Option<PathBuf>,
    /// Say at the end what the middleware did wrong, and exit 1 if it did.
    #[arg(long)]
    pub(crate) verdict: bool,
    /// The verdict as JSON.
    #[arg(long, requires = "verdict")]
    pub(crate) json: bool,
    /// Stop after this time, such as `90s`, on a real clock; otherwise at Ctrl-C or SIGTERM.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) run_for: Option<Duration>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let signed: Option<jiff::SignedDuration> = text.parse().ok();
    signed
        .and_then(|signed| signed.try_into().ok())
        .ok_or_else(|| "a duration such as 90s or 5m is wanted".to_owned())
}

/// Log lines go to stderr, so that stdout holds only the requested output.
pub(crate) fn start_logging(format: LogFormat, command: &Command) {
    let default = match command {
        Command::Serve { .. } => "info",
        Command::Sandbox(_)
        | Command::Demo(_)
        | Command::Check { .. }
        | Command::Audit { .. }
        | Command::Store { .. } => "error",
    };
    let filter =
        EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // Colours are for people; a file full of escapes cannot be searched.
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours);
    let discreet = filter_fn(|line| !quotes_people(line));
    match format {
        LogFormat::Text => lines.finish().with(discreet).init(),
        LogFormat::Json => lines.json().finish().with(discreet).init(),
    }
}

/// Whether a line may contain a person's words or name; such lines are suppressed at every level.
/// The WebSocket library logs whole frames.
fn quotes_people(line: &Metadata<'_>) -> bool {
    let frames = line.target() == "tungstenite" || line.target().starts_with("tungstenite::");
    frames && *line.level() > Level::INFO
}
