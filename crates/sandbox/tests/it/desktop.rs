//! The agent's desktop, from its HTTP side: pages, what they read, and what they may not do.

use std::time::Duration;

use reqwest::Method;
use sandbox::SandboxConfig;
use serde_json::{Value, json};

use crate::support::{Bench, CUSTOMER, INTEGRATIONS};

const LIST: &str = "/sandbox/desktop/conversations";

#[tokio::test]
async fn the_pages_are_whole_and_let_nothing_else_in() {
    let bench = Bench::start().await;
    let page = bench.request(Method::GET, "/desktop").send().await.unwrap();
    assert_eq!(page.status(), 200);
    let text = page.text().await.unwrap();
    for inline in ["<script>", "javascript:", " style=", " onclick=", "<style"] {
        assert!(!text.contains(inline), "{inline} is inline");
    }
    let files: Vec<_> = text.split('"').filter(|each| each.starts_with("/desktop/")).collect();
    assert!(files.len() >= 5, "{files:?}");
    for path in files.into_iter().chain(["/desktop", "/desktop/calls.js"]) {
        let answer = bench.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';")
                && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    }
    for path in ["/desktop/..%2fmod.rs", "/desktop/mod.rs", "/desktop/a/b"] {
        assert_eq!(bench.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_list_shows_the_newest_first_with_its_last_words() {
    let bench = Bench::start().await;
    let first = bench.customer_writes(CUSTOMER).await;
    let second = bench.customer_writes("mei").await;
    let listed = async || bench.get(LIST).await.json();
    let ids = |list: &Value| {
        let rows = list["conversations"].as_array().unwrap();
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&listed().await), [second.clone(), first.clone()]);
    let message = bench.agent_writes(CUSTOMER, "Good morning").await;
    bench.hook.wait_for(1).await;
    let list = listed().await;
    assert_eq!(ids(&list), [first.clone(), second]);
    let row = &list["conversations"][0];
    assert_eq!(
        (&row["last"]["text"], &row["last"]["outbound"]),
        (&json!("Good morning"), &json!(true))
    );
    assert_eq!(
        (&row["inbound"], &row["failed"], &row["state"]),
        (&json!(1), &json!(0), &json!("open"))
    );
    assert_eq!(bench.get(&format!("{LIST}?limit=1")).await.json()["total"], 2);

    bench.receipt(&message, "Failed", true).await;
    let row = listed().await["conversations"][0].clone();
    assert_eq!((&row["failed"], &row["last"]["status"]), (&json!(1), &json!("delivery-failed")));
    let thread = bench.get(&format!("{LIST}/{first}")).await.json();
    let messages = thread["messages"].as_array().unwrap();
    assert_eq!(
        messages.iter().map(|each| &each["direction"]).collect::<Vec<_>>(),
        ["inbound", "outbound"]
    );
    assert_eq!(
        messages[1],
        bench.details(&message).await,
        "a message is what Genesys's own path answers"
    );
    assert_eq!(bench.get(&format!("{LIST}/nobody")).await.status, 404);
}

#[tokio::test]
async fn an_agent_writes_transfers_and_ends_by_the_desktop() {
    let bench = Bench::start().await;
    let id = bench.customer_writes(CUSTOMER).await;
    let path = |what: &str| format!("{LIST}/{id}/{what}");
    for nothing in [
        json!({}),
        json!({"text": " \n"}),
        json!({"text": "a".repeat(4_001)}),
        json!({"words": "x"}),
    ] {
        assert_eq!(bench.post(&path("messages"), &nothing).await.status, 400, "{nothing}");
    }
    bench.post(&path("messages"), &json!({"text": "Good morning"})).await.json();
    bench.post(&path("typing"), &json!({})).await;
    let calls = bench.hook.wait_for(2).await;
    assert_eq!(
        (calls[0].text(), &calls[1].json()["type"]),
        ("Good morning".into(), &json!("Event"))
    );

    assert_eq!(bench.post(&path("transfer"), &json!({"to": ""})).await.status, 400);
    assert_eq!(bench.post(&path("transfer"), &json!({"to": "Agent Two"})).await.status, 204);
    let thread = bench.get(&format!("{LIST}/{id}")).await.json();
    let agents = thread["conversation"]["participants"].as_array().unwrap().iter();
    let agents: Vec<_> = agents.filter(|each| each["purpose"] == "agent").collect();
    assert_eq!(
        (&agents[0]["disconnectType"], &agents[1]["name"]),
        (&json!("transfer"), &json!("Agent Two"))
    );
    assert_eq!(bench.post(&path("end"), &json!({})).await.status, 204);
    assert_eq!(bench.post(&path("messages"), &json!({"text": "late"})).await.status, 409);
    assert_eq!(bench.post(&path("transfer"), &json!({"to": "Agent Two"})).await.status, 409);
}

#[tokio::test]
async fn a_page_that_watches_is_told_what_changed_and_who_types() {
    let bench = Bench::start().await;
    let id = bench.customer_writes(CUSTOMER).await;
    let mut events = bench.request(Method::GET, "/sandbox/desktop/events").send().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let mut told = String::new();
    let mut until = async |what: &str| {
        while !told.contains(what) {
            let chunk = tokio::time::timeout(Duration::from_secs(10), events.chunk()).await;
            told += std::str::from_utf8(
                &chunk.unwrap_or_else(|_| panic!("{what}: {told}")).unwrap().unwrap(),
            )
            .unwrap();
        }
        std::mem::take(&mut told)
    };
    until(r#""all":true"#).await;
    let typing = json!({
        "channel": {
            "from": {"id": CUSTOMER, "idType": "Opaque"},
            "time": "2026-11-20T09:10:59.120Z",
        },
        "events": [{"eventType": "Typing"}],
    });
    bench.post(&bench.inbound("event"), &typing).await.json();
    until(&format!(r#""typing":["{id}"]"#)).await;
    bench.agent_writes(CUSTOMER, "Good morning").await;
    let news = until(&format!(r#""changed":["{id}"]"#)).await;
    assert!(!news.contains("Good morning"), "words are read, not told: {news}");

    // It does not keep the sandbox from stopping.
    tokio::time::timeout(Duration::from_secs(5), bench.running.shutdown()).await.unwrap();
}

#[tokio::test]
async fn an_attachment_is_kept_and_served_so_that_nothing_runs() {
    let bench = Bench::start().await;
    let upload = async |name: &str, mime: &str, bytes: Vec<u8>| {
        let mut url =
            reqwest::Url::parse(&format!("{}/sandbox/media", bench.running.url())).unwrap();
        url.query_pairs_mut().append_pair("filename", name);
        let request = bench.client.post(url);
        request.header("content-type", mime).body(bytes).send().await.unwrap()
    };
    let page =
        upload("../a b<script>.html", "text/html", b"<script>alert(1)</script>".to_vec()).await;
    let page: Value = page.json().await.unwrap();
    assert_eq!((&page["mediaType"], &page["mime"]), (&json!("File"), &json!("text/html")));
    assert_eq!(page["filename"], "..a b<script>.html");
    let url = page["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/sandbox/media/", bench.running.url())), "{url}");
    let served = bench.client.get(url).send().await.unwrap();
    let header = |name: &str| served.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-disposition"), "attachment");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(header("content-security-policy").starts_with("sandbox"));
    assert_eq!(served.bytes().await.unwrap(), "<script>alert(1)</script>");

    let picture: Value =
        upload("a.png", "image/png", vec![1; 3_000_000]).await.json().await.unwrap();
    assert_eq!(
        (&picture["mediaType"], &picture["contentSizeBytes"]),
        (&json!("Image"), &json!(3_000_000))
    );
    assert_eq!(upload("a.png", "image/png", Vec::new()).await.status(), 400);
    assert_eq!(upload("a.png", "image/png", vec![1; 25 * 1024 * 1024 + 1]).await.status(), 413);
    assert_eq!(bench.get("/sandbox/media/none/a.png").await.status, 404);
}

#[tokio::test]
async fn the_page_of_another_origin_can_do_nothing() {
    let bench = Bench::start().await;
    let id = bench.customer_writes(CUSTOMER).await;
    let with = async |(name, value): (&str, &str), path: &str| {
        let request = bench.request(Method::POST, path).header(name, value);
        request
            .body(json!({"customer": CUSTOMER, "text": "x"}).to_string())
            .send()
            .await
            .unwrap()
            .status()
    };
    for path in [
        &format!("{LIST}/{id}/end"),
        "/sandbox/agent/send",
        "/sandbox/media?filename=a",
        "/sandbox/notifications/close",
    ] {
        // A page of another port of the same host is of the same site, but of another origin.
        for site in ["cross-site", "same-site"] {
            assert_eq!(with(("sec-fetch-site", site), path).await, 403, "{site}: {path}");
        }
        for origin in ["http://localhost:3000", "http://127.0.0.1:1", "null"] {
            assert_eq!(with(("origin", origin), path).await, 403, "{origin}: {path}");
        }
    }
    let own = bench.running.url().trim_end_matches('/').to_owned();
    assert_eq!(with(("sec-fetch-site", "same-origin"), "/sandbox/agent/send").await, 200);
    assert_eq!(with(("origin", &own), "/sandbox/agent/send").await, 200);
    assert_eq!(with(("x-other", "a program's"), "/sandbox/agent/send").await, 200);
    assert_eq!(with(("sec-fetch-site", "same-origin"), &format!("{LIST}/{id}/end")).await, 204);
}

/// What a page finds that has pointed its own name at this machine (DNS rebinding).
#[tokio::test]
async fn under_a_foreign_name_there_is_neither_control_nor_desktop() {
    const TOKENLESS: [(Method, &str); 8] = [
        (Method::GET, "/desktop"),
        (Method::GET, "/desktop/app.js"),
        (Method::GET, LIST),
        (Method::GET, "/sandbox/transcript"),
        (Method::GET, "/sandbox/clients"),
        (Method::PUT, "/sandbox/switches"),
        (Method::POST, "/sandbox/media?filename=a"),
        (Method::POST, "/sandbox/notifications/close"),
    ];
    let bench = Bench::start().await;
    let status = async |bench: &Bench, method: &Method, path: &str, host: &str| {
        let request = bench.request(method.clone(), path).header("host", host).body("{}");
        request.send().await.unwrap().status()
    };
    for (method, path) in TOKENLESS {
        assert_eq!(status(&bench, &method, path, "evil.example:8082").await, 421, "{path}");
        for own in ["localhost:8082", "127.0.0.1", "[::1]:8082"] {
            assert_eq!(status(&bench, &method, path, own).await, 200, "{path} of {own}");
        }
    }
    let request = bench.request(Method::GET, "/sandbox/verdict").header("host", "evil.example");
    let told = request.send().await.unwrap().text().await.unwrap();
    assert!(told.contains("call it localhost or 127.0.0.1"), "{told}");

    // A middleware may know the sandbox under any name, for example from within a container.
    let genesys = status(&bench, &Method::GET, INTEGRATIONS, "host.docker.internal:8082").await;
    assert_eq!(genesys, 200);

    // Other machines can reach this one, under names that it cannot know.
    let listen = "0.0.0.0:0".parse().unwrap();
    let open = Bench::with(SandboxConfig { listen, ..SandboxConfig::default() }).await;
    for (method, path) in TOKENLESS {
        assert_eq!(status(&open, &method, path, "sandbox:8082").await, 200, "{path}");
    }
}
