//! What Genesys says when it refuses a call, and in the `errorInfo` of a message that failed.

use std::fmt;

use serde_json::{Map, Value};

use crate::record::record;

record! {
    /// The body of an answer that is no success (`ErrorBody`).
    tolerant ErrorBody {
        may {
            /// A sentence.
            message: String = "message",
            /// `bad.request`, `not.found`, `too.many.requests`, ...
            code: String = "code",
            /// The HTTP status.
            status: u16 = "status",
            /// What the error is about.
            entity_id: String = "entityId",
            /// What the error is about.
            entity_name: String = "entityName",
            /// The sentence with gaps.
            message_with_params: String = "messageWithParams",
            /// What belongs into the gaps.
            message_params: Map<String, Value> = "messageParams",
            /// Genesys's support asks for it.
            context_id: String = "contextId",
            /// Which fields are wrong; often empty.
            details: Vec<ErrorDetail> = "details",
            /// Further errors.
            errors: Vec<ErrorBody> = "errors",
            /// The limit that was reached.
            limit: Limit = "limit",
        }
    }
}

record! {
    /// A field that is wrong.
    tolerant ErrorDetail {
        may {
            /// What is wrong.
            error_code: String = "errorCode",
            /// With which field.
            field_name: String = "fieldName",
            /// Of what.
            entity_id: String = "entityId",
            /// Of what.
            entity_name: String = "entityName",
        }
    }
}

record! {
    /// A limit of the platform.
    tolerant Limit {
        may {
            /// Such as `client.credentials.token.rate.per.minute`.
            key: String = "key",
            /// Such as `platform.api`.
            namespace: String = "namespace",
            /// How many.
            value: u64 = "value",
        }
    }
}

/// Code and context id, for people. The sentence is left out: it may quote what was posted.
impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.as_deref().map(|code| format!("code {}", printable(code)));
        let context = self.context_id.as_deref().map(|id| format!("contextId {}", printable(id)));
        let said: Vec<_> = [code, context].into_iter().flatten().collect();
        f.write_str(if said.is_empty() { "no further word" } else { "" })?;
        f.write_str(&said.join(", "))
    }
}

/// The text without anything that could disturb a log, and not too much of it.
fn printable(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(80).collect()
}
