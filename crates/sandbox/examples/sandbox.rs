//! A sandbox of its own, for trying things out: `cargo run -p sandbox --example sandbox --
//! 127.0.0.1:8082`.

use std::error::Error;
use std::future::pending;

use sandbox::{Sandbox, SandboxConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8082".to_owned());
    let running =
        Sandbox::start(SandboxConfig { listen: listen.parse()?, ..SandboxConfig::default() })
            .await?;
    println!("{}", running.url());
    pending().await
}
