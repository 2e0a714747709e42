//! A server that speaks S3, from the package `moto`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

/// The server. It keeps everything in memory, and ends with the test.
pub(crate) struct Moto {
    pub(crate) url: String,
    child: Child,
}

impl Moto {
    /// Starts it at a port, and makes a bucket.
    pub(crate) async fn start(port: u16, bucket: &str, log: &Path) -> Self {
        let program = std::env::var_os("TIDEGATE_MOTO").expect(
            "TIDEGATE_MOTO names the program moto_server, which ./test --set-up installs to \
             target/test-tools/moto/bin",
        );
        let log = std::fs::File::create(log).expect("a log");
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("moto_server starts");
        let moto = Self { url: format!("http://127.0.0.1:{port}"), child };
        let mut tries = 0;
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tries += 1;
            assert!(tries < 1_500, "moto_server does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // An error only means that a provider is already installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let made = reqwest::Client::builder().no_proxy().build().expect("a client");
        let made = made.put(format!("{}/{bucket}", moto.url)).send().await.expect("an answer");
        assert!(made.status().is_success(), "{made:?}");
        moto
    }

    /// The variables by which a client finds it.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 5] {
        [
            ("AWS_ENDPOINT", &self.url),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ]
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
