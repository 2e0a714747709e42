//! `tidegate sandbox`.

mod transcript;
mod verdict;

use std::time::Duration;

use sandbox::{Running, Sandbox, SandboxConfig};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::SandboxOptions;
use crate::failure::Failure;

/// Runs until it is told to stop, or until its time is over. Then gives its verdict, if asked to.
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
    // If stdout carries JSON, a program reads it.
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

/// Resolves when it is time to stop: on Ctrl-C, on SIGTERM, or `after` this time.
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
            // On an error, Ctrl-C cannot stop it, but it still runs.
            Ok(()) = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
            () = time => {}
        }
    })
}
