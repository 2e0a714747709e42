//! Genesys's view of a conversation and of a message in it, read by polls, by operators, and by
//! tests.
//!
//! Only the fields that a middleware needs are named here; the others are kept as they came.

use serde_json::{Map, Value};

use crate::error_body::ErrorBody;
use crate::receipt::ReceiptStatus;
use crate::record::{record, words};
use crate::webhook::WebhookMessage;

words! {
    /// The role of a participant.
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
        /// A user who is no agent.
        User = "user",
        /// The queue.
        Acd = "acd",
        /// An Architect flow.
        Workflow = "workflow",
        /// An external person.
        External = "external",
    }
}

words! {
    /// The state of a participant.
    ///
    /// ```
    /// use genesys::conversation::ParticipantState;
    ///
    /// let state: ParticipantState = serde_json::from_str(r#""disconnected""#)?;
    /// assert_eq!(state, ParticipantState::Disconnected);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ParticipantState {
        /// Is being offered the conversation.
        Alerting = "alerting",
        /// Is being called.
        Dialing = "dialing",
        /// Is being called.
        Contacting = "contacting",
        /// Is being offered the conversation.
        Offering = "offering",
        /// Takes part.
        Connected = "connected",
        /// Has left.
        Disconnected = "disconnected",
        /// Was removed.
        Terminated = "terminated",
        /// Set aside by its agent.
        Parked = "parked",
        /// None.
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
        /// Waits.
        Queued = "queued",
        /// Left Genesys.
        Sent = "sent",
        /// Did not leave.
        Failed = "failed",
        /// Came from the customer.
        Received = "received",
        /// A `Delivered` receipt came.
        DeliverySuccess = "delivery-success",
        /// A `Failed` receipt came, or the webhook refused it.
        DeliveryFailed = "delivery-failed",
        /// Was read.
        Read = "read",
        /// Was taken back.
        Removed = "removed",
        /// Was published.
        Published = "published",
    }
}

record! {
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
            /// All past and present participants. A hand-over adds participants and changes none.
            participants: Vec<Participant> = "participants",
            /// The URL to read it.
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
            /// Id of the participant.
            id: String = "id",
            /// Name to show.
            name: String = "name",
            /// Its role.
            purpose: Purpose = "purpose",
            /// Its state.
            state: ParticipantState = "state",
            /// `inbound` or `outbound`.
            direction: String = "direction",
            /// Why it left: `client`, `peer`, `transfer`, `inactivity`, `error`, ...
            disconnect_type: String = "disconnectType",
            /// When it came in, ISO 8601.
            start_time: String = "startTime",
            /// When it was connected, ISO 8601.
            connected_time: String = "connectedTime",
            /// When it left, ISO 8601.
            end_time: String = "endTime",
            /// The agent.
            user: EntityRef = "user",
            /// The queue.
            queue: EntityRef = "queue",
            /// Participant data.
            attributes: Map<String, Value> = "attributes",
            /// Set if the conversation ended by an error.
            error_info: ErrorBody = "errorInfo",
            /// Its messages.
            messages: Vec<MessageDetails> = "messages",
            /// `open`.
            r#type: String = "type",
            /// The sender's address.
            from_address: Address = "fromAddress",
            /// The recipient's address.
            to_address: Address = "toAddress",
            /// The session at the other end.
            peer: String = "peer",
            /// `PureCloud Messaging`.
            provider: String = "provider",
        }
    }
}

record! {
    /// An address of a participant.
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
            /// Name to show.
            name: String = "name",
            /// The address in its normal form: an integration's or a customer's id.
            address_normalized: String = "addressNormalized",
            /// The address as it was given.
            address_raw: String = "addressRaw",
        }
    }
}

record! {
    /// A link to something else in Genesys.
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
            /// Its id.
            id: String = "id",
            /// Its name.
            name: String = "name",
            /// The URL to read it.
            self_uri: String = "selfUri",
        }
    }
}

record! {
    /// A message as its conversation shows it.
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
            /// The URL to read it.
            message_uri: String = "messageURI",
            /// Its status.
            message_status: MessageStatus = "messageStatus",
            /// Number of parts.
            message_segment_count: u64 = "messageSegmentCount",
            /// When it was written, ISO 8601.
            message_time: String = "messageTime",
            /// Media in it.
            media: Vec<Value> = "media",
            /// Stickers in it.
            stickers: Vec<Value> = "stickers",
            /// Type, events and content.
            message_metadata: Value = "messageMetadata",
            /// Why it failed. Its message is `<reason code> - <reason message>` in a sentence.
            error_info: ErrorBody = "errorInfo",
        }
    }
}

record! {
    /// `GET /api/v2/conversations/messages/{messageId}/details` (`MessageData`).
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
            /// The provider's id of it.
            provider_message_id: String = "providerMessageId",
            /// When it was written, ISO 8601.
            timestamp: String = "timestamp",
            /// The sender's address.
            from_address: String = "fromAddress",
            /// The recipient's address.
            to_address: String = "toAddress",
            /// `inbound` or `outbound`.
            direction: String = "direction",
            /// `open`.
            messenger_type: String = "messengerType",
            /// Its status.
            status: MessageStatus = "status",
            /// The message itself.
            normalized_message: WebhookMessage = "normalizedMessage",
            /// Every receipt about it, in the form of a message.
            normalized_receipts: Vec<WebhookMessage> = "normalizedReceipts",
            /// Who wrote it.
            created_by: EntityRef = "createdBy",
            /// The conversation it belongs to.
            conversation_id: String = "conversationId",
            /// The URL to read it.
            self_uri: String = "selfUri",
        }
    }
}

impl MessageData {
    /// Whether the message `id` has a final receipt. `None` if the answer does not say: it is about
    /// another message, or its receipts cannot be read. A Delivered or a Failed is always final.
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
        // One receipt of an unexpected form removes the others from the typed list.
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
