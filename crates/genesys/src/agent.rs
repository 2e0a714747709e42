//! The request bodies of the agent's side, which an agent's desktop or a campaign sends.
//!
//! A middleware needs only [`ParticipantPatch`]. The others are for emulators.

use serde_json::Value;

use crate::conversation::ParticipantState;
use crate::message::Typing;
use crate::record::record;

record! {
    /// An agent's message (`AdditionalMessage`): the body of
    /// `POST …/{conversationId}/communications/{communicationId}/messages`. One call carries either
    /// text, media, or a template.
    ///
    /// ```
    /// use genesys::agent::AgentMessage;
    ///
    /// let posted: AgentMessage = serde_json::from_str(r#"{"textBody": "Good morning!"}"#)?;
    /// assert_eq!(posted.text_body.as_deref(), Some("Good morning!"));
    ///
    /// // The body is read strictly: a field of another type is refused, as Genesys does.
    /// assert!(serde_json::from_str::<AgentMessage>(r#"{"textBody": 5}"#).is_err());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    strict AgentMessage {
        may {
            /// What the agent wrote.
            text_body: String = "textBody",
            /// The ids of media that the agent uploaded before.
            media_ids: Vec<String> = "mediaIds",
            /// The template: a canned response, and the values of its placeholders.
            messaging_template: Value = "messagingTemplate",
        }
    }
}

record! {
    /// Reports that an agent types (`MessageTypingEventRequest`).
    ///
    /// ```
    /// use genesys::agent::AgentTyping;
    ///
    /// let posted = r#"{"typing": {"type": "On", "duration": 5000}}"#;
    /// let posted: AgentTyping = serde_json::from_str(posted)?;
    /// assert_eq!(posted.typing.duration, Some(5_000));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    strict AgentTyping {
        needs {
            /// Whether the agent types, and for how long to show it.
            typing: Typing = "typing",
        }
        may {}
    }
}

record! {
    /// A message that no agent writes, such as a notice of a delivery
    /// (`SendAgentlessOutboundMessageRequest`): the body of
    /// `POST /api/v2/conversations/messages/agentless`. On Open Messaging it is text only.
    ///
    /// ```
    /// use genesys::agent::AgentlessRequest;
    ///
    /// let request = AgentlessRequest {
    ///     from_address: "6f1c9a54-2d0b-4b8e-9a77-0c5d3e1f2a10".to_owned(),
    ///     to_address_messenger_type: "open".to_owned(),
    ///     to_address: Some("cust-48213@chat.example.net".to_owned()),
    ///     text_body: Some("Your parcel has arrived.".to_owned()),
    ///     ..AgentlessRequest::default()
    /// };
    /// assert_eq!(serde_json::to_value(&request)?["toAddressMessengerType"], "open");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    strict AgentlessRequest {
        needs {
            /// The id of the integration that sends it.
            from_address: String = "fromAddress",
            /// The kind of channel; `open` for Open Messaging.
            to_address_messenger_type: String = "toAddressMessengerType",
        }
        may {
            /// The id of the customer who gets it.
            to_address: String = "toAddress",
            /// The text of the message.
            text_body: String = "textBody",
            /// The template: a canned response, and the values of its placeholders.
            messaging_template: Value = "messagingTemplate",
            /// Whether to add the message to a conversation that is already open.
            use_existing_active_conversation: bool = "useExistingActiveConversation",
        }
    }
}

record! {
    /// A change of a participant (`MediaParticipantRequest`): the body of
    /// `PATCH …/{conversationId}/participants/{participantId}`.
    ///
    /// ```
    /// use genesys::agent::ParticipantPatch;
    ///
    /// let body = serde_json::to_string(&ParticipantPatch::disconnect())?;
    /// assert_eq!(body, r#"{"state":"disconnected"}"#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    strict ParticipantPatch {
        may {
            /// The state that the participant should have.
            state: ParticipantState = "state",
        }
    }
}

impl ParticipantPatch {
    /// Disconnects the participant. For the customer's participant, this tells Genesys that the
    /// customer left.
    pub fn disconnect() -> Self {
        Self { state: Some(ParticipantState::Disconnected), ..Self::default() }
    }
}
