//! The toy connector in a whole gateway, with the sandbox as Genesys.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use connector::Kind;
use connector::http::HttpKind;
use conversation::Clock;
use gateway::{Gateway, Limits, Listeners, Operators, SystemClock, ThisMachine};
use sandbox::{NewIntegration, Running, Sandbox, SandboxConfig};
use serde_json::json;
use tokio::net::TcpListener;

use super::FileKind;
use crate::config::Config;
use crate::connector_command::{list, schema};
use crate::wiring;

/// The registry with one more line.
const KINDS: &[&dyn Kind] = &[&HttpKind, &FileKind];

const SECRET: &str = "a-webhook-secret-of-this-test";

fn config(sandbox: &Running, integration_id: &str, lines: &Path) -> Config {
    let (client, secret) = SandboxConfig::default().clients.remove(0);
    let text = format!(
        r#"
        [[integration]]
        name = "toy"
        api_url = "{url}"
        login_url = "{url}"
        integration_id = "{integration_id}"
        clients = [{{ id = "{client}", secret = "{secret}" }}]
        webhook_secret = "{SECRET}"
        [integration.connector]
        type = "file"
        path = "{lines}"
        token = "a-token"
        "#,
        url = sandbox.url(),
        lines = lines.display()
    );
    Config::parse_with(KINDS, "toy.toml", Path::new(""), &text, std::iter::empty())
        .unwrap_or_else(|errors| panic!("{errors}"))
}

async fn until(what: &str, is_true: impl Fn() -> bool) {
    let waited = async {
        while !is_true() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waited)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

#[test]
fn what_it_declares_is_told_without_a_line_elsewhere() {
    let listed = list::list_of(KINDS);
    assert!(listed.contains("\nfile  A file, to which each message is appended.\n"), "{listed}");
    let shown = list::as_text(&FileKind);
    assert!(shown.contains("  path = \"/var/lib/chat/lines\"\n      text, required\n"), "{shown}");
    assert_eq!(schema::of(&FileKind)["required"], json!(["type", "path", "token"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_is_one_folder_and_one_line_of_the_registry() {
    wiring::install_tls();
    let folder = tempfile::tempdir().expect("a folder");
    let lines = folder.path().join("lines");
    let public = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let gateway_url = format!("http://{}", public.local_addr().expect("an address"));
    let listen = "127.0.0.1:0".parse().expect("an address");
    let sandbox = Sandbox::start(SandboxConfig { listen, ..SandboxConfig::default() })
        .await
        .expect("it starts");
    let genesys = sandbox.handle.clone();
    let new = NewIntegration {
        name: "toy".into(),
        webhook_url: format!("{gateway_url}/genesys/toy"),
        secret: SECRET.into(),
        headers: vec![],
    };
    let integration_id = genesys.create_integration(new).expect("it is taken");

    let config = config(&sandbox, &integration_id, &lines);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (genesys_clients, connector_clients) = (
        wiring::genesys_clients().unwrap_or_else(|error| panic!("{error}")),
        wiring::connector_clients().unwrap_or_else(|error| panic!("{error}")),
    );
    let toy = config.integrations.into_iter().next().expect("one integration");
    let toy = wiring::integration(
        toy,
        &genesys_clients,
        &connector_clients,
        &clock,
        &wiring::KeptFiles::default(),
    );
    let url = format!("sqlite:{}", folder.path().join("store.db").display());
    let store = wiring::store(&url, Duration::from_secs(10))
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let of_store = wiring::clock_of(store.as_ref(), Arc::new(ThisMachine))
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let listeners = Listeners { public, admin: None };
    let gateway = Gateway::start(
        listeners,
        vec![toy],
        store,
        of_store,
        Limits::default(),
        &Operators::default(),
    )
    .expect("it starts");

    let event = json!({ "type": "message.created", "id": "e1", "text": "Hello?",
        "customer": { "id": "noor" } });
    let post = |token: &str| {
        reqwest::Client::new()
            .post(format!("{gateway_url}/connectors/toy/events"))
            .bearer_auth(token)
            .body(event.to_string())
            .send()
    };
    let refused = post("another-token").await.expect("an answer");
    assert_eq!(refused.status().as_u16(), 401);
    assert!(refused.text().await.expect("a text").contains("the token is missing or wrong"));
    assert_eq!(post("a-token").await.expect("an answer").status().as_u16(), 202);
    until("Genesys has the customer's message", || genesys.conversation_of("toy", "noor").is_ok())
        .await;

    let sent = genesys.agent_send("toy", "noor", "Good morning.").expect("it is sent");
    until("Genesys has the receipt", || {
        let details = genesys.message(&sent.id).unwrap_or_default();
        details["status"] == "delivery-success"
    })
    .await;
    assert_eq!(std::fs::read_to_string(&lines).expect("the file"), "noor: Good morning.\n");

    gateway.shutdown().await;
    sandbox.shutdown().await;
}
