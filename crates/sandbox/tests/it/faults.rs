//! Faults on purpose.

use genesys::{Secret, signature};
use sandbox::SandboxConfig;
use serde_json::{Value, json};

use crate::support::{Bench, CUSTOMER, INTEGRATIONS, SECRET, eventually, example, receipt};

async fn fault(bench: &Bench, rule: Value) {
    bench.post("/sandbox/faults", &rule).await.json();
}

#[tokio::test]
async fn a_status_is_answered_and_nothing_is_done() {
    let bench = Bench::start().await;
    bench.customer_writes(CUSTOMER).await;
    let message = bench.agent_writes(CUSTOMER, "hello").await;
    bench.settled(&message).await;
    for (status, code) in
        [(500, "internal.server.error"), (401, "bad.credentials"), (403, "missing.any.permissions")]
    {
        fault(&bench, json!({"on": "receipt", "action": {"status": status}, "times": 1})).await;
        let answer = bench.receipt(&message, "Delivered", true).await;
        assert_eq!((answer.status, &answer.value()["code"]), (status, &json!(code)));
    }
    fault(&bench, json!({"on": "api", "action": {"status": 429}, "times": 1})).await;
    let answer = bench.get(INTEGRATIONS).await;
    assert!(answer.status == 429 && answer.header("retry-after") <= 60);
    assert_eq!(bench.details(&message).await["status"], "sent");
    assert_eq!(bench.receipt(&message, "Delivered", true).await.status, 200);
    let verdict = bench.verdict().await;
    assert_eq!((&verdict["holds"], &verdict["rate_limited"]), (&json!(true), &json!([])));
}

#[tokio::test]
async fn a_dropped_answer_has_taken_effect() {
    let bench = Bench::start().await;
    bench.customer_writes(CUSTOMER).await;
    let message = bench.agent_writes(CUSTOMER, "hello").await;
    bench.settled(&message).await;
    fault(&bench, json!({"on": "receipt", "action": "drop_answer", "times": 1})).await;
    let body = receipt(&message, CUSTOMER, "Delivered", true);
    let request = bench.request(reqwest::Method::POST, &bench.inbound("receipt")).json(&body);
    assert!(request.send().await.is_err());
    assert_eq!(bench.details(&message).await["status"], "delivery-success");
    fault(&bench, json!({"on": "token", "action": "drop_answer", "times": 1})).await;
    let token = bench
        .client
        .post(format!("{}/oauth/token", bench.running.url()))
        .form(&[("grant_type", "x")]);
    assert!(token.send().await.is_err());
}

#[tokio::test]
async fn a_call_hangs_until_its_caller_gives_up() {
    let bench = Bench::start().await;
    fault(&bench, json!({"on": "message", "action": {"hang": true}, "times": 1})).await;
    let request = bench.request(reqwest::Method::POST, &bench.inbound("message"));
    let request = request
        .json(&example("inbound-01-text.json"))
        .timeout(std::time::Duration::from_millis(100));
    assert!(request.send().await.unwrap_err().is_timeout());
    assert_eq!(bench.verdict().await["inbound"], 0);
    bench.customer_writes(CUSTOMER).await;
    fault(&bench, json!({"on": "message", "action": {"hang": true}, "times": 1})).await;
    let hanging = bench.request(reqwest::Method::POST, &bench.inbound("message"));
    let hanging = tokio::spawn(hanging.json(&example("inbound-01-text.json")).send());
    eventually("the rule to wear off", async || {
        bench.get("/sandbox/faults").await.value().as_array().unwrap().is_empty().then_some(())
    })
    .await;
    bench.running.shutdown().await;
    assert!(hanging.await.unwrap().is_err(), "a hanging call does not hold up the end");
}

#[tokio::test]
async fn a_delay_runs_on_the_sandbox_clock() {
    let bench = Bench::with(SandboxConfig { clock_scale: 0.0, ..SandboxConfig::default() }).await;
    fault(&bench, json!({"on": "message", "action": {"delay": "1h"}, "times": 1})).await;
    let request = bench
        .request(reqwest::Method::POST, &bench.inbound("message"))
        .json(&example("inbound-01-text.json"));
    let waiting = tokio::spawn(request.send());
    eventually("the rule to wear off", async || {
        bench.get("/sandbox/faults").await.value().as_array().unwrap().is_empty().then_some(())
    })
    .await;
    assert!(!waiting.is_finished());
    bench.post("/sandbox/clock/advance", &json!({"by": "1h"})).await;
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn webhooks_go_wrong_in_every_way() {
    let bench = Bench::with(SandboxConfig { clock_scale: 50.0, ..SandboxConfig::default() }).await;
    bench.put("/sandbox/switches", &json!({"refused_webhook": "message"})).await.json();
    bench.customer_writes(CUSTOMER).await;
    let send = async |text: &str| bench.agent_writes(CUSTOMER, text).await;
    let webhook = async |action: Value| {
        fault(&bench, json!({"on": "webhook", "action": action, "times": 1})).await;
    };

    webhook(json!("duplicate")).await;
    send("twice").await;
    let calls = bench.hook.wait_for(2).await;
    assert_eq!(calls[0].body, calls[1].body);

    webhook(json!("drop_answer")).await;
    let lost = send("again").await;
    assert_eq!(bench.settled(&lost).await, "sent");
    let calls = bench.hook.wait_for(4).await;
    assert_eq!(calls[2].body, calls[3].body);

    webhook(json!("wrong_signature")).await;
    send("forged").await;
    let call = bench.hook.wait_for(5).await.remove(4);
    let signed = call.headers[signature::HEADER].as_bytes();
    let checked = signature::verify(&[Secret::new(SECRET)], Some(signed), &call.body);
    assert_eq!(checked, Err(signature::SignatureError::Mismatch));

    webhook(json!("unknown_field")).await;
    send("new field").await;
    let call = bench.hook.wait_for(6).await.remove(5).json();
    assert_eq!(
        (&call["text"], &call["fieldOfTheFuture"]["since"]),
        (&json!("new field"), &json!(2031))
    );

    webhook(json!("unknown_content")).await;
    send("new content").await;
    let call = bench.hook.wait_for(7).await.remove(6).json();
    assert_eq!(call["content"][0]["contentType"], "Hologram");

    webhook(json!("reorder")).await;
    send("first").await;
    send("second").await;
    let texts: Vec<_> =
        bench.hook.wait_for(9).await[7..].iter().map(crate::support::Call::text).collect();
    assert_eq!(texts, ["second", "first"]);

    webhook(json!({"status": 404})).await;
    let refused = send("never sent").await;
    assert_eq!(bench.settled(&refused).await, "delivery-failed");
    assert_eq!(bench.hook.calls().len(), 9);
    assert_eq!(
        bench.verdict().await["webhook_not_2xx"],
        json!([]),
        "what was injected is not held against anyone"
    );
}

#[tokio::test]
async fn rules_are_listed_and_taken_back() {
    let bench = Bench::start().await;
    for wrong in [
        json!({"on": "receipt", "action": "reorder"}),
        json!({"on": "moon", "action": "drop_answer"}),
        json!([]),
    ] {
        assert_eq!(bench.post("/sandbox/faults", &wrong).await.status, 400, "{wrong}");
    }
    fault(&bench, json!({"on": "api", "action": {"delay": "2s"}, "probability": 0.5})).await;
    let rules = bench.get("/sandbox/faults").await.json();
    assert_eq!(rules, json!([{"on": "api", "action": {"delay": "2s"}, "probability": 0.5}]));
    assert_eq!(
        bench.request(reqwest::Method::DELETE, "/sandbox/faults").send().await.unwrap().status(),
        204
    );
    assert_eq!(bench.get("/sandbox/faults").await.json(), json!([]));
}

#[tokio::test]
async fn a_webhook_is_signed_with_the_secret_of_before() {
    let bench = Bench::start().await;
    bench.customer_writes(CUSTOMER).await;
    let rotated = "the-secret-after-the-rotation";
    let change =
        json!({"name": "acme", "outboundNotificationWebhookSignatureSecretToken": rotated});
    bench.patch(&format!("{INTEGRATIONS}/{}", bench.integration), &change).await.json();
    fault(&bench, json!({"on": "webhook", "action": "old_signature", "times": 1})).await;
    for text in ["first", "second"] {
        let message = bench.agent_writes(CUSTOMER, text).await;
        bench.settled(&message).await;
    }
    let calls = bench.hook.wait_for(2).await;
    let signed_by = |secret: &str, at: usize| {
        calls[at].headers[signature::HEADER].to_str().unwrap()
            == signature::sign(&Secret::new(secret), &calls[at].body)
    };
    assert!(signed_by(SECRET, 0) && signed_by(rotated, 1));
}

#[tokio::test]
async fn a_token_dies_and_a_limit_is_lowered() {
    let bench = Bench::start().await;
    fault(&bench, json!({"on": "api", "action": {"limit": 2}, "times": 2})).await;
    let answer = bench.get(INTEGRATIONS).await;
    assert_eq!(
        (
            answer.status,
            answer.header("inin-ratelimit-count"),
            answer.header("inin-ratelimit-allowed")
        ),
        (200, 2, 2)
    );
    let answer = bench.get(INTEGRATIONS).await;
    assert!(
        answer.status == 429
            && answer.header("inin-ratelimit-allowed") == 2
            && answer.header("retry-after") <= 60
    );
    assert_eq!(bench.get(INTEGRATIONS).await.header("inin-ratelimit-allowed"), 300);
    fault(&bench, json!({"on": "integration", "action": "revoke_token", "times": 1})).await;
    assert_eq!(bench.get(INTEGRATIONS).await.status, 401);
    assert_eq!(bench.get(INTEGRATIONS).await.status, 401, "it stays dead");
    let mut bench = bench;
    bench.token = bench.new_token().await;
    assert_eq!(bench.get(INTEGRATIONS).await.status, 200);
    assert_eq!(
        bench.verdict().await["rate_limited"],
        json!([]),
        "it is not held against the middleware"
    );
}
