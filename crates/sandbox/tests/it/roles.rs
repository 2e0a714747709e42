//! OAuth clients whose role may not do everything.

use serde_json::{Value, json};

use crate::support::{Bench, CUSTOMER, INTEGRATIONS, MESSAGES, example};

async fn token_of(bench: &Bench, client: &str) -> Option<String> {
    let request = bench
        .client
        .post(format!("{}/oauth/token", bench.running.url()))
        .basic_auth(client, Some("secret"));
    let answer: Value = request
        .form(&[("grant_type", "client_credentials")])
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    answer["access_token"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_role_without_the_permission_gets_403() {
    let mut bench = Bench::start().await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let message = bench.agent_writes(CUSTOMER, "hello").await;
    let role = json!({
        "secret": "secret",
        "permissions": ["messaging:integration:view", "conversation:message:receive"],
    });
    assert_eq!(bench.put("/sandbox/clients/small", &role).await.status, 204);
    bench.token = token_of(&bench, "small").await.unwrap();

    assert_eq!(bench.get(INTEGRATIONS).await.status, 200);
    assert_eq!(
        bench.post(&bench.inbound("message"), &example("inbound-01-text.json")).await.status,
        200
    );
    assert_eq!(
        bench.get(&format!("{MESSAGES}/{conversation}")).await.status,
        200,
        "no permission is known for it"
    );
    let refused = bench.post(INTEGRATIONS, &example("integration-01-create.json")).await;
    assert_eq!(
        (refused.status, &refused.value()["code"]),
        (403, &"missing.any.permissions".into())
    );
    assert_eq!(refused.value()["messageParams"]["permissions"], "messaging:integration:add");
    assert_eq!(bench.get(&format!("{MESSAGES}/{message}/details")).await.status, 403);
    assert_eq!(
        bench
            .patch(&format!("{MESSAGES}/{conversation}"), &json!({"state": "disconnected"}))
            .await
            .status,
        403
    );

    let more = json!({"secret": "secret", "permissions": ["conversation:*:*"]});
    bench.put("/sandbox/clients/small", &more).await;
    assert_eq!(
        bench.get(&format!("{MESSAGES}/{message}/details")).await.status,
        200,
        "the role holds from now on"
    );
    assert_eq!(bench.get(INTEGRATIONS).await.status, 403);

    let listed = bench.get("/sandbox/clients").await;
    assert!(!listed.text().contains("secret\""), "{}", listed.text());
    assert_eq!(bench.delete("/sandbox/clients/small").await.status, 204);
    assert_eq!(bench.get(INTEGRATIONS).await.status, 401);
    assert_eq!(token_of(&bench, "small").await, None);
    bench.token = bench.new_token().await;
    bench
        .post("/sandbox/faults", &json!({"on": "message", "action": {"status": 403}, "times": 1}))
        .await
        .json();
    let provoked = bench.post(&bench.inbound("message"), &example("inbound-01-text.json")).await;
    assert_eq!(
        (provoked.status, &provoked.value()["messageParams"]["permissions"]),
        (403, &json!("conversation:message:receive"))
    );
    let typo = json!({"secret": "secret", "permissions": ["messaging.integration.view"]});
    assert_eq!(bench.put("/sandbox/clients/small", &typo).await.status, 400);
}
