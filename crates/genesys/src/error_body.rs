//! Genesys's explanation when it refuses a call, also used in the `errorInfo` of a failed message.

use std::fmt;

use serde_json::{Map, Value};

use crate::record::record;

record! {
    /// The body of an unsuccessful answer (`ErrorBody`).
    ///
    /// ```
    /// use genesys::ErrorBody;
    ///
    /// let body: ErrorBody = serde_json::from_str(
    ///     r#"{"status": 404, "code": "not.found", "message": "No m-1", "contextId": "c-1"}"#,
    /// )?;
    /// assert_eq!(body.status, Some(404));
    /// // For logs: the message is left out, because it may quote what was posted.
    /// assert_eq!(body.to_string(), "code not.found, contextId c-1");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
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
            /// The sentence with placeholders.
            message_with_params: String = "messageWithParams",
            /// The values of the placeholders.
            message_params: Map<String, Value> = "messageParams",
            /// An id that Genesys's support asks for.
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

impl ErrorBody {
    /// How many calls a minute a token has, if that is the limit that was reached.
    pub fn calls_a_minute(&self) -> Option<u32> {
        let limit = self.limit.as_ref()?;
        let of_the_token = limit.key.as_deref()?.ends_with("token.rate.per.minute");
        limit.value.filter(|_| of_the_token).and_then(|value| u32::try_from(value).ok())
    }
}

record! {
    /// A wrong field.
    ///
    /// ```
    /// use genesys::error_body::ErrorDetail;
    ///
    /// let detail: ErrorDetail =
    ///     serde_json::from_str(r#"{"errorCode": "missing", "fieldName": "channel.time"}"#)?;
    /// assert_eq!(detail.field_name.as_deref(), Some("channel.time"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant ErrorDetail {
        may {
            /// What is wrong.
            error_code: String = "errorCode",
            /// The name of the field.
            field_name: String = "fieldName",
            /// The object that it belongs to.
            entity_id: String = "entityId",
            /// The object that it belongs to.
            entity_name: String = "entityName",
        }
    }
}

record! {
    /// A limit of the platform.
    ///
    /// ```
    /// use genesys::ErrorBody;
    ///
    /// let body: ErrorBody = serde_json::from_str(
    ///     r#"{"limit": {"key": "client.credentials.token.rate.per.minute", "value": 300}}"#,
    /// )?;
    /// assert_eq!(body.calls_a_minute(), Some(300));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant Limit {
        may {
            /// Such as `client.credentials.token.rate.per.minute`.
            key: String = "key",
            /// Such as `platform.api`.
            namespace: String = "namespace",
            /// The value of the limit.
            value: u64 = "value",
        }
    }
}

/// Code and context id, for people. The sentence is left out, because it may quote what was posted.
impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.as_deref().map(|code| format!("code {}", printable(code)));
        let context = self.context_id.as_deref().map(|id| format!("contextId {}", printable(id)));
        let said: Vec<_> = [code, context].into_iter().flatten().collect();
        f.write_str(if said.is_empty() { "no further word" } else { "" })?;
        f.write_str(&said.join(", "))
    }
}

/// The text without characters that could disturb a log, cut to a limited length.
fn printable(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(80).collect()
}
