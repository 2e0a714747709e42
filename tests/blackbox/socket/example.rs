//! `examples/typescript-socket`, with the WebSocket client of Node.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::support::{CONNECTOR_SECRET, PATIENCE, Process, SocketLoop, audit, build_typescript};

/// Starts the example. Its customers write these lines.
fn start(dir: &Path, script: &Path, gateway: &str, lines: &str) -> Process {
    std::fs::write(dir.join("input"), lines).expect("written");
    // Node 20 needs the option, and later versions know it.
    let run = "exec node --experimental-websocket \"$1\" --gateway \"$2\" --handshake 0.3 \
               --delay 0.1 < input";
    let mut bash = Command::new("bash");
    bash.args(["-euc", run, "chat"]).arg(script).arg(gateway.replace("http", "ws"));
    bash.current_dir(dir).env("CHAT_SECRET", CONNECTOR_SECRET);
    Process::start(bash, &dir.join("chat.log"))
}

#[tokio::test]
async fn the_example_survives_a_kill_and_a_restart_of_the_gateway() {
    let script = build_typescript("typescript-socket");
    let mut all = SocketLoop::start("").await;
    let mut chat = start(all.dir.path(), &script, &all.gateway.url, "noor: Where is my parcel?\n");
    let mut messages = vec![all.agent_writes("noor", "It left yesterday.").await];
    let receipt = all.sandbox.final_receipt(&messages[0]).await;
    assert_eq!(receipt, ("Delivered".to_owned(), None));

    chat.kill();
    messages.push(all.agent_writes("noor", "Is it there?").await);
    let mut chat = start(all.dir.path(), &script, &all.gateway.url, "");
    all.sandbox.final_receipt(&messages[1]).await;

    all.gateway.stop().await;
    all.gateway.restart().await;
    messages.push(all.agent_writes("noor", "Good bye.").await);
    for message in &messages {
        let receipt = all.sandbox.final_receipt(message).await;
        assert_eq!(receipt, ("Delivered".to_owned(), None), "{}", chat.log());
    }
    for text in ["It left yesterday.", "Is it there?", "Good bye."] {
        let line = format!("agent to noor: {text}\n");
        assert_eq!(chat.log().matches(&line).count(), 1, "{}", chat.log());
    }
    let (code, report) = audit(&all.store());
    assert_eq!(code, Some(0), "{report}");
    chat.kill();
}

#[tokio::test]
async fn the_example_waits_longer_and_longer_for_a_gateway_that_is_away() {
    let script = build_typescript("typescript-socket");
    let dir = tempfile::tempdir().expect("a folder");
    let away = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", away.local_addr().expect("an address"));
    let mut chat = start(dir.path(), &script, &url, "");
    let mut last: Option<Instant> = None;
    for least in [0, 250, 500, 1000, 2000] {
        let came = timeout(PATIENCE, away.accept()).await.expect("it tries again");
        let (now, before) = (Instant::now(), last);
        // Node 20 does not notice that a connection ends before it has written its request.
        let (mut stream, _) = came.expect("a connection");
        assert!(stream.read(&mut [0; 1024]).await.expect("a request") > 0);
        drop(stream);
        let pause = before.map_or(Duration::MAX, |before| now - before);
        // A timer of Node may be a little early.
        assert!(pause >= Duration::from_millis(least * 9 / 10), "{pause:?}, not {least} ms");
        last = Some(now);
    }
    chat.kill();
}
