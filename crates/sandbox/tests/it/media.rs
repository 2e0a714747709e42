//! An agent's media: announced, uploaded, validated, sent and kept; and canned responses.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Bench, CUSTOMER, MESSAGES, assert_valid};

const CACHED: &str = "/api/v2/conversations/messages/cachedmedia";
const PICTURE: &[u8] = b"\x89PNG and so on";
/// Its MD5, as `md5sum` and `base64` print it.
const PICTURE_MD5: &str = "uTDEXCuex59jFHj8GGEkWw==";

struct Agent {
    bench: Bench,
    conversation: String,
    path: String,
}

impl Agent {
    async fn start() -> Self {
        let bench = Bench::start().await;
        let conversation = bench.customer_writes(CUSTOMER).await;
        let path = bench.communication(&conversation).await;
        Self { bench, conversation, path }
    }

    async fn announce(&self, name: &str, length: usize, md5: Option<&str>) -> Answer {
        let mut body = json!({"fileName": name, "contentLengthBytes": length});
        if let Some(md5) = md5 {
            body["contentMd5"] = md5.into();
        }
        self.bench.post(&format!("{}/messages/media/uploads", self.path), &body).await
    }

    /// Uploads as the announcement says; returns the status.
    async fn upload(&self, announced: &Value, bytes: &'static [u8]) -> u16 {
        let mut request =
            self.bench.client.put(announced["uploadUrl"].as_str().unwrap()).body(bytes);
        for (name, value) in announced["uploadHeaders"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap());
        }
        request.send().await.unwrap().status().as_u16()
    }

    async fn shown(&self, medium: &Value) -> Value {
        let shown =
            self.bench.get(&format!("{}/messages/media/{}", self.path, id(medium))).await.json();
        assert_valid("media-data", &shown);
        shown
    }

    async fn send(&self, body: Value) -> Answer {
        self.bench.post(&format!("{}/messages", self.path), &body).await
    }
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

#[tokio::test]
async fn a_medium_is_uploaded_sent_and_fetched() {
    let agent = Agent::start().await;
    let announced = agent.announce("label.png", PICTURE.len(), Some(PICTURE_MD5)).await.json();
    assert_valid("media-upload", &announced);
    assert_eq!(agent.shown(&announced).await["status"], "uploading");
    assert_eq!(
        agent.send(json!({"mediaIds": [announced["id"]]})).await.status,
        400,
        "it is not there yet"
    );
    assert_eq!(agent.upload(&announced, PICTURE).await, 204);
    assert_eq!(agent.upload(&announced, PICTURE).await, 409, "once is enough");
    let shown = agent.shown(&announced).await;
    assert_eq!((&shown["status"], &shown["mediaType"]), (&json!("valid"), &json!("image/png")));

    let item = format!("{CACHED}/{}", id(&announced));
    assert_eq!(
        (agent.bench.get(&item).await.status, agent.bench.delete(&item).await.status),
        (404, 404),
        "not sent yet"
    );
    let sent = agent.send(json!({"textBody": "", "mediaIds": [announced["id"]]})).await.json();
    assert_eq!(sent["status"], "queued");
    assert_eq!(
        sent["normalizedMessage"].get("conversationId"),
        None,
        "it stands beside the message there"
    );
    let webhook = agent.bench.hook.wait_for(1).await[0].json();
    assert_valid("outbound-webhook-message", &webhook);
    let attachment = &webhook["content"][0]["attachment"];
    let expected = json!({
        "id": announced["id"], "mediaType": "Image", "mime": "image/png", "filename": "label.png",
        "contentSizeBytes": PICTURE.len(), "url": shown["url"],
    });
    assert_eq!(attachment, &expected);
    let url = attachment["url"].as_str().unwrap();
    let fetched = agent.bench.client.get(url).send().await.unwrap();
    assert_eq!(fetched.bytes().await.unwrap(), PICTURE);

    let cached = agent.bench.get(&format!("{CACHED}?url={url}")).await.json();
    assert_valid("cached-media-listing", &cached);
    assert_eq!((&cached["total"], id(&cached["entities"][0])), (&json!(1), id(&announced)));
    assert_valid("cached-media-item", &agent.bench.get(&item).await.json());
    assert_eq!(agent.bench.delete(&item).await.status, 202);
    assert_eq!(agent.bench.get(&item).await.status, 404);
    assert_eq!(agent.bench.client.get(url).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_medium_that_is_not_as_announced_or_not_allowed_is_invalid() {
    let agent = Agent::start().await;
    for (name, length, md5) in [
        ("label.png", PICTURE.len() + 1, None),
        ("label.png", PICTURE.len(), Some("1B2M2Y8AsgTpgAmY7PhCfg==")),
        ("form.pdf", PICTURE.len(), None),
    ] {
        let announced = agent.announce(name, length, md5).await.json();
        assert_eq!(agent.upload(&announced, b"").await, 400, "there is nothing to judge");
        assert_eq!(
            agent.shown(&announced).await["status"],
            "uploading",
            "and it may be uploaded yet"
        );
        assert_eq!(agent.upload(&announced, PICTURE).await, 204, "{name}");
        assert_eq!(agent.shown(&announced).await["status"], "invalid", "{name}");
        assert_eq!(agent.send(json!({"mediaIds": [announced["id"]]})).await.status, 400);
    }
    assert_eq!(agent.announce("film.gif", 26 * 1024 * 1024, None).await.status, 400);
    let listed = agent
        .bench
        .get(&format!("{}/messages/media?status=invalid&pageSize=2", agent.path))
        .await
        .json();
    assert_valid("media-listing", &listed);
    assert_eq!((&listed["total"], listed["entities"].as_array().unwrap().len()), (&json!(3), 2));
    let valid = format!("{}/messages/media?status=valid", agent.path);
    assert_eq!(agent.bench.get(&valid).await.json()["total"], 0);
    assert_eq!(agent.bench.get(&format!("{}/messages/media/none", agent.path)).await.status, 404);
    let elsewhere =
        format!("{MESSAGES}/{}/communications/nobody/messages/media", agent.conversation);
    assert_eq!(agent.bench.get(&elsewhere).await.status, 404);
}

#[tokio::test]
async fn a_medium_that_says_nothing_of_its_file_is_uploaded_as_a_form() {
    let agent = Agent::start().await;
    let made = agent.bench.post(&format!("{}/messages/media", agent.path), &json!({})).await.json();
    assert_valid("media-data", &made);
    let form = [
        "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.gif\"\r\n",
        "Content-Type: image/gif\r\n\r\n",
        "GIF89a",
        "\r\n--edge--\r\n",
    ]
    .concat();
    let request = agent.bench.client.post(made["uploadUrl"].as_str().unwrap());
    let request = request.header("content-type", "multipart/form-data; boundary=edge").body(form);
    assert_eq!(request.send().await.unwrap().status(), 204);
    let shown = agent.shown(&made).await;
    let told =
        (&shown["status"], &shown["name"], &shown["mediaType"], &shown["contentLengthBytes"]);
    assert_eq!(told, (&json!("valid"), &json!("a.gif"), &json!("image/gif"), &json!(6)));
    assert_eq!(agent.send(json!({"mediaIds": [made["id"]]})).await.status, 200);
}

#[tokio::test]
async fn a_call_says_one_thing() {
    let agent = Agent::start().await;
    let announced = agent.announce("label.png", PICTURE.len(), None).await.json();
    agent.upload(&announced, PICTURE).await;
    for wrong in [
        json!({}),
        json!({"textBody": ""}),
        json!({"textBody": "both", "mediaIds": [announced["id"]]}),
        json!({"mediaIds": [announced["id"], announced["id"]]}),
        json!({"textBody": "both", "messagingTemplate": {"responseId": "x"}}),
        json!({"messagingTemplate": {}}),
        json!({"textBody": "x".repeat(4_001)}),
    ] {
        assert_eq!(agent.send(wrong.clone()).await.status, 400, "{wrong}");
    }
    assert_eq!(agent.send(json!({"messagingTemplate": {"responseId": "none"}})).await.status, 404);
    agent.bench.put("/sandbox/switches", &json!({"agent_text_needed": true})).await.json();
    assert_eq!(agent.send(json!({"mediaIds": [announced["id"]]})).await.status, 400);
    assert_eq!(
        agent.send(json!({"textBody": "", "mediaIds": [announced["id"]]})).await.status,
        200
    );
}

#[tokio::test]
async fn a_canned_response_is_a_notification_or_what_it_holds() {
    let agent = Agent::start().await;
    let put = async |id: &str, body: Value| {
        agent.bench.put(&format!("/sandbox/responses/{id}"), &body).await.status
    };
    let visit = json!({
        "text": "Hello {{name}}, your visit is on Monday.",
        "header": "Reminder",
        "footer": "Reply STOP to end",
    });
    assert_eq!(put("visit", visit).await, 204);
    let card = json!({"contentType": "Card", "card": {"title": "Track parcel", "actions": []}});
    assert_eq!(put("card", json!({"text": "", "content": [card]})).await, 204);
    assert_eq!(put("wrong", json!({"txt": "x"})).await, 400);
    let name = json!([{"id": "name", "value": "Noor"}]);
    agent
        .send(json!({"messagingTemplate": {"responseId": "visit", "parameters": name}}))
        .await
        .json();
    agent.send(json!({"messagingTemplate": {"responseId": "card"}})).await.json();
    let calls = agent.bench.hook.wait_for(2).await;
    let (visit, shown) = (calls[0].json(), calls[1].json());
    assert_valid("outbound-webhook-message", &visit);
    assert_eq!(
        (&visit["type"], &visit["text"]),
        (&json!("Structured"), &json!("Hello Noor, your visit is on Monday."))
    );
    let template = &visit["content"][0]["template"];
    assert_eq!(template["header"], json!({"type": "Text", "text": "Reminder"}));
    assert_eq!(template["body"]["parameters"], json!([{"name": "name", "text": "Noor"}]));
    assert_eq!(shown["content"], json!([card]));
    let agentless = json!({
        "fromAddress": agent.bench.integration,
        "toAddress": CUSTOMER,
        "toAddressMessengerType": "open",
        "messagingTemplate": {"responseId": "visit"},
    });
    assert_eq!(agent.bench.post(&format!("{MESSAGES}/agentless"), &agentless).await.status, 400);
}

#[tokio::test]
async fn a_file_may_want_a_token_and_may_expire() {
    let mut agent = Agent::start().await;
    let announced = agent.announce("label.png", PICTURE.len(), None).await.json();
    agent.upload(&announced, PICTURE).await;
    let url = agent.shown(&announced).await["url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(&agent.bench.running.url()).unwrap().to_owned();
    let status = async |agent: &Agent, token: bool| {
        let plain = agent.bench.client.get(&url);
        let request = if token { agent.bench.request(Method::GET, &path) } else { plain };
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(&agent, false).await, 200);
    agent
        .bench
        .put("/sandbox/switches", &json!({"media_token": true, "media_life": "1h"}))
        .await
        .json();
    assert_eq!((status(&agent, false).await, status(&agent, true).await), (401, 200));
    agent.bench.post("/sandbox/clock/advance", &json!({"by": "1h"})).await.json();
    agent.bench.token = agent.bench.new_token().await;
    assert_eq!(status(&agent, true).await, 404);
}
