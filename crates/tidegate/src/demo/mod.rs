//! `tidegate demo`: Genesys Cloud, the gateway and a chat service in one process, which talk over
//! HTTP as usual.

mod chat;
mod customers;
mod page;
mod scene;
mod script;
mod stage;
mod transcript;

use clap::Args;

use crate::failure::Failure;
use stage::Stage;

#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Play a fixed scene, check each step, and end.
    #[arg(long)]
    pub(crate) script: bool,
    /// Where the demo keeps its messages; a new file in the temporary folder if not given.
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
}

/// Plays the script, or runs until it is told to stop.
pub(crate) async fn run(options: DemoOptions) -> Result<(), Failure> {
    let stage = Stage::set(options.store).await?;
    let played = if options.script {
        script::play(&stage).await
    } else {
        println!("{}", stage.invitation());
        // On an error, no signal can stop the demo, but it still runs.
        let _ = tokio::signal::ctrl_c().await;
        Ok(())
    };
    println!(
        "\nThe store is {}. To prove what happened:\n  tidegate audit --store {0}",
        stage.store
    );
    stage.clear().await;
    played
}
