//! Every example is read and written back without loss, and what we write satisfies Genesys's
//! schemas.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own files stops")]

use std::fs;
use std::path::{Path, PathBuf};

use genesys::agent::{AgentMessage, AgentTyping, AgentlessRequest, ParticipantPatch};
use genesys::conversation::{MessageConversation, MessageData};
use genesys::inbound::{
    ButtonResponse, ButtonResponseType, EventResponse, InboundChannel, InboundEvent,
    InboundMessage, InboundReceipt, MessageResponse, ReceiptResponse, StructuredResponse,
    StructuredResponseResponse,
};
use genesys::integration::{
    Integration, IntegrationListing, IntegrationRequest, IntegrationUpdate,
};
use genesys::message::{Attachment, Content, IdType, MediaType, Party};
use genesys::oauth::{OAuthError, TokenResponse};
use genesys::receipt::{Reason, ReasonCode, ReceiptStatus};
use genesys::schema::{self, Schema};
use genesys::{ErrorBody, WebhookMessage};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Reads `value` as a `T` and writes it again.
fn there_and_back<T: DeserializeOwned + Serialize>(value: &Value) -> serde_json::Result<Value> {
    let text = serde_json::to_string(value)?;
    serde_json::to_value(serde_json::from_str::<T>(&text)?)
}

/// The same with the type that belongs to a schema; `None` for schemas without one.
fn by_schema(schema: &str, value: &Value) -> Option<serde_json::Result<Value>> {
    Some(match schema {
        "outbound-webhook-message" | "legacy-inbound-open" => {
            there_and_back::<WebhookMessage>(value)
        }
        "inbound-open-message" => there_and_back::<InboundMessage>(value),
        "inbound-open-message-response" => there_and_back::<MessageResponse>(value),
        "inbound-receipt" => there_and_back::<InboundReceipt>(value),
        "inbound-receipt-response" => there_and_back::<ReceiptResponse>(value),
        "inbound-event" => there_and_back::<InboundEvent>(value),
        "inbound-event-response" => there_and_back::<EventResponse>(value),
        "structured-response" => there_and_back::<StructuredResponse>(value),
        "structured-response-response" => there_and_back::<StructuredResponseResponse>(value),
        "integration-request" => there_and_back::<IntegrationRequest>(value),
        "integration-update-request" => there_and_back::<IntegrationUpdate>(value),
        "integration-response" => there_and_back::<Integration>(value),
        "integration-listing" => there_and_back::<IntegrationListing>(value),
        "error-body" => there_and_back::<ErrorBody>(value),
        "message-conversation" => there_and_back::<MessageConversation>(value),
        "message-details" => there_and_back::<MessageData>(value),
        "agent-message-request" => there_and_back::<AgentMessage>(value),
        "agent-typing-request" => there_and_back::<AgentTyping>(value),
        "agentless-request" => there_and_back::<AgentlessRequest>(value),
        "participant-patch" => there_and_back::<ParticipantPatch>(value),
        "oauth-token-response" => there_and_back::<TokenResponse>(value),
        "oauth-error" => there_and_back::<OAuthError>(value),
        _ => return None,
    })
}

fn check(schema: Schema, body: &impl Serialize) {
    let body = serde_json::to_value(body).unwrap();
    if let Err(error) = violation(schema, &body) {
        panic!("{body}: {error}");
    }
}

/// Where a body violates its schema.
fn violation(schema: Schema, body: &Value) -> Result<(), String> {
    let (mut compiler, mut schemas) = (boon::Compiler::new(), boon::Schemas::new());
    compiler.add_resource("schema:tested", serde_json::from_str(schema.json).unwrap()).unwrap();
    let schema = compiler.compile("schema:tested", &mut schemas).unwrap();
    schemas.validate(body, schema).map_err(|error| error.to_string())
}

#[test]
fn every_example_comes_back_as_it_was() {
    let index = json_of(&examples().join("index.json"));
    let mut checked = 0;
    for (file, schema) in index["valid"].as_object().unwrap() {
        let value = json_of(&examples().join(file));
        let name = schema.as_str().unwrap().trim_end_matches(".schema.json");
        // The deprecated call's messages have no id, so they are never a webhook.
        if name == "legacy-inbound-open" && value.get("id").is_none() {
            continue;
        }
        if let Some(back) = by_schema(name, &value) {
            assert_eq!(back.unwrap(), value, "{file}");
            checked += 1;
        }
    }
    assert_eq!(checked, 42);
}

#[test]
fn known_fields_of_the_examples_have_names() {
    let message =
        |file: &str| WebhookMessage::read(&fs::read(examples().join(file)).unwrap()).unwrap();
    let text = message("webhook-01-text-human.json");
    assert_eq!(text.other.keys().collect::<Vec<_>>(), ["relatedMessages"]);
    assert_eq!(text.to().unwrap().id, "cust-48213@chat.example.net");
    assert_eq!(text.timestamp().unwrap().to_string(), "2026-11-20T09:14:03.482Z");
    let image = message("webhook-04-attachment-image.json");
    let attachment = image.contents()[0].attachment.as_ref().unwrap();
    assert_eq!(
        (&attachment.media_type, attachment.content_size_bytes),
        (&Some(MediaType::Image), Some(48_211))
    );
    assert_eq!(
        message("webhook-07-quick-replies.json").contents()[1].body().unwrap()["payload"],
        "existing-no"
    );
    assert!(message("webhook-06-typing.json").is_typing());
    assert_eq!(message("webhook-14-receipt-published.json").status, Some(ReceiptStatus::Published));

    let failed: MessageData =
        serde_json::from_value(json_of(&examples().join("details-01-failed.json"))).unwrap();
    let receipt = &failed.normalized_receipts.unwrap()[0];
    assert_eq!(receipt.reasons.as_ref().unwrap()[0].code, Some(ReasonCode::GeneralError));
}

#[test]
fn what_genesys_refuses_is_refused() {
    let index = json_of(&examples().join("index.json"));
    for (file, schema) in index["invalid"].as_object().unwrap() {
        let value = json_of(&examples().join("invalid").join(file));
        let name = schema.as_str().unwrap().trim_end_matches(".schema.json");
        let read = by_schema(name, &value).unwrap();
        match file.as_str() {
            // Two rules are not in the types: the sender must check `can_be_posted` and
            // `SECRET_MIN_CHARS`.
            "receipt-status-read.json" => {
                assert!(!ReceiptStatus::Read.can_be_posted() && read.is_ok());
            }
            "integration-short-secret.json" => {
                assert!(IntegrationRequest::SECRET_MIN_CHARS > 15 && read.is_ok());
            }
            _ => assert!(read.is_err(), "{file}"),
        }
        let schema = schema::ALL.iter().find(|schema| schema.name == name).unwrap();
        assert!(violation(*schema, &value).is_err(), "{file}");
    }
}

#[test]
fn every_schema_is_there_and_judges_the_examples() {
    let files = fs::read_dir(examples().join("../schemas")).unwrap().count();
    assert_eq!(files, schema::ALL.len());
    let index = json_of(&examples().join("index.json"));
    for (file, name) in index["valid"].as_object().unwrap() {
        let name = name.as_str().unwrap().trim_end_matches(".schema.json");
        let schema = schema::ALL.iter().find(|schema| schema.name == name).unwrap();
        check(*schema, &json_of(&examples().join(file)));
    }
}

#[test]
fn what_we_write_satisfies_the_schemas() {
    let time = "2026-11-20T09:14:04.9Z".parse().unwrap();
    let customer = || Party::new("cust-48213@chat.example.net", IdType::Opaque);

    check(
        schema::INBOUND_RECEIPT,
        &InboundReceipt::new("m", customer(), time, ReceiptStatus::Delivered, true),
    );
    for code in ReasonCode::KNOWN {
        let reason = Reason::new(code.clone(), "The chat session was not ready in time.");
        check(schema::INBOUND_RECEIPT, &InboundReceipt::failed("m", customer(), time, reason));
    }
    assert_eq!(ReasonCode::KNOWN.len(), 13);

    let attachment = Attachment {
        media_type: Some(MediaType::Image),
        url: Some("https://files.example.net/a.png".to_owned()),
        mime: Some("image/png".to_owned()),
        ..Attachment::default()
    };
    let mut message = InboundMessage {
        channel: InboundChannel::new(customer(), time),
        text: Some("Where is my parcel?".to_owned()),
        content: Some(vec![Content::attachment(attachment)]),
        ..InboundMessage::default()
    };
    message.channel.message_id = Some("client-msg-0001".to_owned());
    message.channel.metadata = Some(
        serde_json::from_value(json!({"customAttributes": {"orderNumber": "A-10077"}})).unwrap(),
    );
    check(schema::INBOUND_MESSAGE, &message);
    assert_eq!(message.channel.time, "2026-11-20T09:14:04.900Z");

    check(schema::INBOUND_EVENT, &InboundEvent::typing(customer(), time));
    check(
        schema::STRUCTURED_RESPONSE,
        &StructuredResponse {
            channel: InboundChannel::new(customer(), time),
            button_response: ButtonResponse {
                r#type: ButtonResponseType::QuickReply,
                text: "Yes".to_owned(),
                payload: "existing-yes".to_owned(),
                ..ButtonResponse::default()
            },
            originating_message_id: "m".to_owned(),
            ..StructuredResponse::default()
        },
    );
    check(schema::PARTICIPANT_PATCH, &ParticipantPatch::disconnect());
    check(
        schema::INTEGRATION_REQUEST,
        &IntegrationRequest {
            name: "Harbour Chat".to_owned(),
            outbound_notification_webhook_url: "https://bridge.example.net/genesys".to_owned(),
            outbound_notification_webhook_signature_secret_token: "local-test-secret-0123456789"
                .into(),
            webhook_headers: Some([("X-Bridge-Tenant".to_owned(), "harbour".into())].into()),
            ..IntegrationRequest::default()
        },
    );
    let update =
        IntegrationUpdate { name: "Harbour Chat".to_owned(), ..IntegrationUpdate::default() };
    check(schema::INTEGRATION_UPDATE, &update);
}

#[test]
fn secrets_do_not_show_in_an_integration() {
    let created = json_of(&examples().join("integration-02-created.json"));
    let integration: Integration = serde_json::from_value(created).unwrap();
    let shown = format!("{integration:?}");
    assert!(integration.is_active() && shown.contains("X-Bridge-Tenant"));
    assert!(!shown.contains("local-test-secret") && !shown.contains("\"harbour\""), "{shown}");
}

/// Any JSON, a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        prop_oneof!["Text", "Open", "Typing", "Delivered", "2026-11-20T09:14:03.482Z"]
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(any_key(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A key that Genesys uses, or any other.
fn any_key() -> impl Strategy<Value = String> {
    let known = "id|type|text|content|channel|to|from|time|idType|nickname|nickName|metadata|reasons|events|status";
    prop_oneof![4 => known.prop_map(|key| key), 1 => ".{0,4}"]
}

proptest! {
    #[test]
    fn any_object_with_an_id_comes_back_as_it_was(
        mut object in prop::collection::btree_map(any_key(), any_json(), 0..8),
        id in ".{0,40}",
    ) {
        object.insert("id".to_owned(), Value::from(id.clone()));
        let value = Value::Object(object.into_iter().collect());
        let body = value.to_string();
        let message = WebhookMessage::read(body.as_bytes()).unwrap();
        prop_assert_eq!(&message.id, &id);
        prop_assert_eq!(serde_json::to_value(&message).unwrap(), value);

        let envelope = genesys::Envelope::read(body.as_bytes()).unwrap();
        prop_assert_eq!(envelope.id, Some(id));
        if let Some(to) = message.to() {
            prop_assert_eq!(envelope.to_id.as_ref(), Some(&to.id));
            if let Some(id_type) = &to.id_type {
                prop_assert_eq!(envelope.to_id_type.as_deref(), Some(id_type.as_str()));
            }
        }
    }

    #[test]
    fn no_bytes_disturb_the_readers(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = WebhookMessage::read(&body);
        let _ = genesys::Envelope::read(&body);
    }

    #[test]
    fn a_broken_copy_of_a_message_disturbs_nobody(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = fs::read(examples().join("webhook-05-attachment-with-text.json")).unwrap();
        let at = at.index(body.len());
        body[at] = byte;
        if let Ok(message) = WebhookMessage::read(&body) {
            prop_assert_eq!(genesys::Envelope::read(&body).unwrap().id, Some(message.id));
        }
    }
}
