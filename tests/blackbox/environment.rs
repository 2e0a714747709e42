//! Settings from the environment: a whole configuration, secrets with a trailing line break,
//! proxies, and private certificate authorities.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{
    CONNECTOR_SECRET, Gateway, Loop, Process, WEBHOOK_SECRET, client, delivered, eventually,
    free_port, output, tidegate,
};

const QUICK: &[&str] = &["--handshake", "0"];
const UNREACHABLE: &str = "http://127.0.0.1:1";

/// What a command printed on both streams, and its exit code.
fn ended(command: Command) -> (Option<i32>, String) {
    let ended = output(command);
    let text = [ended.stdout, ended.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    (ended.status.code(), text)
}

/// The value of a key in the loop's configuration.
fn value(all: &Loop, key: &str) -> String {
    let text =
        std::fs::read_to_string(all.dir.path().join("tidegate.toml")).expect("a configuration");
    let line =
        text.lines().find_map(|line| line.strip_prefix(&format!("{key} = "))).expect("the key");
    line.trim_matches('"').to_owned()
}

/// The loop's configuration as variables: secrets with a line break, URLs as they were copied.
fn variables(all: &Loop) -> Vec<(String, String)> {
    let genesys = value(all, "api_url");
    let keys = [
        ("SERVER__PUBLIC_URL", value(all, "public_url")),
        ("STORE__URL", value(all, "url")),
        ("INTEGRATION__0__NAME", "acme\n".to_owned()),
        ("INTEGRATION__0__API_URL", format!("{genesys}/api/v2/")),
        ("INTEGRATION__0__LOGIN_URL", format!("{genesys}/oauth/token")),
        ("INTEGRATION__0__INTEGRATION_ID", value(all, "integration_id")),
        ("INTEGRATION__0__CLIENTS__0__ID", "sandbox-client".to_owned()),
        ("INTEGRATION__0__CLIENTS__0__SECRET__ENV", "CLIENT_SECRET".to_owned()),
        ("INTEGRATION__0__WEBHOOK_SECRET", format!("{WEBHOOK_SECRET}\n")),
        ("INTEGRATION__0__CONNECTOR__TYPE", "http".to_owned()),
        ("INTEGRATION__0__CONNECTOR__URL", all.chat.url.clone()),
        ("INTEGRATION__0__CONNECTOR__SECRET", format!("{CONNECTOR_SECRET}\r\n")),
    ];
    let keys = keys.into_iter().map(|(key, value)| (format!("TIDEGATE_{key}"), value));
    keys.chain([("CLIENT_SECRET".to_owned(), "sandbox-secret\n".to_owned())]).collect()
}

#[tokio::test]
async fn variables_alone_are_a_configuration() {
    let all = Loop::start("", QUICK).await;
    let empty = TempDir::new().expect("a folder");
    let mut check = tidegate();
    check.arg("check").current_dir(empty.path()).envs(variables(&all));
    let (code, text) = ended(check);
    assert_eq!(code, Some(0), "{text}");
    let port = free_port();
    let mut serve = tidegate();
    serve.arg("serve").current_dir(empty.path()).envs(variables(&all));
    serve
        .env("TIDEGATE_SERVER__LISTEN", format!("127.0.0.1:{port}"))
        .env("TIDEGATE_STORE__URL", "sqlite:own.db");
    let mut second = Process::start(serve, &empty.path().join("gateway.log"));
    let url = format!("http://127.0.0.1:{port}/readyz");
    let ready = eventually("it is ready, or ended", async || {
        let ready = client().get(&url).send().await.is_ok_and(|answer| answer.status() == 200);
        (ready || !second.runs()).then_some(ready)
    });
    assert!(ready.await, "{}", second.log());
    assert!(second.terminate(Duration::from_secs(10)).await, "{}", second.log());

    // A named file must exist, whatever the environment says.
    let mut mistyped = tidegate();
    mistyped
        .args(["check", "--config", "tidegat.toml"])
        .current_dir(empty.path())
        .envs(variables(&all));
    let (code, text) = ended(mistyped);
    assert!(code == Some(2) && text.contains("tidegat.toml: there is no such file"), "{text}");
    // And variables that name no integration are no configuration.
    let mut little = tidegate();
    little.arg("check").current_dir(empty.path()).env("TIDEGATE_SERVER__LISTEN", "127.0.0.1:1");
    let (code, text) = ended(little);
    assert!(code == Some(2) && text.contains("there is no such file"), "{text}");
    let mut wrong = tidegate();
    wrong
        .arg("check")
        .current_dir(empty.path())
        .envs(variables(&all))
        .env_remove("TIDEGATE_INTEGRATION__0__API_URL");
    let (code, text) = ended(wrong);
    assert!(code == Some(2) && text.contains("api_url: is missing"), "{text}");
}

#[tokio::test]
async fn the_least_that_a_missing_file_is_answered_with_passes_the_check() {
    let all = Loop::start("", QUICK).await;
    let dir = TempDir::new().expect("a folder");
    let mut nothing = tidegate();
    nothing.arg("check").current_dir(dir.path());
    let (_, report) = ended(nothing);
    let (_, least) = report.split_once("this is the minimum:\n").expect("the least");
    let (genesys, id) = (value(&all, "api_url"), value(&all, "integration_id"));
    let mut text = least.to_owned();
    for (from, to) in [
        (
            "region         = \"mypurecloud.com\"",
            format!("api_url = \"{genesys}\"\nlogin_url = \"{genesys}\""),
        ),
        ("integration_id = \"…\"", format!("integration_id = \"{id}\"")),
        ("id = \"…\"", "id = \"sandbox-client\"".to_owned()),
        ("http://127.0.0.1:9000", all.chat.url.clone()),
    ] {
        assert!(text.contains(from), "{from}: {text}");
        text = text.replacen(from, &to, 1);
    }
    std::fs::write(dir.path().join("tidegate.toml"), text).expect("written");
    let mut check = tidegate();
    check.arg("check").current_dir(dir.path()).env("ACME_CLIENT_SECRET", "sandbox-secret");
    check.env("ACME_WEBHOOK_SECRET", WEBHOOK_SECRET).env("ACME_CONNECTOR_SECRET", CONNECTOR_SECRET);
    let (code, text) = ended(check);
    assert_eq!(code, Some(0), "{text}");
}

/// A proxy that forwards no call, and keeps the first line of each.
struct Proxy {
    url: String,
    calls: Arc<AtomicUsize>,
    first: Arc<std::sync::Mutex<String>>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (calls, first) =
            (Arc::<AtomicUsize>::default(), Arc::<std::sync::Mutex<String>>::default());
        let (count, keep) = (Arc::clone(&calls), Arc::clone(&first));
        tokio::spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut head = [0; 1_024];
                let read = caller.read(&mut head).await.unwrap_or_default();
                let line = String::from_utf8_lossy(&head[..read])
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                keep.lock().expect("no test panicked").push_str(&line);
                let _ = caller
                    .write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
                    .await;
            }
        });
        Self { url, calls, first }
    }
}

#[tokio::test]
async fn a_chat_service_on_this_machine_is_never_called_through_a_proxy() {
    let proxy = Proxy::start().await;
    let mut all = Loop::start("", QUICK).await;
    all.gateway.stop().await;
    let mut command = tidegate();
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    {
        command.env(name, &proxy.url);
    }
    command.env_remove("NO_PROXY").env_remove("no_proxy").env_remove("REQUEST_METHOD");
    all.gateway.restart_as(command).await;
    all.chat.says("noor", "Where is my parcel?").await;
    let messages = all.agent_types("noor", &["Good morning."]).await;
    assert_eq!(all.sandbox.final_receipt(&messages[0]).await, delivered());
    assert_eq!(
        proxy.calls.load(Ordering::SeqCst),
        0,
        "{}",
        proxy.first.lock().expect("no test panicked")
    );
}

/// A configuration with Genesys at this URL.
fn with_genesys(dir: &Path, url: &str) -> PathBuf {
    Gateway::configure(dir, free_port(), url, "b3f0", UNREACHABLE, "")
}

#[tokio::test(flavor = "multi_thread")]
async fn genesys_is_called_through_the_proxy_that_the_environment_names() {
    let (proxy, dir) = (Proxy::start().await, TempDir::new().expect("a folder"));
    let mut check = tidegate();
    check.args(["check", "--config"]).arg(with_genesys(dir.path(), "https://api.genesys.invalid"));
    check.env("HTTPS_PROXY", &proxy.url).env_remove("NO_PROXY").env_remove("no_proxy");
    let (code, text) = ended(check);
    assert_eq!(code, Some(1), "{text}");
    let first = proxy.first.lock().expect("no test panicked").clone();
    assert!(first.starts_with("CONNECT api.genesys.invalid:443 "), "{first}");
}

/// A TLS server whose certificate comes from a private authority; it answers every call with 401.
fn serve_tls(dir: &Path, port: u16) -> (Process, PathBuf) {
    let script = r#"
set -e
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=own-authority -keyout ca.key -out ca.pem
openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' > server.ext
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.pem
exec python3 -c '
import http.server, ssl, sys
class Refuses(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b"{\"error\":\"invalid_client\"}"
        self.send_response(401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Refuses)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.pem", "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print("listening", flush=True)
server.serve_forever()
' "$1"
"#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", &port.to_string()]).current_dir(dir);
    (Process::start(command, &dir.join("tls.log")), dir.join("ca.pem"))
}

#[tokio::test]
async fn an_authority_of_ones_own_is_believed_where_the_environment_names_its_file() {
    let (dir, port) = (TempDir::new().expect("a folder"), free_port());
    let (server, authority) = serve_tls(dir.path(), port);
    eventually("the server listens", async || server.log().contains("listening").then_some(()))
        .await;
    let config = with_genesys(dir.path(), &format!("https://localhost:{port}"));
    let check = || {
        let mut check = tidegate();
        check
            .args(["check", "--config"])
            .arg(&config)
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR");
        check
    };
    let (_, text) = ended(check());
    assert!(!text.contains("status 401"), "that authority is unknown: {text}");
    let mut believing = check();
    believing.env("SSL_CERT_FILE", &authority);
    let (_, text) = ended(believing);
    assert!(text.contains("status 401"), "the call has come through: {text}");
}
