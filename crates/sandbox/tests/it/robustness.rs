//! Hostile input, and load.

use reqwest::Method;
use sandbox::SandboxConfig;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{Answer, Bench, MESSAGES, eventually, receipt};

#[tokio::test]
async fn a_body_may_have_so_many_bytes() {
    let bench = Bench::start().await;
    let body = |length: usize| {
        let channel = r#"{"from":{"id":"c","idType":"Opaque"},"time":"2026-11-20T09:10:59Z"}"#;
        let start = format!(r#"{{"channel":{channel},"text":""#);
        format!("{start}{}\"}}", "x".repeat(length - start.len() - 2))
    };
    for (length, status) in [(512_000, 200), (512_001, 413)] {
        let request = bench
            .request(Method::POST, &bench.inbound("message"))
            .header("content-type", "application/json");
        assert_eq!(
            Answer::of(request.body(body(length)).send().await.unwrap()).await.status,
            status
        );
    }
}

#[tokio::test]
async fn hostile_bodies_are_refused() {
    let bench = Bench::start().await;
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 8] =
        [b"", b"{", b"null", b"[]", b"\xff\xfe", b"\"\\ud800\"", b"1e999", deep.as_bytes()];
    let paths =
        ["message", "receipt", "event", "structured/response"].map(|what| bench.inbound(what));
    for path in paths.iter().map(String::as_str).chain([&*format!("{MESSAGES}/inbound/open")]) {
        for body in bodies {
            let request =
                bench.request(Method::POST, path).header("content-type", "application/json");
            let answer = Answer::of(request.body(body.to_vec()).send().await.unwrap()).await;
            assert_eq!(answer.status, 400, "{path}");
        }
    }
    let empty = json!({
        "channel": {"from": {"id": "", "idType": "Opaque"}, "time": "2026-11-20T09:10:59Z"},
        "text": "x",
    });
    assert_eq!(bench.post(&bench.inbound("message"), &empty).await.status, 400);
    let silent = json!({
        "channel": {"from": {"id": "x", "idType": "Opaque"}, "time": "2026-11-20T09:10:59Z"},
    });
    assert_eq!(bench.post(&bench.inbound("message"), &silent).await.status, 400);
}

#[tokio::test]
async fn hostile_paths_and_controls_are_refused() {
    let bench = Bench::start().await;
    for path in [
        format!("{MESSAGES}/%ff"),
        format!("{MESSAGES}/%00/details"),
        format!("{MESSAGES}/{}", "x".repeat(5_000)),
    ] {
        let status = bench.get(&path).await.status;
        assert!(matches!(status, 400 | 404), "{status}");
    }
    for (path, body) in [
        ("/sandbox/clock", json!({"scale": -1})),
        ("/sandbox/clock", json!({"scale": 1e300})),
        ("/sandbox/switches", json!({"no_such": 1})),
        ("/sandbox/switches", json!([])),
    ] {
        assert_eq!(bench.put(path, &body).await.status, 400, "{body}");
    }
    for by in ["-5s", "1000000000h", "soon"] {
        assert_eq!(
            bench.post("/sandbox/clock/advance", &json!({"by": by})).await.status,
            400,
            "{by}"
        );
    }
    assert_eq!(
        bench.post("/sandbox/agent/send", &json!({"customer": "nobody", "text": "x"})).await.status,
        404
    );
    let mut garbage = TcpStream::connect(bench.running.addr).await.unwrap();
    garbage.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // What matters is that the sandbox closes the connection, or answers, and lives.
    let _ = garbage.read_to_end(&mut answer).await;
    assert_eq!(bench.get(crate::support::INTEGRATIONS).await.status, 200);
}

#[tokio::test]
async fn a_second_message_of_the_same_id_is_noticed_and_may_be_swallowed() {
    let bench = Bench::start().await;
    let body = crate::support::example("inbound-01-text.json");
    let first = bench.post(&bench.inbound("message"), &body).await.json();
    let second = bench.post(&bench.inbound("message"), &body).await.json();
    assert_ne!(first["id"], second["id"]);
    bench
        .put("/sandbox/switches", &json!({"dedupe_inbound": true, "inbound_status": 202}))
        .await
        .json();
    let third = bench.post(&bench.inbound("message"), &body).await;
    assert_eq!((third.status, &third.value()["id"]), (202, &first["id"]));
    let verdict = bench.verdict().await;
    assert_eq!(verdict["inbound_duplicates"], json!(["client-msg-0001", "client-msg-0001"]));
    assert_eq!(verdict["holds"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_messages_each_get_their_receipt() {
    const CONVERSATIONS: usize = 40;
    const EACH: usize = 100;
    let config = SandboxConfig {
        rate_per_minute: 1_000_000,
        transcript_entries: 2_000,
        ..SandboxConfig::default()
    };
    let bench = Bench::with(config).await;
    let mut work = JoinSet::new();
    for n in 0..CONVERSATIONS {
        let customer = format!("customer {n}");
        bench.customer_writes(&customer).await;
        let (handle, integration) = (bench.running.handle.clone(), bench.integration.clone());
        work.spawn(async move {
            let sent = (0..EACH)
                .map(|n| handle.agent_send(&integration, &customer, &format!("{n}")).unwrap().id);
            (customer.clone(), sent.collect::<Vec<_>>())
        });
    }
    let sent = work.join_all().await;
    let calls = bench.hook.wait_for(CONVERSATIONS * EACH).await;
    let mut next = std::collections::HashMap::<String, usize>::new();
    for call in calls.iter().map(crate::support::Call::json) {
        let expected =
            next.entry(call["channel"]["to"]["id"].as_str().unwrap().to_owned()).or_default();
        assert_eq!(call["text"], format!("{expected}"));
        *expected += 1;
    }
    let mut work = JoinSet::new();
    for (customer, messages) in sent {
        let (client, token) = (bench.client.clone(), bench.token.clone());
        let url = format!("{}{}", bench.running.url(), bench.inbound("receipt"));
        work.spawn(async move {
            for message in messages {
                let body = receipt(&message, &customer, "Delivered", true);
                let answer =
                    client.post(&url).bearer_auth(&token).json(&body).send().await.unwrap();
                assert_eq!(answer.status(), 200);
                answer.bytes().await.unwrap();
            }
        });
    }
    work.join_all().await;
    let verdict = eventually("the verdict", async || {
        let verdict = bench.verdict().await;
        (verdict["without_final_receipt"] == json!([])).then_some(verdict)
    })
    .await;
    assert_eq!(
        (&verdict["holds"], &verdict["messages"]),
        (&json!(true), &json!(CONVERSATIONS * EACH))
    );
    let transcript = bench.get("/sandbox/transcript").await.value();
    assert_eq!(transcript.as_array().map(Vec::len), Some(2_000), "the transcript is bounded");
}
