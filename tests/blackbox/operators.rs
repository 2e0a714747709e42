//! What operators can query, and from where: at an address of their own, or only from this machine.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Gateway, Process, client, eventually, free_port, output, tidegate};

const UNREACHABLE: &str = "http://127.0.0.1:1";

async fn get(url: &str) -> (u16, String) {
    let answer = client().get(url).send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.unwrap_or_default())
}

#[tokio::test]
async fn an_address_of_their_own_has_what_operators_ask_and_nothing_else() {
    let dir = TempDir::new().expect("a folder");
    let (port, admin) = (free_port(), free_port());
    let config = Gateway::configure(dir.path(), port, UNREACHABLE, "b3f0", UNREACHABLE, "");
    let text = std::fs::read_to_string(&config).expect("a configuration");
    std::fs::write(&config, format!("[admin]\nlisten = \"127.0.0.1:{admin}\"\n{text}"))
        .expect("written");
    let mut command = tidegate();
    command.args(["serve", "--config"]).arg(&config);
    let mut gateway = Process::start(command, &dir.path().join("gateway.log"));
    let (public, own) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{admin}"));
    let ready = eventually("it is ready, or ended", async || {
        let ready =
            client().get(format!("{own}/readyz")).send().await.is_ok_and(|a| a.status() == 200);
        (ready || !gateway.runs()).then_some(ready)
    });
    assert!(ready.await, "{}", gateway.log());
    assert_eq!(get(&format!("{own}/healthz")).await.0, 200);
    let (status, metrics) = get(&format!("{own}/metrics")).await;
    assert!(
        status == 200 && metrics.contains("tidegate_conversations_active"),
        "{status} {metrics}"
    );
    for path in ["/genesys/acme", "/connectors/acme/events"] {
        let posted =
            client().post(format!("{own}{path}")).body("{}").send().await.expect("an answer");
        assert_eq!(posted.status(), 404, "{path} is not for operators");
    }
    for path in ["/readyz", "/metrics", "/console", "/console/sign-in", "/api/v1/status"] {
        let (status, why) = get(&format!("{public}{path}")).await;
        assert!(status == 404 && why.contains("admin.listen"), "{path}: {status} {why}");
    }
    let (_, served) = get(&format!("{public}/nothing")).await;
    assert!(served.contains("admin.listen") && !served.contains("/console"), "{served}");
    assert_eq!(
        get(&format!("{public}/healthz")).await.0,
        200,
        "whether it lives may be asked at both"
    );
    let unsigned =
        client().post(format!("{public}/genesys/acme")).body("{}").send().await.expect("an answer");
    assert_eq!(unsigned.status(), 401, "webhooks come in where they came in");
    assert!(gateway.terminate(Duration::from_secs(10)).await, "{}", gateway.log());
}

/// A gateway in a network namespace of its own, which has a loopback address and another one.
struct Apart {
    process: Process,
    _dir: TempDir,
}

const ADDRESS: &str = "192.0.2.1";

impl Apart {
    async fn start(listen: &str) -> Self {
        let dir = TempDir::new().expect("a folder");
        let config =
            Gateway::configure(dir.path(), free_port(), UNREACHABLE, "b3f0", UNREACHABLE, "");
        let mut command = Command::new("unshare");
        let script =
            format!("ip link set lo up && ip addr add {ADDRESS}/32 dev lo && exec \"$0\" \"$@\"");
        command.args(["--net", "sh", "-c", &script]).arg(env!("CARGO_BIN_EXE_tidegate"));
        command.args(["serve", "--config"]).arg(&config).env("TIDEGATE_SERVER__LISTEN", listen);
        let mut process = Process::start(command, &dir.path().join("gateway.log"));
        eventually("it listens", async || {
            assert!(process.runs(), "{}", process.log());
            process.log().contains("ready address").then_some(())
        })
        .await;
        Self { process, _dir: dir }
    }

    /// The answer to a caller in that network.
    fn get(&self, url: &str, header: &str) -> (u16, String) {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.process.id().to_string(),
            "--net",
            "curl",
            "--silent",
            "--noproxy",
            "*",
        ]);
        command.args([
            "--max-time",
            "20",
            "--header",
            header,
            "--write-out",
            "\n%{http_code}",
            url,
        ]);
        let answer = String::from_utf8(output(command).stdout).expect("text");
        let (body, status) = answer.rsplit_once('\n').expect("a status");
        (status.parse().expect("a number"), body.to_owned())
    }
}

#[tokio::test]
async fn without_an_address_of_their_own_operators_are_answered_on_this_machine_alone() {
    for (listen, port) in [("0.0.0.0:8080", 8080), ("[::]:8081", 8081)] {
        let apart = Apart::start(listen).await;
        let (inside, outside) =
            (format!("http://127.0.0.1:{port}"), format!("http://{ADDRESS}:{port}"));
        for path in ["/readyz", "/metrics"] {
            assert_eq!(
                apart.get(&format!("{inside}{path}"), "Accept: */*").0,
                200,
                "{listen} {path}"
            );
            for header in ["Accept: */*", "X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1"]
            {
                let (status, why) = apart.get(&format!("{outside}{path}"), header);
                assert!(
                    status == 403 && why.contains("admin.listen"),
                    "{listen} {path} {header}: {status} {why}"
                );
            }
        }
        assert_eq!(apart.get(&format!("{outside}/healthz"), "Accept: */*").0, 200, "{listen}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_or_the_same_is_said_so() {
    let dir = TempDir::new().expect("a folder");
    let port = free_port();
    let config = Gateway::configure(dir.path(), port, UNREACHABLE, "b3f0", UNREACHABLE, "");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let other = taken.local_addr().expect("an address").to_string();
    for (listen, words) in [
        (
            format!("127.0.0.1:{port}"),
            "TIDEGATE_ADMIN__LISTEN: is the address of server.listen too",
        ),
        (other, "change admin.listen"),
    ] {
        let mut command = tidegate();
        command.args(["serve", "--config"]).arg(&config).env("TIDEGATE_ADMIN__LISTEN", &listen);
        let ended = output(command);
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{errors}");
        assert!(errors.contains(words), "{errors}");
    }
}
