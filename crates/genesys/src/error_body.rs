//! The body of Genesys's errors. The `errorInfo` of a failed message has the same form.

use std::fmt;

use serde_json::{Map, Value};

use crate::record::record;

record! {
    /// The body of every answer that is not a success (`ErrorBody`).
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
            /// A sentence for people. It may quote what was posted.
            message: String = "message",
            /// The kind of error: `bad.request`, `not.found`, `too.many.requests`, ...
            code: String = "code",
            /// The HTTP status.
            status: u16 = "status",
            /// The id of the object that the error is about.
            entity_id: String = "entityId",
            /// The name of the object that the error is about.
            entity_name: String = "entityName",
            /// `message` with placeholders in place of values.
            message_with_params: String = "messageWithParams",
            /// The values of the placeholders.
            message_params: Map<String, Value> = "messageParams",
            /// The id of this error, for Genesys's support.
            context_id: String = "contextId",
            /// Which fields are wrong; often empty.
            details: Vec<ErrorDetail> = "details",
            /// Further errors of the same call.
            errors: Vec<ErrorBody> = "errors",
            /// The limit that was reached, if that is the error.
            limit: Limit = "limit",
        }
    }
}

impl ErrorBody {
    /// The number of calls a minute that one token may make, if that limit was reached.
    pub fn calls_a_minute(&self) -> Option<u32> {
        let limit = self.limit.as_ref()?;
        let of_the_token = limit.key.as_deref()?.ends_with("token.rate.per.minute");
        limit.value.filter(|_| of_the_token).and_then(|value| u32::try_from(value).ok())
    }
}

record! {
    /// A wrong field of a request.
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
            /// A code that says what is wrong.
            error_code: String = "errorCode",
            /// The name of the field.
            field_name: String = "fieldName",
            /// The id of the object that has the field.
            entity_id: String = "entityId",
            /// The name of the object that has the field.
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
            /// The name of the limit, such as `client.credentials.token.rate.per.minute`.
            key: String = "key",
            /// The area that it belongs to, such as `platform.api`.
            namespace: String = "namespace",
            /// The value of the limit.
            value: u64 = "value",
        }
    }
}

/// Writes the code and the context id, for logs. Leaves `message` out, because it may quote what
/// was posted.
impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.as_deref().map(|code| format!("code {}", printable(code)));
        let context = self.context_id.as_deref().map(|id| format!("contextId {}", printable(id)));
        let said: Vec<_> = [code, context].into_iter().flatten().collect();
        f.write_str(if said.is_empty() { "no further word" } else { "" })?;
        f.write_str(&said.join(", "))
    }
}

/// The visible ASCII characters of the text, at most 80, so that it cannot disturb a log.
fn printable(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(80).collect()
}
