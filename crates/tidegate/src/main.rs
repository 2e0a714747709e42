//! `tidegate`: the command line, the configuration, and the wiring. Everything else is in the other
//! crates.

mod arguments;
mod ask;
mod audit;
mod check;
mod cli;
mod config;
mod connector_command;
#[cfg(feature = "sandbox")]
mod demo;
mod failure;
mod hash_password;
mod manual;
mod panics;
#[cfg(feature = "sandbox")]
mod sandbox_alone;
mod serve;
mod stores;
#[cfg(all(test, feature = "sandbox"))]
mod toy_connector;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use failure::Failure;

/// Each message causes about a hundred small allocations, which threads pass to each other.
/// mimalloc is faster at that than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Otherwise each thread's few kilobytes would take a page of two megabytes. An error is
    // ignored: then they do.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    panics::install_hook();
    let cli = Cli::parse();
    cli::start_logging(cli.log_format, &cli.command);
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    wiring::install_tls();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed("cannot start the runtime", error))?;
    runtime.block_on(async {
        match command {
            Command::Serve { config } => serve::run(&config).await,
            #[cfg(feature = "sandbox")]
            Command::Sandbox(options) => sandbox_alone::run(options).await,
            #[cfg(feature = "sandbox")]
            Command::Demo(options) => demo::run(options).await,
            Command::Check { config } => check::run(&config).await,
            Command::Connector { what } => connector_command::run(what).await,
            Command::Messages { what, options } => ask::messages(what, options).await,
            Command::Conversations { what, options } => ask::conversations(what, options).await,
            Command::Status { options } => ask::status(options).await,
            Command::HashPassword => hash_password::run(),
            Command::Audit { store } => audit::run(&store).await,
            Command::Store { what } => stores::run(what).await,
            Command::Completions { shell } => manual::completions(shell),
            Command::Man { command } => manual::page(&command),
        }
    })
}
