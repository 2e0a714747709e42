//! `tidegate demo`: the sandbox, the gateway and a chat service in one process. They talk over HTTP
//! as usual.

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
    /// Play three fixed scenes, check each step, and exit.
    #[arg(long)]
    pub(crate) script: bool,
    /// The demo's store. If it is not given, the demo creates a file in the temporary folder.
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
}

/// Plays the script, or runs until Ctrl-C.
pub(crate) async fn run(options: DemoOptions) -> Result<(), Failure> {
    let stage = Stage::set(options.store).await?;
    let played = if options.script {
        script::play(&stage).await
    } else {
        println!("{}", stage.invitation());
        // If this fails, Ctrl-C cannot be awaited, and the demo ends at once.
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
