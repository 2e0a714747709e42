//! What a connector says about itself, in the answer to a signed `GET {url}`.

use conversation::{Reason, ReasonCode};
use serde_json::{Value, json};

use crate::http::HttpKind;
use crate::{Capabilities, ContentKinds, Fallback, Kind, MediaRange};

/// What the connector claims.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    pub(super) capabilities: Capabilities,
    /// What could not be understood, one clause for each key.
    pub(super) problems: Vec<String>,
}

impl Claims {
    /// Reads the answer. What is absent or cannot be understood is as in the configuration.
    pub(super) fn read(answer: Option<&Value>) -> Self {
        let defaults = HttpKind.description().capabilities;
        let mut claims = Self { capabilities: defaults, problems: Vec::new() };
        let said = answer.map_or(&Value::Null, |answer| &answer["capabilities"]);
        match said {
            Value::Null => {}
            Value::Object(said) => {
                for (key, value) in said {
                    claims.key(key, value);
                }
            }
            _ => claims.problems.push("`capabilities` is not an object".to_owned()),
        }
        claims
    }

    fn key(&mut self, key: &str, value: &Value) {
        let known = &mut self.capabilities;
        let wanted = match (key, value) {
            // Absent, or a word of a later version.
            (_, Value::Null) => return,
            ("reports_delivery", Value::Bool(said)) => return known.reports_delivery = *said,
            ("idempotent", Value::Bool(said)) => return known.idempotent = *said,
            ("typing", Value::Bool(said)) => return known.typing = *said,
            ("reports_delivery" | "idempotent" | "typing", _) => "true or false",
            ("max_text", said) => match said.as_u64().and_then(|max| usize::try_from(max).ok()) {
                Some(max) if max > 0 => return known.max_text = Some(max),
                _ => "a whole number above 0, or null",
            },
            ("media", said) => match texts(said).and_then(|said| ranges(&said)) {
                Some(ranges) => return known.media = ranges,
                None => "a list of media types such as \"image/*\"",
            },
            ("content", said) => match texts(said) {
                Some(kinds) if kinds.contains(&"*") => return known.content = ContentKinds::Any,
                Some(kinds) => {
                    let kinds = kinds.into_iter().map(str::to_owned).collect();
                    return known.content = ContentKinds::Only(kinds);
                }
                None => "a list of content types such as \"QuickReply\"",
            },
            _ => return,
        };
        self.problems.push(format!("`capabilities.{key}` is not {wanted}"));
    }

    /// The claims in the words of the configuration.
    pub(super) fn json(&self) -> Value {
        json!(self.capabilities)
    }

    /// Why this content must be refused; `None` if it is claimed.
    pub(super) fn must_refuse(&self, element: &Value) -> Option<ReasonCode> {
        let carried = self.capabilities.render(None, std::slice::from_ref(element), Fallback::Fail);
        carried.err().map(|Reason { code, .. }| code)
    }
}

fn texts(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

fn ranges(texts: &[&str]) -> Option<Vec<MediaRange>> {
    texts.iter().map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_as_in_the_configuration() {
        let url = "http://127.0.0.1:1".parse().unwrap();
        let secret: crate::http::Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let configured = crate::http::HttpConfig::new(url, secret.into()).capabilities();
        for answer in [None, Some(json!([])), Some(json!({})), Some(json!({"capabilities": {}}))] {
            let claims = Claims::read(answer.as_ref());
            assert_eq!((&claims.capabilities, claims.problems.len()), (&configured, 0));
        }
    }

    #[test]
    fn what_is_said_counts_and_what_is_wrong_is_named() {
        let said = json!({ "reports_delivery": true, "idempotent": null, "typing": "yes",
            "max_text": 20, "media": ["image/*", "text"], "content": ["QuickReply"], "new": 1 });
        let claims = Claims::read(Some(&json!({ "capabilities": said })));
        assert!(claims.capabilities.reports_delivery && claims.capabilities.idempotent);
        assert_eq!(claims.capabilities.max_text, Some(20));
        assert_eq!(
            claims.problems,
            [
                "`capabilities.media` is not a list of media types such as \"image/*\"",
                "`capabilities.typing` is not true or false"
            ]
        );
        assert_eq!(claims.must_refuse(&json!({ "contentType": "QuickReply" })), None);
        assert!(claims.must_refuse(&json!({ "contentType": "Card" })).is_some());
    }
}
