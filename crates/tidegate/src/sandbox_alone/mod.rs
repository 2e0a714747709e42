//! `tidegate sandbox`.

mod transcript;
mod verdict;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use sandbox::{Running, Sandbox, SandboxConfig};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::duration;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct SandboxOptions {
    /// The address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8082")]
    pub(crate) listen: SocketAddr,
    /// How fast its clock runs: with 60, a minute passes in each second.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub(crate) clock_scale: f64,
    /// How many calls per minute each token may make.
    #[arg(long, value_name = "CALLS", default_value_t = 300)]
    pub(crate) rate: u32,
    /// The seed of its random choices, so that a run can be repeated.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write everything that happens to this file, one JSON object per line; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) transcript: Option<PathBuf>,
    /// At the end, print what the middleware did wrong, and exit with 1 if it did anything wrong.
    #[arg(long)]
    pub(crate) verdict: bool,
    /// Print the verdict as JSON.
    #[arg(long, requires = "verdict")]
    pub(crate) json: bool,
    /// Stop after this time, such as `90s`, by a real clock. Ctrl-C and SIGTERM stop it too.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) run_for: Option<Duration>,
}

/// Runs until a signal stops it, or until its time is over. Then prints the verdict, if requested.
pub(crate) async fn run(options: SandboxOptions) -> Result<(), Failure> {
    let config = SandboxConfig {
        listen: options.listen,
        clock_scale: options.clock_scale,
        rate_per_minute: options.rate,
        seed: options.seed,
        ..SandboxConfig::default()
    };
    let clients = config.clients.clone();
    let stopped = stop(options.run_for)?;
    let running = Sandbox::start(config)
        .await
        .map_err(|error| Failure::failed("the sandbox does not start", error))?;
    let writer = match &options.transcript {
        Some(to) => Some(transcript::Writer::start(to, running.handle.clone())?),
        None => None,
    };
    // If stdout has JSON, a program reads it, so the greeting goes to stderr.
    let lines_on_stdout = writer.as_ref().is_some_and(|writer| writer.on_stdout);
    let greeting = greeting(&running, &clients);
    if options.json || lines_on_stdout {
        eprint!("{greeting}");
    } else {
        print!("{greeting}");
    }
    stopped.await;
    let handle = running.handle.clone();
    running.shutdown().await;
    let written = match writer {
        Some(writer) => writer.finish().await,
        None => Ok(()),
    };
    if !options.verdict {
        return written;
    }
    let verdict = handle.verdict();
    let told = if options.json { verdict::json(&verdict) } else { verdict::table(&verdict) };
    if lines_on_stdout {
        eprint!("{told}");
    } else {
        print!("{told}");
    }
    match verdict::count(&verdict) {
        0 => written,
        _ => Err(Failure::found("the middleware did something wrong")),
    }
}

fn greeting(running: &Running, clients: &[(String, String)]) -> String {
    let url = running.url();
    let clients =
        clients.iter().map(|(id, secret)| format!("  OAuth client {id}, secret {secret}\n"));
    let clients: String = clients.collect();
    format!(
        "Genesys Cloud, on this machine: {url}\n{clients}  the agent's desktop: {url}/desktop\n  \
         how to steer it: {url}/sandbox/…, see docs/sandbox.md\n"
    )
}

/// Resolves when it is time to stop: on Ctrl-C, on SIGTERM, or after the time `after`.
fn stop(after: Option<Duration>) -> Result<impl Future<Output = ()>, Failure> {
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|error| Failure::failed("cannot wait for signals", error))?;
    Ok(async move {
        let time = async {
            match after {
                Some(after) => tokio::time::sleep(after).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // If this fails, Ctrl-C cannot stop the sandbox, but it still runs.
            Ok(()) = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
            () = time => {}
        }
    })
}
