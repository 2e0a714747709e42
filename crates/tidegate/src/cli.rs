//! The command line, and where log lines go.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
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
    #[cfg(feature = "sandbox")]
    Demo(crate::demo::DemoOptions),
    /// Run the gateway.
    Serve {
        /// The configuration.
        #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
        config: PathBuf,
    },
    /// Run Genesys Cloud's side of Open Messaging on this machine, for any middleware.
    #[cfg(feature = "sandbox")]
    Sandbox(crate::sandbox_alone::SandboxOptions),
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

/// Log lines go to stderr, so that stdout holds only the requested output.
pub(crate) fn start_logging(format: LogFormat, command: &Command) {
    let default = match command {
        Command::Serve { .. } => "info",
        // What these have to say is their output.
        _ => "error",
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
