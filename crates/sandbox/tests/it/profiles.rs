//! Messaging settings, supported content, the threading timeline and identity resolution, and what
//! they do.

use serde_json::{Value, json};

use crate::support::{Bench, CUSTOMER, INTEGRATIONS, assert_valid, example};

const SETTINGS: &str = "/api/v2/conversations/messaging/settings";
const CONTENT: &str = "/api/v2/conversations/messaging/supportedcontent";
const THREADING: &str = "/api/v2/conversations/messaging/threadingtimeline";
const IDENTITY: &str = "/api/v2/conversations/messaging/identityresolution/integrations/open";

fn id(made: &Value) -> &str {
    made["id"].as_str().unwrap()
}

#[tokio::test]
async fn profiles_are_made_changed_listed_and_deleted() {
    let bench = Bench::start().await;
    for (path, body, change, chosen, listing, one) in [
        (
            SETTINGS,
            example("setting-01-typing-on.json"),
            json!({"event": {"typing": {"on": {"inbound": "Disabled"}}}}),
            "settingId",
            "messaging-setting-listing",
            "messaging-setting",
        ),
        (
            CONTENT,
            example("content-01-profile.json"),
            json!({"mediaTypes": {"allow": {"inbound": []}}}),
            "id",
            "supported-content-listing",
            "supported-content",
        ),
    ] {
        let own = bench.get(&format!("{path}/default")).await.json();
        assert_valid(one, &own);
        let made = bench.post(path, &body).await.json();
        assert_valid(one, &made);
        assert_ne!(made["id"], body["id"], "the id is Genesys's");
        assert_eq!(made["name"], body["name"]);
        let place = format!("{path}/{}", id(&made));
        let changed = bench.patch(&place, &change).await.json();
        assert_eq!(changed["name"], body["name"], "what is not named stays");
        for (field, value) in change.as_object().unwrap() {
            assert_eq!(&changed[field], value);
        }
        assert_eq!(bench.get(&place).await.json(), changed);
        let listed = bench.get(&format!("{path}?pageSize=1&pageNumber=2")).await.json();
        assert_valid(listing, &listed);
        assert_eq!((&listed["entities"][0], &listed["total"]), (&changed, &json!(2)));

        assert_eq!(
            bench.patch(&format!("{path}/{}", id(&own)), &change).await.status,
            409,
            "the organisation's own"
        );
        assert_eq!(
            bench.put(&format!("{path}/default"), &json!({chosen: "none"})).await.status,
            404
        );
        assert_eq!(
            bench.put(&format!("{path}/default"), &json!({chosen: made["id"]})).await.json(),
            changed
        );
        assert_eq!(bench.get(&format!("{path}/default")).await.json(), changed);
        let shown = bench.get(&format!("{INTEGRATIONS}/{}", bench.integration)).await.json();
        let field = if path == SETTINGS { "messagingSetting" } else { "supportedContent" };
        assert_eq!(shown[field]["id"], made["id"], "an integration without one has the default");
        let found = bench.get(&format!("{INTEGRATIONS}?{field}.id={}", id(&made))).await.json();
        assert_eq!(found["total"], 1);
        assert_eq!(bench.get(&format!("{INTEGRATIONS}?{field}.id=other")).await.json()["total"], 0);

        assert_eq!(bench.delete(&place).await.status, 204);
        assert_eq!(bench.get(&place).await.status, 404);
        assert_eq!(bench.get(&format!("{path}/default")).await.json(), own);
        assert_eq!(bench.post(path, &json!({})).await.status, 400);
    }
    let mut integration = example("integration-01-create.json");
    integration["supportedContent"]["id"] = "no-such".into();
    assert_eq!(bench.post(INTEGRATIONS, &integration).await.status, 400);
}

/// Makes a profile and gives it to the bench's integration.
async fn in_force(bench: &Bench, path: &str, field: &str, body: &Value) {
    let made = bench.post(path, body).await.json();
    let change = json!({"name": "Harbour Chat", field: {"id": made["id"]}});
    let changed =
        bench.patch(&format!("{INTEGRATIONS}/{}", bench.integration), &change).await.json();
    assert_eq!(changed[field]["id"], made["id"]);
}

fn picture_and_text() -> Value {
    let attachment = |mime: &str| {
        json!({
            "contentType": "Attachment",
            "attachment": {"mediaType": "File", "mime": mime, "url": "https://example.invalid/a"},
        })
    };
    json!({
        "channel": {
            "from": {"id": CUSTOMER, "idType": "Opaque"},
            "time": "2026-11-20T09:10:59.120Z",
        },
        "text": "See these.",
        "content": [attachment("image/png"), attachment("application/pdf")],
    })
}

#[tokio::test]
async fn an_attachment_that_is_not_allowed_is_dropped_inbound_and_refused_outbound() {
    let bench = Bench::start().await;
    let taken = bench.post(&bench.inbound("message"), &picture_and_text()).await.json();
    assert_eq!(
        taken["content"].as_array().unwrap().len(),
        2,
        "everything is allowed inbound at first"
    );
    let send = |mime: &str| {
        json!({
            "customer": CUSTOMER,
            "content": [
                {
                    "contentType": "Attachment",
                    "attachment": {
                        "mediaType": "File",
                        "mime": mime,
                        "url": "https://example.invalid/a",
                    },
                },
            ],
        })
    };
    assert_eq!(bench.post("/sandbox/agent/send", &send("application/pdf")).await.status, 400);
    assert_eq!(bench.post("/sandbox/agent/send", &send("image/gif")).await.status, 200);

    let types = json!({
        "name": "papers",
        "mediaTypes": {
            "allow": {"inbound": [{"type": "image/*"}], "outbound": [{"type": "application/pdf"}]},
        },
    });
    in_force(&bench, CONTENT, "supportedContent", &types).await;
    let taken = bench.post(&bench.inbound("message"), &picture_and_text()).await.json();
    assert_eq!(taken["text"], "See these.");
    let content = taken["content"].as_array().unwrap();
    assert_eq!((content.len(), &content[0]["attachment"]["mime"]), (1, &json!("image/png")));
    assert_eq!(bench.post("/sandbox/agent/send", &send("application/pdf")).await.status, 200);
    assert_eq!(bench.post("/sandbox/agent/send", &send("image/gif")).await.status, 400);
    assert_eq!(
        bench
            .post("/sandbox/agent/send", &json!({"customer": CUSTOMER, "text": "last"}))
            .await
            .status,
        200
    );
    let calls = bench.hook.wait_for(3).await;
    let mimes: Vec<Value> =
        calls.iter().map(|call| call.json()["content"][0]["attachment"]["mime"].clone()).collect();
    assert_eq!(mimes, [json!("image/gif"), json!("application/pdf"), Value::Null]);
}

#[tokio::test]
async fn a_setting_stops_typing_in_both_directions() {
    let bench = Bench::start().await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let typing = format!("{}/typing", bench.communication(&conversation).await);
    let off = json!({
        "name": "quiet",
        "event": {"typing": {"on": {"inbound": "Disabled", "outbound": "Disabled"}}},
    });
    in_force(&bench, SETTINGS, "messagingSetting", &off).await;
    assert_eq!(bench.post(&typing, &example("agent-02-typing.json")).await.status, 202);
    bench.put("/sandbox/switches", &json!({"event_starts_conversation": true})).await.json();
    let mut event = example("event-01-typing.json");
    event["channel"]["from"]["id"] = "somebody new".into();
    assert_eq!(bench.post(&bench.inbound("event"), &event).await.status, 200);
    let started = bench.running.handle.conversation_of(&bench.integration, "somebody new");
    assert!(started.is_err(), "an event that is not passed on begins nothing");

    in_force(&bench, SETTINGS, "messagingSetting", &example("setting-01-typing-on.json")).await;
    assert_eq!(bench.post(&typing, &example("agent-02-typing.json")).await.status, 202);
    let calls = bench.hook.wait_for(1).await;
    assert_eq!(calls[0].json()["type"], "Event");
    assert_eq!(bench.post(&bench.inbound("event"), &event).await.status, 200);
    bench.running.handle.conversation_of(&bench.integration, "somebody new").unwrap();
    assert_eq!(bench.hook.calls().len(), 1, "the first typing never left");
}

#[tokio::test]
async fn the_threading_timeline_says_when_a_conversation_is_taken_up_again() {
    let bench = Bench::start().await;
    bench.put("/sandbox/clock", &json!({"scale": 0})).await.json();
    let shown = bench.get(THREADING).await.json();
    assert_valid("threading-timeline", &shown);
    assert_eq!(shown["settings"][0], json!({"messengerType": "open", "timeoutInMinutes": 4320}));
    let timeline = |minutes: i64| {
        json!({
            "settings": [{"messengerType": "open", "timeoutInMinutes": minutes}],
        })
    };
    assert_eq!(
        bench.put(THREADING, &timeline(10)).await.json()["settings"][0]["timeoutInMinutes"],
        10
    );
    let first = bench.customer_writes(CUSTOMER).await;
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    bench.post("/sandbox/clock/advance", &json!({"by": "9m"})).await;
    assert_eq!(bench.customer_writes(CUSTOMER).await, first);
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    bench.post("/sandbox/clock/advance", &json!({"by": "10m"})).await;
    let second = bench.customer_writes(CUSTOMER).await;
    assert_ne!(second, first);
    bench.put(THREADING, &timeline(0)).await.json();
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    assert_ne!(bench.customer_writes(CUSTOMER).await, second, "0 is a new one each time");

    for wrong in [-1, 4_321] {
        assert_eq!(bench.put(THREADING, &timeline(wrong)).await.status, 400);
    }
    let others = json!({"settings": [{"messengerType": "whatsapp", "timeoutInMinutes": 5}]});
    let answer = bench.put(THREADING, &others).await.json();
    assert_eq!(answer["settings"][0]["timeoutInMinutes"], 4320, "what is left out has the default");
    assert!(answer["settings"].as_array().unwrap().contains(&others["settings"][0]));
}

#[tokio::test]
async fn identity_resolution_is_kept() {
    let bench = Bench::start().await;
    let path = format!("{IDENTITY}/{}", bench.integration);
    assert_eq!(bench.get(&path).await.json()["resolveIdentities"], false);
    let wanted = json!({
        "resolveIdentities": true,
        "division": {"id": "77777777-aaaa-4bbb-8ccc-000000000001"},
    });
    let changed = bench.put(&path, &wanted).await.json();
    assert_valid("identity-resolution", &changed);
    assert_eq!(
        (&changed["resolveIdentities"], &changed["division"]),
        (&json!(true), &wanted["division"])
    );
    assert_eq!(bench.get(&path).await.json(), changed);
    assert_eq!(bench.put(&path, &json!({})).await.status, 400);
    assert_eq!(bench.get(&format!("{IDENTITY}/none")).await.status, 404);
}
