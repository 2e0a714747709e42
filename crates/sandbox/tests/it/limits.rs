//! Tokens and the rate limit.

use reqwest::Method;
use sandbox::SandboxConfig;
use serde_json::{Value, json};

use crate::support::{Answer, Bench, INTEGRATIONS, assert_valid, example};

#[tokio::test]
async fn a_token_is_given_for_credentials_in_header_or_form() {
    let bench = Bench::start().await;
    let url = format!("{}/oauth/token", bench.running.url());
    let grant = ("grant_type", "client_credentials");
    let (id, secret) = (("client_id", "sandbox-client"), ("client_secret", "sandbox-secret"));
    let ask = async |form: &[(&str, &str)], basic: Option<(&str, &str)>| {
        let mut request = bench.client.post(&url).form(form);
        if let Some((id, secret)) = basic {
            request = request.basic_auth(id, Some(secret));
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        if status != 200 {
            assert_valid("oauth-error", &body);
        }
        (status, body["error"].as_str().unwrap_or_default().to_owned())
    };
    let ok = (200, String::new());
    assert_eq!(ask(&[grant], Some(("sandbox-client", "sandbox-secret"))).await, ok);
    assert_eq!(ask(&[grant, id, secret], None).await, ok);
    let unknown = |status| (status, "invalid_client".to_owned());
    assert_eq!(ask(&[grant], Some(("sandbox-client", "wrong"))).await, unknown(401));
    assert_eq!(ask(&[grant, id, ("client_secret", "wrong")], None).await, unknown(400));
    assert_eq!(ask(&[grant], None).await, unknown(400));
    assert_eq!(ask(&[id, secret], None).await, (400, "invalid_request".to_owned()));
    assert_eq!(
        ask(&[("grant_type", "password"), id, secret], None).await,
        (400, "unsupported_grant_type".to_owned())
    );
}

#[tokio::test]
async fn a_token_dies() {
    let mut bench = Bench::start().await;
    bench.put("/sandbox/clock", &json!({"scale": 0})).await.json();
    bench.put("/sandbox/switches", &json!({"token_life": "5m"})).await.json();
    bench.token = bench.new_token().await;
    bench.post("/sandbox/clock/advance", &json!({"by": "299s"})).await;
    assert_eq!(bench.get(INTEGRATIONS).await.status, 200);
    bench.post("/sandbox/clock/advance", &json!({"by": "1s"})).await;
    assert_eq!(bench.get(INTEGRATIONS).await.value()["code"], "bad.credentials");
}

#[tokio::test]
async fn a_token_is_revoked() {
    let bench = Bench::start().await;
    let revoked =
        bench.post("/sandbox/tokens/revoke", &json!({"client": "sandbox-client"})).await.json();
    assert_eq!(revoked, json!({"revoked": 1}));
    assert_eq!(bench.get(INTEGRATIONS).await.status, 401);
    let without =
        bench.client.request(Method::GET, format!("{}{INTEGRATIONS}", bench.running.url()));
    assert_eq!(Answer::of(without.send().await.unwrap()).await.status, 401);
}

#[tokio::test]
async fn a_token_has_so_many_requests_a_minute() {
    let mut bench = Bench::with(SandboxConfig {
        rate_per_minute: 3,
        clock_scale: 0.0,
        ..SandboxConfig::default()
    })
    .await;
    // The bench's own first call was the first of three.
    for count in [2, 3] {
        let answer = bench.get(INTEGRATIONS).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            (answer.header("inin-ratelimit-count"), answer.header("inin-ratelimit-allowed")),
            (count, 3)
        );
        assert_eq!(answer.header("inin-ratelimit-reset"), 60);
    }
    bench.post("/sandbox/clock/advance", &json!({"by": "48s"})).await;
    let answer = bench.get(INTEGRATIONS).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, 12));
    let (mut ours, mut theirs) = (answer.value(), example("error-429-rate.json"));
    (ours["contextId"], theirs["contextId"], theirs["limit"]["value"]) =
        (Value::Null, Value::Null, json!(3));
    assert_eq!(ours, theirs);
    assert_eq!(bench.verdict().await["rate_limited"].as_array().unwrap().len(), 1);

    let limited = std::mem::take(&mut bench.token);
    bench.token = bench.new_token().await;
    assert_eq!(bench.get(INTEGRATIONS).await.status, 200, "the limit is each token's own");
    bench.token = limited;
    bench.post("/sandbox/clock/advance", &json!({"by": "12s"})).await;
    assert_eq!(bench.get(INTEGRATIONS).await.header("inin-ratelimit-count"), 1);
}
