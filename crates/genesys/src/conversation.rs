//! A conversation in Genesys, its participants, and the status of its messages, as Genesys's API
//! answers.
//!
//! The types name only the fields that a middleware needs. All others are kept in `other`.

use serde_json::{Map, Value};

use crate::error_body::ErrorBody;
use crate::receipt::ReceiptStatus;
use crate::record::{record, words};
use crate::webhook::WebhookMessage;

words! {
    /// The role of a participant in a conversation.
    ///
    /// ```
    /// use genesys::conversation::Purpose;
    ///
    /// assert_eq!(Purpose::from("acd"), Purpose::Acd);
    /// assert_eq!(Purpose::from("voicemail").as_str(), "voicemail", "an unknown word is kept");
    /// ```
    Purpose {
        /// The customer.
        Customer = "customer",
        /// An agent.
        Agent = "agent",
        /// A user of the org who is not an agent.
        User = "user",
        /// The queue.
        Acd = "acd",
        /// An Architect flow.
        Workflow = "workflow",
        /// A person outside of the org.
        External = "external",
    }
}

words! {
    /// The state of a participant in a conversation.
    ///
    /// ```
    /// use genesys::conversation::ParticipantState;
    ///
    /// let state: ParticipantState = serde_json::from_str(r#""disconnected""#)?;
    /// assert_eq!(state, ParticipantState::Disconnected);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ParticipantState {
        /// Genesys alerts the participant to the conversation, who has not accepted it yet.
        Alerting = "alerting",
        /// Genesys dials the participant.
        Dialing = "dialing",
        /// Genesys contacts the participant.
        Contacting = "contacting",
        /// Genesys offers the conversation to the participant.
        Offering = "offering",
        /// The participant takes part.
        Connected = "connected",
        /// The participant has left.
        Disconnected = "disconnected",
        /// The participant's part was ended.
        Terminated = "terminated",
        /// The agent has set the conversation aside.
        Parked = "parked",
        /// The participant has no state.
        None = "none",
    }
}

words! {
    /// The status of a message, as a conversation shows it.
    ///
    /// ```
    /// use genesys::conversation::MessageStatus;
    ///
    /// assert_eq!(MessageStatus::from("delivery-failed"), MessageStatus::DeliveryFailed);
    /// assert_eq!(MessageStatus::DeliverySuccess.to_string(), "delivery-success");
    /// ```
    MessageStatus {
        /// It waits in Genesys.
        Queued = "queued",
        /// It has left Genesys.
        Sent = "sent",
        /// It could not leave Genesys.
        Failed = "failed",
        /// It came from the customer.
        Received = "received",
        /// A receipt reported that the customer got it.
        DeliverySuccess = "delivery-success",
        /// A receipt reported that it failed, or the webhook refused it.
        DeliveryFailed = "delivery-failed",
        /// The customer has read it.
        Read = "read",
        /// It was withdrawn.
        Removed = "removed",
        /// It was published.
        Published = "published",
    }
}

record! {
    /// A conversation (`MessageConversation`): the answer of
    /// `GET /api/v2/conversations/messages/{conversationId}`.
    ///
    /// ```
    /// use genesys::conversation::{MessageConversation, Purpose};
    ///
    /// let conversation: MessageConversation = serde_json::from_str(
    ///     r#"{"participants": [{"purpose": "customer"}, {"purpose": "agent", "id": "a"}]}"#,
    /// )?;
    /// let agents: Vec<_> = conversation.participants_as(&Purpose::Agent).collect();
    /// assert_eq!(agents.len(), 1);
    /// assert_eq!(agents[0].id.as_deref(), Some("a"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant MessageConversation {
        may {
            /// Genesys's conversation id.
            id: String = "id",
            /// All past and present participants. A transfer adds participants and changes no
            /// existing one.
            participants: Vec<Participant> = "participants",
            /// The path to read the conversation.
            self_uri: String = "selfUri",
        }
    }
}

impl MessageConversation {
    /// All past and present participants in the role of `purpose`.
    pub fn participants_as(&self, purpose: &Purpose) -> impl Iterator<Item = &Participant> {
        let all = self.participants.as_deref().unwrap_or_default();
        all.iter().filter(move |participant| participant.purpose.as_ref() == Some(purpose))
    }
}

record! {
    /// A past or present participant (`MessageMediaParticipant`).
    ///
    /// ```
    /// use genesys::conversation::{Participant, ParticipantState};
    ///
    /// let customer: Participant = serde_json::from_str(
    ///     r#"{"purpose": "customer", "state": "disconnected", "disconnectType": "peer"}"#,
    /// )?;
    /// assert_eq!(customer.state, Some(ParticipantState::Disconnected));
    /// assert_eq!(customer.disconnect_type.as_deref(), Some("peer"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant Participant {
        may {
            /// The participant's id.
            id: String = "id",
            /// The name that agents see.
            name: String = "name",
            /// The participant's role.
            purpose: Purpose = "purpose",
            /// The participant's state.
            state: ParticipantState = "state",
            /// The direction of the first contact: `inbound` or `outbound`.
            direction: String = "direction",
            /// Why the participant left: `client`, `peer`, `transfer`, `inactivity`, `error`, ...
            disconnect_type: String = "disconnectType",
            /// When the participant was added, ISO 8601.
            start_time: String = "startTime",
            /// When the participant was connected, ISO 8601.
            connected_time: String = "connectedTime",
            /// When the participant left, ISO 8601.
            end_time: String = "endTime",
            /// The user, if the participant is an agent.
            user: EntityRef = "user",
            /// The queue, if the participant is one.
            queue: EntityRef = "queue",
            /// The participant data, which Architect flows and agents' scripts read.
            attributes: Map<String, Value> = "attributes",
            /// The error, if one ended the conversation.
            error_info: ErrorBody = "errorInfo",
            /// The participant's messages.
            messages: Vec<MessageDetails> = "messages",
            /// The kind of channel; `open` for Open Messaging.
            r#type: String = "type",
            /// The sender's address.
            from_address: Address = "fromAddress",
            /// The recipient's address.
            to_address: Address = "toAddress",
            /// The id of the session at the other end.
            peer: String = "peer",
            /// The service that carries the conversation: `PureCloud Messaging`.
            provider: String = "provider",
        }
    }
}

record! {
    /// The address of a sender or a recipient.
    ///
    /// ```
    /// use genesys::conversation::Address;
    ///
    /// let address: Address = serde_json::from_str(
    ///     r#"{"name": "Noor Haddad", "addressNormalized": "cust-48213@chat.example.net"}"#,
    /// )?;
    /// assert_eq!(address.address_normalized.as_deref(), Some("cust-48213@chat.example.net"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant Address {
        may {
            /// The name that agents see.
            name: String = "name",
            /// The address in its normal form: an integration's or a customer's id.
            address_normalized: String = "addressNormalized",
            /// The address as it was given.
            address_raw: String = "addressRaw",
        }
    }
}

record! {
    /// A reference to another object in Genesys, such as a user or a queue.
    ///
    /// ```
    /// use genesys::conversation::EntityRef;
    ///
    /// let queue: EntityRef = serde_json::from_str(r#"{"id": "q", "selfUri": "/queues/q"}"#)?;
    /// assert_eq!(queue.id.as_deref(), Some("q"));
    /// assert_eq!(queue.name, None);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant EntityRef {
        may {
            /// The object's id.
            id: String = "id",
            /// The object's name.
            name: String = "name",
            /// The path to read the object.
            self_uri: String = "selfUri",
        }
    }
}

record! {
    /// A message, as its conversation lists it (`MessageDetails`).
    ///
    /// ```
    /// use genesys::conversation::{MessageDetails, MessageStatus};
    ///
    /// let message: MessageDetails =
    ///     serde_json::from_str(r#"{"messageId": "m", "messageStatus": "delivery-failed"}"#)?;
    /// assert_eq!(message.message_status, Some(MessageStatus::DeliveryFailed));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant MessageDetails {
        may {
            /// The message's id.
            message_id: String = "messageId",
            /// The path to read the message.
            message_uri: String = "messageURI",
            /// The message's status.
            message_status: MessageStatus = "messageStatus",
            /// The number of parts that it was sent in.
            message_segment_count: u64 = "messageSegmentCount",
            /// When it was written, ISO 8601.
            message_time: String = "messageTime",
            /// The media in the message.
            media: Vec<Value> = "media",
            /// The stickers in the message.
            stickers: Vec<Value> = "stickers",
            /// The message's type, and the kinds of its events and content.
            message_metadata: Value = "messageMetadata",
            /// Why the message failed. Its `message` quotes the receipt's reason as
            /// `<code> - <message>`.
            error_info: ErrorBody = "errorInfo",
        }
    }
}

record! {
    /// A message with its receipts (`MessageData`): the answer of
    /// `GET /api/v2/conversations/messages/{messageId}/details`.
    ///
    /// ```
    /// use genesys::conversation::MessageData;
    ///
    /// let data: MessageData = serde_json::from_str(
    ///     r#"{"id": "m", "normalizedReceipts": [{"id": "m", "status": "Delivered"}]}"#,
    /// )?;
    /// assert_eq!(data.has_final_receipt("m"), Some(true));
    /// assert_eq!(data.has_final_receipt("another"), None);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant MessageData {
        may {
            /// The message's id.
            id: String = "id",
            /// The id that the provider gave the message.
            provider_message_id: String = "providerMessageId",
            /// When it was written, ISO 8601.
            timestamp: String = "timestamp",
            /// The sender's address.
            from_address: String = "fromAddress",
            /// The recipient's address.
            to_address: String = "toAddress",
            /// The direction: `inbound` or `outbound`.
            direction: String = "direction",
            /// The kind of channel; `open` for Open Messaging.
            messenger_type: String = "messengerType",
            /// The message's status.
            status: MessageStatus = "status",
            /// The message itself, in the form in which the webhook gets it.
            normalized_message: WebhookMessage = "normalizedMessage",
            /// Every receipt about the message, each in the form of a message.
            normalized_receipts: Vec<WebhookMessage> = "normalizedReceipts",
            /// The user who wrote the message.
            created_by: EntityRef = "createdBy",
            /// The id of the conversation that it belongs to.
            conversation_id: String = "conversationId",
            /// The path to read the message.
            self_uri: String = "selfUri",
        }
    }
}

impl MessageData {
    /// Whether the message `id` has a final receipt. A receipt is final if it says so, or if its
    /// status is `Delivered` or `Failed`. Returns `None` if the answer is about another message, or
    /// its receipts cannot be read.
    pub fn has_final_receipt(&self, id: &str) -> Option<bool> {
        if self.id.as_deref() != Some(id) && self.provider_message_id.as_deref() != Some(id) {
            return None;
        }
        let last = |status: Option<&ReceiptStatus>| {
            matches!(status, Some(ReceiptStatus::Delivered | ReceiptStatus::Failed))
        };
        if let Some(receipts) = &self.normalized_receipts {
            return Some(
                receipts
                    .iter()
                    .any(|one| one.is_final_receipt == Some(true) || last(one.status.as_ref())),
            );
        }
        // One receipt of an unexpected form makes the whole list untyped.
        let receipts = match self.other.get("normalizedReceipts") {
            None | Some(Value::Null) => return Some(false),
            Some(receipts) => receipts.as_array()?,
        };
        let word = |one: &Value| one.get("status").and_then(Value::as_str).map(ReceiptStatus::from);
        if receipts.iter().any(|one| one["isFinalReceipt"] == true || last(word(one).as_ref())) {
            return Some(true);
        }
        receipts.iter().all(Value::is_object).then_some(false)
    }
}
