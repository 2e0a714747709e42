//! What a message becomes on a chat service: whole, as text where the service cannot show it, or
//! refused with a reason.
//!
//! The gateway asks before it forwards a message, so that an agent learns at once what cannot be
//! delivered. `tidegate connector render` prints the same. Pure: no call is made, nothing is kept.

mod date;
mod text;

use conversation::{Offer, Reason, ReasonCode};
use serde_json::Value;

use self::text::TextForm;
use crate::Capabilities;

/// What to do with content that a chat service cannot show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fallback {
    /// It becomes text: options with running numbers, links with their URLs.
    #[default]
    Text,
    /// The message fails.
    Fail,
}

/// A message in the form in which a chat service gets it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// The text, with what was content before.
    pub text: Option<String>,
    /// The content elements that the service shows itself, unchanged.
    pub content: Vec<Value>,
    /// What the customer may choose from, if the message offers anything.
    pub offer: Offer,
}

impl Capabilities {
    /// Returns what the chat service gets for a message with this text and these content elements
    /// of Genesys.
    ///
    /// ```
    /// use connector::{Capabilities, Fallback};
    /// use serde_json::json;
    ///
    /// let service = Capabilities::text_only();
    /// let reply = |text: &str| json!({"contentType": "QuickReply", "quickReply": {"text": text}});
    /// let message =
    ///     service.render(Some("An order?"), &[reply("Yes"), reply("No")], Fallback::Text)?;
    /// assert_eq!(message.text.as_deref(), Some("An order?\n1. Yes\n2. No"));
    /// assert_eq!(message.offer.chosen("2").map(|no| &*no.label), Some("No"));
    /// # Ok::<(), conversation::Reason>(())
    /// ```
    ///
    /// # Errors
    /// A [`Reason`] with one of these codes, for the first part that cannot be delivered:
    ///
    /// * `InvalidMessageStructure` if there is neither a text nor content, or an element has
    ///   neither a `contentType` nor an attachment.
    /// * `UnsupportedMessage` if the text is longer than [`Self::max_text`], or an element's type
    ///   is not in [`Self::content`] and it has no form as text.
    /// * `MediaTypeNotAllowed` if an attachment's type is not in [`Self::media`].
    pub fn render(
        &self,
        text: Option<&str>,
        content: &[Value],
        fallback: Fallback,
    ) -> Result<Rendered, Reason> {
        let text = text.filter(|text| !text.is_empty());
        if text.is_none() && content.is_empty() {
            let message = "the message has neither a text nor content";
            return Err(Reason::new(ReasonCode::InvalidMessageStructure, message));
        }
        let mut form = TextForm::new(text, self);
        let mut shown = Vec::new();
        let mut unknown = None;
        for element in content {
            match self.can_carry_element(element) {
                Ok(()) => {
                    form.offer(element);
                    shown.push(element.clone());
                }
                Err(reason) if fallback == Fallback::Fail || is_attachment(element) => {
                    return Err(reason);
                }
                Err(reason) => {
                    if !form.add(element) {
                        unknown = unknown.or(Some(reason));
                    }
                }
            }
        }
        let (text, pictures, offer) = form.finish();
        shown.extend(pictures);
        if text.is_none() && shown.is_empty() {
            let nothing = "nothing in the message can be shown";
            return Err(
                unknown.unwrap_or_else(|| Reason::new(ReasonCode::UnsupportedMessage, nothing))
            );
        }
        self.can_carry_text(text.as_deref())?;
        Ok(Rendered { text, content: shown, offer })
    }
}

/// Genesys's link to a file may need a login and stops working. As text it would look like a file
/// that was delivered, so a file that a service cannot take fails.
fn is_attachment(element: &Value) -> bool {
    matches!(element.get("contentType").and_then(Value::as_str), Some("Attachment") | None)
}
