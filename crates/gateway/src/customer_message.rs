//! Translates what a customer wrote into the messages that Genesys accepts. Pure.
//!
//! The events endpoint calls this before anything is stored, and egress calls it before it posts.
//! Both call the same function, so Genesys accepts whatever was answered with 202. Missing required
//! fields are filled in if their values can be determined. Optional fields that Genesys would
//! refuse are dropped. Everything else is refused with a sentence for the author of the connector,
//! which never quotes a customer.

use genesys::inbound::{ButtonResponse, ButtonResponseType};
use genesys::message::Content;
use serde_json::{Map, Value};

use crate::attachment;
use crate::fields::{filled, first};

/// The longest text of one message, in characters: the documented limit for an agent
/// (accept-and-respond page). Genesys's limit for a customer is not documented. A longer text
/// becomes several messages.
pub(crate) const MAX_TEXT: usize = 4_000;
/// A text is cut after a blank, if there is one within this many characters.
const CUT_WITHIN: usize = 200;
/// The most messages that one event becomes.
const MAX_PARTS: usize = 20;

/// One call to Genesys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// Text, attachments, or both.
    Words { text: Option<String>, content: Vec<Content> },
    /// A tap on a button of the webhook message that `origin` names.
    Tap { response: ButtonResponse, origin: String },
}

/// An event's parts in the order in which they were written, and what was left out of them.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) parts: Vec<Part>,
    pub(crate) notes: Vec<String>,
}

/// Splits what a customer wrote into parts. The error says what is wrong with it.
pub(crate) fn plan(text: Option<&str>, content: &[Value]) -> Result<Plan, String> {
    let mut draft = Draft::default();
    if let Some(text) = text {
        draft.text(text);
    }
    for (index, element) in content.iter().enumerate() {
        let at = format!("content[{index}]");
        let Value::Object(element) = element else {
            return Err(format!("`{at}` is not an object"));
        };
        draft.element(&at, element)?;
    }
    draft.close();
    match draft.plan.parts.len() {
        0 => Err("it has neither a `text` nor `content`".to_owned()),
        1..=MAX_PARTS => Ok(draft.plan),
        parts => Err(format!(
            "it would become {parts} messages at Genesys, and at most {MAX_PARTS} are allowed"
        )),
    }
}

/// The part that a stored event has. The events endpoint stores each part separately. Only an
/// earlier build stored several parts as one, and posted the tap.
pub(crate) fn stored_part(text: Option<&str>, content: &[Value]) -> Result<Part, String> {
    let mut parts = plan(text, content)?.parts;
    let tap = parts.iter().position(|part| matches!(part, Part::Tap { .. })).unwrap_or(0);
    // A plan has at least one part.
    Ok(parts.swap_remove(tap))
}

/// A plan under construction.
#[derive(Default)]
struct Draft {
    plan: Plan,
    text: Option<String>,
    content: Vec<Content>,
}

impl Draft {
    fn close(&mut self) {
        let (text, content) = (self.text.take(), std::mem::take(&mut self.content));
        if text.is_some() || !content.is_empty() {
            self.plan.parts.push(Part::Words { text, content });
        }
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        for piece in pieces(text) {
            if self.text.is_some() || !self.content.is_empty() {
                self.close();
            }
            self.text = Some(piece.to_owned());
        }
    }

    fn element(&mut self, at: &str, element: &Map<String, Value>) -> Result<(), String> {
        let kind = first(element, &["contentType", "content_type"]);
        let kind = match kind {
            Some(kind) => {
                kind.as_str().ok_or_else(|| format!("`{at}.contentType` is not a string"))?
            }
            None if element.contains_key("attachment") => "Attachment",
            None if first(element, RESPONSE).is_some() => "ButtonResponse",
            None => return Err(format!("`{at}` has neither a `contentType` nor an `attachment`")),
        };
        match kind.trim().to_ascii_lowercase().as_str() {
            "attachment" => {
                let given = element.get("attachment").and_then(Value::as_object);
                let given = given.ok_or_else(|| format!("`{at}.attachment` is not an object"))?;
                let attachment =
                    attachment::complete(&format!("{at}.attachment"), given, &mut self.plan.notes)?;
                self.content.push(Content::attachment(attachment));
            }
            "buttonresponse" => {
                let tap = tap(at, element)?;
                self.close();
                self.plan.parts.push(tap);
            }
            "text" => {
                let text = element.get("text");
                let text =
                    text.and_then(|text| text.as_str().or_else(|| text.get("body")?.as_str()));
                self.text(text.ok_or_else(|| format!("`{at}.text.body` is not a string"))?);
            }
            _ => {
                return Err(format!(
                    "`{at}.contentType` is not a type that Genesys accepts from a customer: \
                     Attachment, ButtonResponse, Text"
                ));
            }
        }
        Ok(())
    }
}

const RESPONSE: &[&str] = &["buttonResponse", "button_response"];
const ORIGIN: &[&str] = &["originatingMessageId", "originating_message_id"];

fn tap(at: &str, element: &Map<String, Value>) -> Result<Part, String> {
    let given = first(element, RESPONSE).and_then(Value::as_object);
    let given = given.ok_or_else(|| format!("`{at}.buttonResponse` is not an object"))?;
    let word = given.get("type").and_then(Value::as_str).unwrap_or_default().trim();
    let kind =
        ButtonResponseType::KNOWN.iter().find(|kind| kind.as_str().eq_ignore_ascii_case(word));
    let kind = kind
        .ok_or_else(|| {
            format!("`{at}.buttonResponse.type` is not Button, QuickReply or DatePicker")
        })?
        .clone();
    // A button's text and its payload are the same unless both are given.
    let (text, payload) = (filled(given, &["text"]), filled(given, &["payload"]));
    let (Some(text), Some(payload)) = (text.clone().or_else(|| payload.clone()), payload.or(text))
    else {
        return Err(format!("`{at}.buttonResponse` has neither a `text` nor a `payload`"));
    };
    let origin = filled(element, ORIGIN).or_else(|| filled(given, ORIGIN));
    let origin = origin.ok_or_else(|| {
        format!(
            "`{at}.originatingMessageId` is missing: the id of the message whose button was tapped"
        )
    })?;
    let response = ButtonResponse {
        r#type: kind,
        text,
        payload,
        id: filled(given, &["id"]),
        ..ButtonResponse::default()
    };
    Ok(Part::Tap { response, origin })
}

/// Splits a text into pieces that Genesys accepts. Joined, they are the text, except for blanks at
/// its end.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((end, _)) = rest.char_indices().nth(MAX_TEXT) {
        let near =
            rest[..end].char_indices().rev().take(CUT_WITHIN).find(|(_, c)| c.is_whitespace());
        let cut = near.map_or(end, |(at, c)| at + c.len_utf8());
        pieces.push(&rest[..cut]);
        rest = &rest[cut..];
    }
    if pieces.is_empty() || !rest.trim().is_empty() {
        pieces.push(rest);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn picture() -> Value {
        json!({"contentType": "Attachment",
            "attachment": {"mediaType": "Image", "mime": "image/png", "url": "https://files.example/a.png"}})
    }

    fn button() -> Value {
        json!({"contentType": "ButtonResponse", "originatingMessageId": "9f0c",
            "buttonResponse": {"type": "QuickReply", "text": "Yes", "payload": "yes"}})
    }

    /// The parts in short: a text by itself, an attachment as `+`, a tap as `!text`.
    fn parts(text: Option<&str>, content: &[Value]) -> Vec<String> {
        let short = |part| match part {
            Part::Words { text, content } => text.unwrap_or_default() + &"+".repeat(content.len()),
            Part::Tap { response, .. } => format!("!{}", response.text),
        };
        plan(text, content).unwrap().parts.into_iter().map(short).collect()
    }

    fn why(element: Value) -> String {
        plan(Some("words"), &[element]).unwrap_err()
    }

    #[test]
    fn each_part_is_kept_in_its_place() {
        assert_eq!(parts(Some("hello"), &[]), ["hello"]);
        assert_eq!(parts(Some("look"), &[picture(), picture()]), ["look++"]);
        assert_eq!(parts(None, &[picture()]), ["+"]);
        assert_eq!(parts(Some("77"), &[button(), picture()]), ["77", "!Yes", "+"]);
        assert_eq!(parts(Some("77"), &[picture(), button()]), ["77+", "!Yes"]);
        assert_eq!(parts(None, &[button(), button()]), ["!Yes", "!Yes"]);
        let more = json!({"contentType": "Text", "text": {"type": "Text", "body": "more"}});
        assert_eq!(parts(Some("77"), &[more]), ["77", "more"]);
    }

    #[test]
    fn a_kind_that_genesys_does_not_take_is_refused_whole() {
        for kind in [
            "Location",
            "QuickReply",
            "Card",
            "Carousel",
            "Story",
            "Mention",
            "Reactions",
            "",
            "Hologram",
        ] {
            assert!(
                why(json!({"contentType": kind, "text": "words"})).contains("contentType"),
                "{kind}"
            );
        }
        for odd in [
            json!(7),
            json!("Attachment"),
            json!({}),
            json!({"type": "image"}),
            json!({"contentType": 7}),
        ] {
            assert!(why(odd.clone()).contains("content[0]"), "{odd}");
        }
        assert!(plan(None, &[]).is_err());
        assert!(plan(Some("x"), &vec![button(); MAX_PARTS]).is_err(), "too many messages");
    }

    #[test]
    fn a_tap_is_completed_or_refused() {
        let tapped =
            |response: Value| json!({"contentType": "buttonresponse", "buttonResponse": response});
        for (response, text, payload) in [
            (
                json!({"type": "quickreply", "text": "Yes", "payload": "y", "originatingMessageId": 7}),
                "Yes",
                "y",
            ),
            (json!({"type": "BUTTON", "text": "Yes", "originatingMessageId": "m"}), "Yes", "Yes"),
            (json!({"type": "DatePicker", "payload": 5, "originatingMessageId": "m"}), "5", "5"),
        ] {
            let plan = plan(None, &[tapped(response.clone())]).unwrap();
            let [Part::Tap { response: found, .. }] = &plan.parts[..] else { panic!("{plan:?}") };
            assert_eq!(
                (found.text.as_str(), found.payload.as_str()),
                (text, payload),
                "{response}"
            );
            assert!(ButtonResponseType::KNOWN.contains(&found.r#type), "{response}");
        }
        for (response, field) in [
            (json!({"text": "Yes", "payload": "y", "originatingMessageId": "m"}), "type"),
            (json!({"type": "Swipe", "text": "Yes", "originatingMessageId": "m"}), "type"),
            (json!({"type": "Button", "originatingMessageId": "m"}), "payload"),
            (
                json!({"type": "Button", "text": " ", "payload": {}, "originatingMessageId": "m"}),
                "payload",
            ),
            (json!({"type": "Button", "text": "Yes"}), "originatingMessageId"),
            (json!("Yes"), "buttonResponse"),
        ] {
            assert!(why(tapped(response.clone())).contains(field), "{response}");
        }
    }

    #[test]
    fn a_long_text_is_cut_where_it_hurts_least_and_loses_nothing() {
        let words = "word ".repeat(2_000);
        let solid = "ž".repeat(8_001);
        for text in [&words, &solid] {
            let pieces = pieces(text);
            assert!(pieces.iter().all(|piece| (1..=MAX_TEXT).contains(&piece.chars().count())));
            assert_eq!(pieces.len(), 3);
            assert_eq!(&pieces.concat(), text);
        }
        assert!(pieces(&words).iter().all(|piece| piece.ends_with(' ')), "between words");
        assert_eq!(pieces(&format!("{} ", "x".repeat(MAX_TEXT))).len(), 1, "a blank is no message");
        assert_eq!(pieces(&"x".repeat(MAX_TEXT)).len(), 1);
        assert!(
            plan(Some(&"x".repeat(MAX_TEXT * MAX_PARTS + 1)), &[])
                .unwrap_err()
                .contains("21 messages")
        );
    }
}
