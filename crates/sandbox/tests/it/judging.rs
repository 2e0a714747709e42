//! The sandbox validates before it acts: a refused call has no effect, and a 400 names the field.
//!
//! Each call that takes a body is made with a good one, in which one field at a time is removed or
//! replaced. No such body may be answered with a 500, and a refused one must leave the world
//! unchanged.

use reqwest::Method;
use sandbox::SandboxConfig;
use serde_json::{Value, json};

use crate::support::{Bench, CUSTOMER, INTEGRATIONS, MESSAGES, receipt};

const MESSAGING: &str = "/api/v2/conversations/messaging";

const DESKTOP: &str = "/sandbox/desktop/conversations?limit=10";
const SETTINGS: &[&str] = &[
    "/api/v2/conversations/messaging/integrations/open?pageSize=100",
    "/api/v2/conversations/messaging/settings?pageSize=100",
    "/api/v2/conversations/messaging/supportedcontent?pageSize=100",
    "/api/v2/conversations/messaging/settings/default",
    "/api/v2/conversations/messaging/supportedcontent/default",
    "/api/v2/conversations/messaging/threadingtimeline",
    "/api/v2/notifications/channels",
];
const STEERING: &[&str] =
    &[DESKTOP, "/sandbox/switches", "/sandbox/faults", "/sandbox/clients", "/sandbox/responses"];

/// A call with a good body. `{communication}` in its path is replaced by the agent of the
/// customer's conversation.
struct Call {
    method: Method,
    path: String,
    body: Value,
}

fn call(method: Method, path: impl Into<String>, body: Value) -> Call {
    Call { method, path: path.into(), body }
}

/// A sandbox with a conversation, and the state that calls can change.
struct Court {
    bench: Bench,
    conversation: String,
    message: String,
    /// The paths that show what calls can change.
    watched: &'static [&'static str],
    /// The world after the last accepted call.
    world: Vec<(&'static str, Value)>,
    counts: (u64, u64, usize),
    refused: usize,
    taken: usize,
}

impl Court {
    async fn opens(watched: &'static [&'static str]) -> Self {
        let config = SandboxConfig { rate_per_minute: 10_000_000, ..SandboxConfig::default() };
        let bench = Bench::with(config).await;
        bench.put("/sandbox/switches", &json!({"create_delay": "0s"})).await.json();
        let conversation = bench.customer_writes(CUSTOMER).await;
        let message = bench.agent_writes(CUSTOMER, "On its way.").await;
        bench.settled(&message).await;
        Self {
            bench,
            conversation,
            message,
            watched,
            world: Vec::new(),
            counts: (0, 0, 0),
            refused: 0,
            taken: 0,
        }
    }

    /// Makes each call with its body as it is, and then with every mistake.
    async fn hears(&mut self, calls: &[Call]) {
        for each in calls {
            self.hear(each, &each.body, "as it is").await;
            let mut paths = Vec::new();
            pointers(&each.body, String::new(), &mut paths);
            for path in &paths {
                for mistake in mistakes(each.body.pointer(path).unwrap()) {
                    let body = with(&each.body, path, mistake.as_ref());
                    self.hear(each, &body, path).await;
                }
            }
        }
        assert!(
            self.refused > 10 * calls.len() && self.taken > calls.len(),
            "{} {}",
            self.refused,
            self.taken
        );
        self.everything_can_be_read().await;
    }

    async fn hear(&mut self, call: &Call, body: &Value, what: &str) {
        let path = self.path(call).await;
        if self.world.is_empty() {
            self.world = self.look().await;
            self.counts = self.counted();
        }
        let answer = crate::support::Answer::of(
            self.bench.request(call.method.clone(), &path).json(body).send().await.unwrap(),
        )
        .await;
        let told = format!(
            "{} {path}, {what}: {body} was answered {} {}",
            call.method,
            answer.status,
            answer.text()
        );
        assert!(answer.status < 500, "{told}");
        if answer.status < 400 {
            self.taken += 1;
            self.world.clear();
            return;
        }
        assert_ne!(what, "as it is", "{told}");
        self.refused += 1;
        if answer.status == 400 && path.starts_with("/api/") {
            let error = answer.value();
            assert!(
                error["details"][0]["fieldName"].as_str().is_some_and(|field| !field.is_empty()),
                "{told}"
            );
            assert!(error["details"][0]["errorCode"].is_string(), "{told}");
        }
        for (before, after) in self.world.iter().zip(&self.look().await) {
            assert_eq!(before, after, "it had an effect: {told}");
        }
        if self.refused.is_multiple_of(20) {
            assert_eq!(
                self.counts,
                self.counted(),
                "it had an effect: {told}, or one of the last 20"
            );
        }
    }

    async fn path(&self, call: &Call) -> String {
        if call.path.contains("{communication}") {
            let communication = self.bench.communication(&self.conversation).await;
            let agent = communication.rsplit('/').next().unwrap();
            return call.path.replace("{communication}", agent);
        }
        call.path.clone()
    }

    /// All that a call could have changed.
    async fn look(&self) -> Vec<(&'static str, Value)> {
        let mut world = Vec::new();
        for path in self.watched {
            world.push((*path, self.bench.get(path).await.json()));
        }
        world.push((
            "the conversation",
            self.bench.running.handle.conversation(&self.conversation).unwrap(),
        ));
        // A webhook's answer may come at any time.
        for (_, part) in &mut world {
            without_status(part);
        }
        world
    }

    /// How many messages came and went. The verdict grows with each refusal, so it is not read in
    /// full after each call.
    fn counted(&self) -> (u64, u64, usize) {
        let verdict = self.bench.running.handle.verdict();
        (verdict.messages, verdict.inbound, verdict.inbound_duplicates.len())
    }

    /// Checks that everything accepted can be read, in each form.
    async fn everything_can_be_read(&self) {
        let all = self.bench.get("/sandbox/desktop/conversations").await.json();
        for row in all["conversations"].as_array().unwrap() {
            let id = row["id"].as_str().unwrap();
            let conversation = self.bench.conversation(id).await;
            assert_eq!(self.bench.get(&format!("/api/v2/conversations/{id}")).await.status, 200);
            let participants = conversation["participants"].as_array().unwrap();
            let messages =
                participants.iter().flat_map(|each| each["messages"].as_array().unwrap());
            for message in messages {
                self.bench.details(message["messageId"].as_str().unwrap()).await;
            }
        }
        for integration in
            self.bench.get(&format!("{INTEGRATIONS}?pageSize=100")).await.json()["entities"]
                .as_array()
                .unwrap()
        {
            let id = integration["id"].as_str().unwrap();
            assert_eq!(
                self.bench
                    .get(&format!("{MESSAGING}/identityresolution/integrations/open/{id}"))
                    .await
                    .status,
                200
            );
        }
        let transcript = self.bench.get("/sandbox/transcript?limit=1000000").await.text();
        assert!(!transcript.contains("the answer of"), "an answer is not as described");
    }

    /// The path of an agent's call in the conversation.
    fn communication(&self, what: &str) -> String {
        format!("{MESSAGES}/{}/communications/{{communication}}/{what}", self.conversation)
    }
}

fn without_status(part: &mut Value) {
    match part {
        Value::Object(fields) => {
            fields.retain(|name, _| {
                !matches!(name.as_str(), "status" | "messageStatus" | "createStatus")
            });
            fields.values_mut().for_each(without_status);
        }
        Value::Array(items) => items.iter_mut().for_each(without_status),
        _ => {}
    }
}

/// Collects the JSON pointer of each value in a body.
fn pointers(value: &Value, at: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            pointers(value, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), paths);
        }),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(n, value)| pointers(value, format!("{at}/{n}"), paths));
        }
        _ => {}
    }
    paths.push(at);
}

/// What may replace a value; `None` means that it is removed.
fn mistakes(value: &Value) -> Vec<Option<Value>> {
    let mut mistakes = vec![None];
    let plain =
        [json!(null), json!(true), json!("true"), json!(7), json!("7"), json!(-1), json!(7.0)];
    let more = [
        json!(""),
        json!("Odd"),
        json!([]),
        json!({}),
        json!([null]),
        json!({"odd": 1}),
        json!(1e30),
    ];
    mistakes.extend(plain.into_iter().chain(more).map(Some));
    if let Value::String(text) = value {
        mistakes.push(Some(text.to_lowercase().into()));
    }
    if let Value::Object(fields) = value {
        let mut odd = fields.clone();
        odd.insert("odd".to_owned(), json!({"a": null, "b": [1]}));
        mistakes.push(Some(odd.into()));
    }
    mistakes
}

fn with(body: &Value, path: &str, mistake: Option<&Value>) -> Value {
    let mut body = body.clone();
    match (mistake, path.rsplit_once('/')) {
        (Some(mistake), _) => *body.pointer_mut(path).unwrap() = mistake.clone(),
        (None, None) => body = Value::Null,
        (None, Some((parent, last))) => match body.pointer_mut(parent).unwrap() {
            Value::Object(fields) => {
                fields.remove(last);
            }
            Value::Array(items) => {
                items.remove(last.parse().unwrap());
            }
            _ => unreachable!("it has a member"),
        },
    }
    body
}

fn channel() -> Value {
    json!({
        "messageId": "m-1",
        "from": {
            "id": "yusuf",
            "idType": "Opaque",
            "nickname": "Noor",
            "firstName": "Noor",
            "lastName": "Haddad",
            "image": "https://files.example/noor.png",
            "email": "noor@example.org",
        },
        "time": "2026-11-20T09:10:59.120Z",
        "metadata": {"subType": "None", "customAttributes": {"orderNumber": "A-10077"}},
    })
}

fn attachment() -> Value {
    json!({
        "contentType": "Attachment",
        "attachment": {
            "id": "a-1",
            "mediaType": "File",
            "url": "https://files.example/y.pdf",
            "mime": "application/pdf",
            "text": "The form",
            "sha256": "0",
            "filename": "y.pdf",
            "contentSizeBytes": 10,
            "thumbnail": {
                "url": "https://files.example/y.png",
                "mime": "image/png",
                "contentSizeBytes": 10,
            },
        },
    })
}

#[tokio::test]
async fn what_a_middleware_posts_is_judged_first() {
    let mut court = Court::opens(&[DESKTOP]).await;
    let message = court.message.clone();
    let mut failed = receipt(&message, CUSTOMER, "Failed", true);
    failed["reasons"] =
        json!([{"code": "MessageExpired", "message": "The chat was not ready in time."}]);
    let bench = &court.bench;
    let of_old = json!({
        "id": bench.integration,
        "platform": "Open",
        "type": "Private",
        "to": {"id": bench.integration},
        "from": {"id": "yusuf", "idType": "Opaque"},
        "time": "2026-11-20T09:10:59.120Z",
        "messageId": "m-9",
    });
    let mut receipt_of_old = json!({
        "id": message,
        "type": "Receipt",
        "status": "Read",
        "channel": of_old,
        "isFinalReceipt": false,
    });
    receipt_of_old["channel"]["from"]["id"] = bench.integration.clone().into();
    receipt_of_old["channel"]["to"]["id"] = CUSTOMER.into();
    let tapped = json!({"type": "QuickReply", "text": "Yes", "payload": "yes", "id": "1"});
    let calls = [
        call(
            Method::POST,
            bench.inbound("message"),
            json!({
                "channel": channel(),
                "text": "Here.",
                "content": [attachment()],
                "metadata": {"a": "b"},
            }),
        ),
        call(
            Method::POST,
            bench.inbound("message"),
            json!({"channel": channel(), "content": [attachment()]}),
        ),
        call(
            Method::POST,
            bench.inbound("structured/response"),
            json!({
                "channel": channel(),
                "buttonResponse": tapped,
                "originatingMessageId": message,
            }),
        ),
        call(
            Method::POST,
            bench.inbound("event"),
            json!({"channel": channel(), "events": [{"eventType": "Typing"}]}),
        ),
        call(Method::POST, bench.inbound("receipt"), receipt(&message, CUSTOMER, "Sent", false)),
        call(Method::POST, bench.inbound("receipt"), failed),
        call(
            Method::POST,
            format!("{MESSAGES}/inbound/open"),
            json!({
                "type": "Text",
                "channel": of_old,
                "text": "Of old.",
                "content": [attachment()],
                "direction": "Inbound",
            }),
        ),
        call(Method::POST, format!("{MESSAGES}/inbound/open"), receipt_of_old),
    ];
    court.hears(&calls).await;
}

#[tokio::test]
async fn what_an_administrator_sets_is_judged_first() {
    let mut court = Court::opens(SETTINGS).await;
    let integration = json!({
        "name": "Harbour Chat",
        "outboundNotificationWebhookUrl": "https://bridge.example.net/genesys",
        "outboundNotificationWebhookSignatureSecretToken": "local-test-secret-0123456789",
        "webhookHeaders": {"X-Bridge-Tenant": "harbour"},
        "supportedContent": {"id": "openMessagingDefault"},
    });
    let made = court.bench.post(INTEGRATIONS, &integration).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let id = |made: Value| made["id"].as_str().unwrap().to_owned();
    let (settings, contents) =
        (format!("{MESSAGING}/settings"), format!("{MESSAGING}/supportedcontent"));
    let setting = json!({
        "name": "one",
        "event": {"typing": {"on": {"inbound": "Enabled", "outbound": "Disabled"}}},
    });
    let content = json!({
        "name": "one",
        "mediaTypes": {"allow": {"inbound": [{"type": "image/*"}], "outbound": [{"type": "*/*"}]}},
    });
    let first = id(court.bench.post(&settings, &setting).await.json());
    let second = id(court.bench.post(&contents, &content).await.json());
    let channel = id(court.bench.post("/api/v2/notifications/channels", &json!({})).await.json());
    let topics =
        json!([{"id": format!("v2.detail.events.conversation.{}.user.end", court.conversation)}]);
    let subscriptions = format!("/api/v2/notifications/channels/{channel}/subscriptions");
    let identity = json!({
        "division": {"id": "home"},
        "resolveIdentities": true,
        "externalSource": {"id": "crm"},
    });
    let calls = [
        call(Method::POST, INTEGRATIONS, integration.clone()),
        call(Method::PATCH, format!("{INTEGRATIONS}/{made}"), integration),
        call(
            Method::PUT,
            format!("{MESSAGING}/identityresolution/integrations/open/{made}"),
            identity,
        ),
        call(Method::POST, settings.clone(), setting.clone()),
        call(Method::PATCH, format!("{settings}/{first}"), setting),
        call(Method::PUT, format!("{settings}/default"), json!({"settingId": first})),
        call(Method::POST, contents.clone(), content.clone()),
        call(Method::PATCH, format!("{contents}/{second}"), content),
        call(Method::PUT, format!("{contents}/default"), json!({"id": second})),
        call(
            Method::PUT,
            format!("{MESSAGING}/threadingtimeline"),
            json!({
                "settings": [
                    {"messengerType": "open", "timeoutInMinutes": 60},
                    {"messengerType": "sms", "timeoutInMinutes": 5},
                ],
            }),
        ),
        call(Method::PUT, subscriptions.clone(), topics.clone()),
        call(Method::POST, subscriptions, topics),
    ];
    court.hears(&calls).await;
}

#[tokio::test]
async fn what_an_agent_does_is_judged_first() {
    let mut court = Court::opens(&[DESKTOP]).await;
    let response =
        json!({"text": "Hello {{name}}", "header": "Hi", "footer": "Bye", "language": "en"});
    assert_eq!(court.bench.put("/sandbox/responses/visit", &response).await.status, 204);
    let template = json!({"responseId": "visit", "parameters": [{"id": "name", "value": "Noor"}]});
    let conversation = format!("{MESSAGES}/{}", court.conversation);
    let agentless = json!({
        "fromAddress": court.bench.integration,
        "toAddress": "yusuf",
        "toAddressMessengerType": "open",
        "textBody": "Today.",
        "useExistingActiveConversation": true,
    });
    let calls = [
        call(Method::POST, court.communication("messages"), json!({"textBody": "On its way."})),
        call(Method::POST, court.communication("messages"), json!({"messagingTemplate": template})),
        call(
            Method::POST,
            court.communication("typing"),
            json!({"typing": {"type": "On", "duration": 5000}}),
        ),
        call(
            Method::POST,
            court.communication("messages/media/uploads"),
            json!({"fileName": "a.png", "contentLengthBytes": 3, "contentMd5": "0"}),
        ),
        call(Method::POST, format!("{MESSAGES}/agentless"), agentless),
        call(Method::POST, format!("{conversation}/messages/bulk"), json!([court.message])),
        call(
            Method::PATCH,
            conversation.clone(),
            json!({"state": "connected", "muted": false, "wrapup": {"code": "a"}}),
        ),
        call(
            Method::PATCH,
            format!("{conversation}/participants/{{communication}}"),
            json!({"state": "connected"}),
        ),
        call(
            Method::POST,
            format!("{conversation}/participants/{{communication}}/replace"),
            json!({"userName": "Agent Two", "transferType": "Attended"}),
        ),
    ];
    court.hears(&calls).await;
}

#[tokio::test]
async fn what_a_script_steers_is_judged_first() {
    let mut court = Court::opens(STEERING).await;
    let card = json!({"title": "A", "description": "B", "image": "https://files.example/a.png",
        "actions": [{"type": "Link", "text": "Open", "url": "https://files.example"}]});
    let picture = json!({
        "contentType": "Attachment",
        "attachment": {
            "mediaType": "Image",
            "mime": "image/png",
            "url": "https://files.example/a.png",
            "contentSizeBytes": 10,
        },
    });
    let content = json!([{"contentType": "Card", "card": card}]);
    let desktop = format!("/sandbox/desktop/conversations/{}", court.conversation);
    let calls = [
        call(
            Method::POST,
            "/sandbox/agent/send",
            json!({"customer": CUSTOMER, "content": content, "from": "bot"}),
        ),
        call(
            Method::POST,
            "/sandbox/agent/send",
            json!({"customer": CUSTOMER, "text": "Here.", "content": [picture]}),
        ),
        call(
            Method::POST,
            "/sandbox/agent/send",
            json!({
                "customer": CUSTOMER,
                "content": [{"contentType": "Carousel", "carousel": {"cards": [card]}}],
            }),
        ),
        call(
            Method::POST,
            "/sandbox/agent/send",
            json!({
                "customer": CUSTOMER,
                "content": [
                    {
                        "contentType": "QuickReply",
                        "quickReply": {"text": "Yes", "payload": "yes", "action": "Message"},
                    },
                ],
            }),
        ),
        call(
            Method::POST,
            "/sandbox/agent/typing",
            json!({"customer": CUSTOMER, "duration": 5000}),
        ),
        call(
            Method::POST,
            "/sandbox/agent/transfer",
            json!({"customer": CUSTOMER, "disconnectType": "transfer"}),
        ),
        call(
            Method::POST,
            format!("{desktop}/messages"),
            json!({"text": "Here.", "content": content}),
        ),
        call(Method::POST, format!("{desktop}/transfer"), json!({"to": "Agent Two"})),
        call(
            Method::PUT,
            "/sandbox/responses/cards",
            json!({"text": "Which?", "content": content}),
        ),
        call(
            Method::PUT,
            "/sandbox/responses/visit",
            json!({"text": "Hello", "header": "Hi", "footer": "Bye", "language": "en"}),
        ),
        call(
            Method::PUT,
            "/sandbox/clients/other",
            json!({"secret": "another", "permissions": ["messaging:integration:view"]}),
        ),
        call(
            Method::POST,
            "/sandbox/faults",
            json!({"on": "token", "action": {"delay": "1ms"}, "times": 1}),
        ),
        call(
            Method::PUT,
            "/sandbox/switches",
            json!({"published_receipts": false, "media_life": "0s"}),
        ),
        call(Method::POST, "/sandbox/clock/advance", json!({"by": "1ms"})),
    ];
    court.hears(&calls).await;
}

#[tokio::test]
async fn null_is_absent_and_the_unknown_is_left_out() {
    let court = Court::opens(&[]).await;
    let bench = &court.bench;
    let from = json!({
        "id": "noor",
        "idType": "Opaque",
        "nickname": null,
        "firstName": null,
        "image": null,
        "mood": null,
    });
    let nulls = json!({
        "channel": {
            "messageId": null,
            "from": from,
            "time": "2026-11-28T19:16:51Z",
            "metadata": {"customAttributes": {"a": null}},
        },
        "text": "hello", "content": null, "metadata": {"a": null}, "news": null,
    });
    let answer = bench.post(&bench.inbound("message"), &nulls).await.json();
    assert_eq!(answer["channel"]["from"], json!({"id": "noor", "idType": "Opaque"}));
    assert_eq!(answer.get("content"), None);
    let sized = json!({
        "channel": {"from": {"id": "noor", "idType": "Opaque"}, "time": "2026-11-28T19:16:51Z"},
        "content": [{
            "contentType": "Attachment",
            "attachment": {
                "mediaType": "File",
                "url": "https://files.example/y",
                "mime": "a/b",
                "contentSizeBytes": "10",
                "news": {"a": 1},
            },
        }],
    });
    let answer = bench.post(&bench.inbound("message"), &sized).await.json();
    let expected = json!({"mediaType": "File", "url": "https://files.example/y", "mime": "a/b"});
    assert_eq!(answer["content"], json!([{"contentType": "Attachment", "attachment": expected}]));
    let receipt = json!({
        "id": court.message,
        "status": "Delivered",
        "isFinalReceipt": true,
        "reasons": null,
        "direction": "Outbound",
        "channel": {
            "to": {"id": CUSTOMER, "nickname": null, "idType": null},
            "time": "2026-11-20T09:14:04.900Z",
        },
    });
    bench.post(&bench.inbound("receipt"), &receipt).await.json();
    assert_eq!(bench.details(&court.message).await["status"], "delivery-success");
    let integration = json!({
        "name": "b",
        "outboundNotificationWebhookUrl": "https://bridge.example.net/x",
        "webhookHeaders": null,
        "outboundNotificationWebhookSignatureSecretToken": "local-test-secret-0123456789",
        "supportedContent": null,
        "id": null,
    });
    bench.post(INTEGRATIONS, &integration).await.json();
    let bom = format!(
        "\u{feff}{}",
        json!({
            "channel": {"from": {"id": "noor", "idType": "Opaque"}, "time": "2026-11-28T19:16:51Z"},
            "text": "x",
        })
    );
    let posted = bench
        .request(Method::POST, &bench.inbound("message"))
        .header("content-type", "application/json")
        .body(bom);
    assert_eq!(posted.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_400_says_which_field_and_why() {
    let court = Court::opens(&[]).await;
    let bench = &court.bench;
    let good = json!({
        "name": "b", "outboundNotificationWebhookUrl": "https://bridge.example.net/x",
        "outboundNotificationWebhookSignatureSecretToken": "local-test-secret-0123456789",
    });
    for (field, value, code) in [
        ("name", None, "required"),
        ("outboundNotificationWebhookUrl", Some(json!("http://bridge.example.net/x")), "url"),
        ("outboundNotificationWebhookSignatureSecretToken", Some(json!("short")), "minLength"),
        ("webhookHeaders", Some(json!({"a b": "c"})), "header"),
        ("supportedContent.id", Some(json!({"id": "no-such"})), "reference"),
        ("messagingSetting.id", Some(json!({"id": "no-such"})), "reference"),
    ] {
        let mut body = good.clone();
        let top = field.split('.').next().unwrap();
        match value {
            Some(value) => body[top] = value,
            None => drop(body.as_object_mut().unwrap().remove(top)),
        }
        let answer = bench.post(INTEGRATIONS, &body).await;
        assert_eq!(answer.status, 400, "{field}");
        let error = answer.value();
        assert_eq!(
            error["message"],
            "The request could not be understood by the server due to malformed syntax."
        );
        let named = error["details"][0]["fieldName"].as_str().unwrap();
        assert!(named == field || named.starts_with(&format!("{field}.")), "{error}");
        assert_eq!(error["details"][0]["errorCode"], code, "{error}");
        assert!(
            error["messageParams"]["reason"]
                .as_str()
                .is_some_and(|reason| reason.starts_with(named)),
            "{error}"
        );
    }
    let silent = json!({
        "channel": {"from": {"id": "x", "idType": "Opaque"}, "time": "2026-11-20T09:10:59Z"},
        "content": [{"contentType": "Location", "location": {}}],
    });
    let error = bench.post(&bench.inbound("message"), &silent).await.value();
    assert_eq!(error["details"][0]["fieldName"], "content[0].attachment");
    let told =
        bench.verdict().await["invalid_bodies"].as_array().unwrap().last().unwrap()["reason"]
            .clone();
    assert_eq!(told, "invalid body: content[0].attachment is missing");
}
