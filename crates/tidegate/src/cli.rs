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

/// A durable gateway between Genesys Cloud Open Messaging and your chat service.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, propagate_version = true)]
pub(crate) struct Cli {
    /// The format of log lines on stderr. `TIDEGATE_LOG` sets the filter, such as `info` or
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
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole message loop on this machine: the gateway, the sandbox, and a chat service
    /// whose handshake takes 5 s.
    #[cfg(feature = "sandbox")]
    Demo(crate::demo::DemoOptions),
    /// Run the gateway.
    Serve {
        /// The configuration.
        #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
        config: PathBuf,
    },
    /// Emulate Genesys Cloud's side of Open Messaging on this machine, for any middleware.
    #[cfg(feature = "sandbox")]
    Sandbox(crate::sandbox_alone::SandboxOptions),
    /// Check the configuration, Genesys, the store and each chat service, and say how to fix each
    /// failure.
    Check {
        /// The configuration.
        #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
        config: PathBuf,
    },
    /// Say what connectors there are and how each is configured, and test a connector.
    Connector {
        #[command(subcommand)]
        what: crate::connector_command::ConnectorCommand,
    },
    /// Maintain a store: migrate it, copy it into another, or compact it.
    Store {
        #[command(subcommand)]
        what: StoreCommand,
    },
    /// Say where a message is and why, list messages, and act on dead letters. Asks a running
    /// gateway.
    Messages {
        #[command(subcommand)]
        what: crate::ask::MessagesCommand,
        #[command(flatten)]
        options: crate::ask::AskOptions,
    },
    /// Say how a conversation stands, and list conversations. Asks a running gateway.
    Conversations {
        #[command(subcommand)]
        what: crate::ask::ConversationsCommand,
        #[command(flatten)]
        options: crate::ask::AskOptions,
    },
    /// Say whether a running gateway is ready, and how each integration stands.
    Status {
        #[command(flatten)]
        options: crate::ask::AskOptions,
    },
    /// Read a password from standard input, and print its hash for `console.users`.
    HashPassword,
    /// Check the invariants for every message in a store.
    Audit {
        /// The store.
        #[arg(long, value_name = "URL", default_value = "sqlite:tidegate.db")]
        store: String,
    },
    /// Print a script with which a shell completes the commands and options.
    Completions {
        /// The shell. The page of your shell's manual about completion says where the script goes.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print a page of the manual, for `man -l -`.
    Man {
        /// The command that the page is about, such as `messages retry`. Without it, the program.
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Migrate a store to the schema of this version, as `serve` does. Creates the store if there
    /// is none.
    Migrate {
        /// The store.
        #[arg(long, value_name = "URL", default_value = "sqlite:tidegate.db")]
        store: String,
    },
    /// Copy one store into another, and audit both. Run it first while the gateway is running. Then
    /// stop the gateway and run it again, which copies only what has changed.
    Copy {
        /// The store to read.
        #[arg(long, value_name = "URL")]
        from: String,
        /// The store to write. Conversations that only this store has are removed.
        #[arg(long, value_name = "URL")]
        to: String,
    },
    /// Free the disk space of removed rows. The gateway must be stopped.
    Compact {
        /// The store.
        #[arg(long, value_name = "URL", default_value = "sqlite:tidegate.db")]
        store: String,
    },
}

/// Starts logging. Log lines go to stderr, so that stdout has only the requested output.
pub(crate) fn start_logging(format: LogFormat, command: &Command) {
    let default = match command {
        Command::Serve { .. } => "info",
        // The output of these commands says everything.
        _ => "error",
    };
    let filter =
        EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // Colours are for people. A file full of escape sequences is hard to search.
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

/// Whether a log line may contain a person's text or name. Such lines are suppressed whatever the
/// filter is: the WebSocket library logs whole frames.
fn quotes_people(line: &Metadata<'_>) -> bool {
    let frames = line.target() == "tungstenite" || line.target().starts_with("tungstenite::");
    frames && *line.level() > Level::INFO
}
