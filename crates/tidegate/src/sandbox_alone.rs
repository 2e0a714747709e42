//! `tidegate sandbox`.

use sandbox::{Sandbox, SandboxConfig};

use crate::cli::SandboxOptions;
use crate::failure::Failure;

/// Runs until it is told to stop.
pub(crate) async fn run(options: SandboxOptions) -> Result<(), Failure> {
    let config = SandboxConfig {
        listen: options.listen,
        clock_scale: options.clock_scale,
        rate_per_minute: options.rate,
        seed: options.seed,
        ..SandboxConfig::default()
    };
    let clients = config.clients.clone();
    let running = Sandbox::start(config).await.map_err(|error| Failure::failed("the sandbox does not start", error))?;
    println!("Genesys Cloud, on this machine: {}", running.url());
    for (id, secret) in clients {
        println!("  OAuth client {id}, secret {secret}");
    }
    println!("  the agent's desktop: {}/desktop", running.url());
    println!("  how to steer it: {}/sandbox/…, see docs/sandbox.md", running.url());
    // An error says that nobody can stop it by a signal; it still runs.
    let _ = tokio::signal::ctrl_c().await;
    running.shutdown().await;
    Ok(())
}
