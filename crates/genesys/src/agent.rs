//! The agent's side: what a desktop or a campaign sends. A middleware uses it to change
//! participants; an emulator uses the rest.

use serde_json::Value;

use crate::conversation::ParticipantState;
use crate::message::Typing;
use crate::record::record;

record! {
    /// An agent writes (`AdditionalMessage`). One call carries either text, a medium, or a
    /// template.
    strict AgentMessage {
        may {
            /// What the agent wrote.
            text_body: String = "textBody",
            /// Media that were uploaded before.
            media_ids: Vec<String> = "mediaIds",
            /// A canned response.
            messaging_template: Value = "messagingTemplate",
        }
    }
}

record! {
    /// An agent types.
    strict AgentTyping {
        needs {
            /// That the agent types, and for how long to show it.
            typing: Typing = "typing",
        }
        may {}
    }
}

record! {
    /// A message without an agent (`SendAgentlessOutboundMessageRequest`). On Open Messaging it is
    /// text only.
    strict AgentlessRequest {
        needs {
            /// The integration's id.
            from_address: String = "fromAddress",
            /// `open`.
            to_address_messenger_type: String = "toAddressMessengerType",
        }
        may {
            /// The customer's id.
            to_address: String = "toAddress",
            /// What to say.
            text_body: String = "textBody",
            /// A canned response.
            messaging_template: Value = "messagingTemplate",
            /// Whether to write into a conversation that is already open.
            use_existing_active_conversation: bool = "useExistingActiveConversation",
        }
    }
}

record! {
    /// A change of a participant.
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
