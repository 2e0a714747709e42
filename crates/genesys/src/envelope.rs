//! Reads the few fields that a receipt needs from a body that cannot be read as a message.
//!
//! A middleware uses it if [`WebhookMessage::read`](crate::WebhookMessage::read) fails, so that it
//! can still report to Genesys that the message failed. It reads two levels of objects, and skips
//! the rest without recursion.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The fields of a message that a receipt needs. A field is `None` if it is absent or has a form
/// that is not expected.
///
/// ```
/// use genesys::{Envelope, WebhookMessage};
///
/// // No message, because its id is an array, but a receipt's recipient can be read.
/// let body = br#"{"id": ["m"], "channel": {"to": {"id": "cust-48213", "idType": "Opaque"}}}"#;
/// assert!(WebhookMessage::read(body).is_err());
/// let envelope = Envelope::read(body)?;
/// assert_eq!(envelope.id, None);
/// assert_eq!(envelope.to_id.as_deref(), Some("cust-48213"));
/// # Ok::<(), genesys::NotJson>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The message's id.
    pub id: Option<String>,
    /// The message's type.
    pub r#type: Option<String>,
    /// The customer's id: `channel.to.id`.
    pub to_id: Option<String>,
    /// The type of the customer's id: `channel.to.idType`.
    pub to_id_type: Option<String>,
}

/// The error for a body that is not JSON.
///
/// ```
/// use genesys::{Envelope, NotJson};
///
/// assert_eq!(Envelope::read(b"<html>"), Err(NotJson));
/// assert_eq!(Envelope::read(b"[]"), Ok(Envelope::default()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is no JSON")]
pub struct NotJson;

impl Envelope {
    /// Reads a body, however deep it is nested and whatever types its fields have. If a key is
    /// repeated, the last one counts. JSON that is not an object gives an empty envelope.
    ///
    /// # Errors
    /// [`NotJson`] if the body is not exactly one JSON value, even after its characters are
    /// repaired, or a field that is read holds a number out of the range of `f64`.
    pub fn read(body: &[u8]) -> Result<Self, NotJson> {
        let text = lenient::json::mend(body);
        let mut envelope = Self::default();
        let mut json = serde_json::Deserializer::from_str(&text);
        let read = Level::Message(&mut envelope).deserialize(&mut json).and_then(|()| json.end());
        read.map(|()| envelope).map_err(|_| NotJson)
    }
}

/// The object that is being read, and the place for its fields.
enum Level<'a> {
    Message(&'a mut Envelope),
    Channel(&'a mut Envelope),
    To(&'a mut Envelope),
    Text(&'a mut Option<String>),
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match self {
            Self::Message(envelope) => {
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "id" => map.next_value_seed(text(&mut envelope.id))?,
                        "type" => map.next_value_seed(text(&mut envelope.r#type))?,
                        "channel" => {
                            (envelope.to_id, envelope.to_id_type) = (None, None);
                            map.next_value_seed(Level::Channel(envelope))?;
                        }
                        _ => skip(&mut map)?,
                    }
                }
            }
            Self::Channel(envelope) => {
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "to" => {
                            (envelope.to_id, envelope.to_id_type) = (None, None);
                            map.next_value_seed(Level::To(envelope))?;
                        }
                        _ => skip(&mut map)?,
                    }
                }
            }
            Self::To(envelope) => {
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "id" => map.next_value_seed(text(&mut envelope.to_id))?,
                        "idType" => map.next_value_seed(text(&mut envelope.to_id_type))?,
                        _ => skip(&mut map)?,
                    }
                }
            }
            Self::Text(_) => while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {},
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if let Self::Text(place) = self {
            *place = Some(text.to_owned());
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.number(&number.into());
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.number(&number.into());
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.number(&number.into());
        Ok(())
    }
}

impl Level<'_> {
    /// A number counts as an id.
    fn number(self, number: &serde_json::Value) {
        if let Self::Text(place) = self {
            *place = lenient::id::text(number);
        }
    }
}

/// Reads a text into `place`, after clearing the value of an earlier key with the same name.
fn text(place: &mut Option<String>) -> Level<'_> {
    *place = None;
    Level::Text(place)
}

/// Skips a value of any depth; `serde_json` does so without recursion.
fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &str) -> Envelope {
        Envelope::read(body.as_bytes()).unwrap()
    }

    fn full() -> Envelope {
        Envelope {
            id: Some("m".to_owned()),
            r#type: Some("Text".to_owned()),
            to_id: Some("c".to_owned()),
            to_id_type: Some("Opaque".to_owned()),
        }
    }

    const REST: &str =
        r#""channel":{"x":[1],"to":{"id":"c","idType":"Opaque"}},"type":"Text","id":"m"}"#;

    #[test]
    fn the_rest_may_be_nested_ten_thousand_deep() {
        let deep = format!("{}1{}", r#"[{"a":"#.repeat(10_000), "}]".repeat(10_000));
        let body = format!(r#"{{"content":{deep},{REST}"#);
        assert!(crate::WebhookMessage::read(body.as_bytes()).is_err());
        assert_eq!(found(&body), full());
        assert_eq!(found(&format!(r#"{{"id":{deep},"text":{deep}}}"#)), Envelope::default());
        assert_eq!(found(&deep), Envelope::default());
    }

    #[test]
    fn the_last_of_repeated_keys_counts() {
        assert_eq!(
            found(&format!(r#"{{"id":"old","type":5,"channel":{{"to":{{"id":"old"}}}},{REST}"#)),
            full()
        );
        assert_eq!(found(r#"{"id":"old","id":null}"#).id, None);
        assert_eq!(found(r#"{"channel":{"to":{"id":"old"}},"channel":{}}"#).to_id, None);
    }

    #[test]
    fn wrong_types_hide_only_themselves() {
        for odd in
            ["null", "true", "5", "-5", "5.5", "1e999", "\"text\"", "[]", "{}", r#"{"to":[]}"#]
        {
            let body = format!(r#"{{"type":{odd},"channel":{odd},"id":"m"}}"#);
            // 1e999 is beyond every number that serde_json reads, but it is skipped if its field is
            // not needed.
            if let Ok(envelope) = Envelope::read(body.as_bytes()) {
                assert_eq!((envelope.id.as_deref(), envelope.to_id), (Some("m"), None), "{odd}");
            } else {
                assert_eq!(odd, "1e999");
            }
            let body = format!(r#"{{"text":{odd},"id":"m"}}"#);
            assert_eq!(found(&body).id.as_deref(), Some("m"), "{odd}");
        }
    }

    #[test]
    fn broken_characters_elsewhere_do_no_harm() {
        let body =
            [br#"{"text":"caf"#.as_slice(), b"\xe9", br#"","t\ud83d":"\ude9a","#, REST.as_bytes()]
                .concat();
        assert_eq!(Envelope::read(&body), Ok(full()));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for body in ["", "{", "m", r#"{"id":"m"} {"id":"n"}"#, "<xml/>", r#"{"id":"m""#] {
            assert_eq!(Envelope::read(body.as_bytes()), Err(NotJson), "{body}");
        }
    }
}
