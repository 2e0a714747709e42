//! Content elements as text. The words are those of the message: nothing here is in a language.

use std::collections::HashMap;
use std::fmt::Write as _;

use conversation::{Choice, Offer, OptionKind};
use serde_json::{Value, json};

use super::date;
use crate::Capabilities;

/// A message's text, while content elements become part of it.
pub(super) struct TextForm<'a> {
    service: &'a Capabilities,
    text: String,
    /// Pictures that the service takes as media.
    pictures: Vec<Value>,
    offer: Offer,
}

/// How an option that can be answered is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbered {
    /// A line with its number.
    Yes,
    /// Not at all: the service shows a button.
    No,
}

impl<'a> TextForm<'a> {
    pub(super) fn new(text: Option<&str>, service: &'a Capabilities) -> Self {
        Self {
            service,
            text: text.unwrap_or_default().to_owned(),
            pictures: Vec::new(),
            offer: Offer::default(),
        }
    }

    /// Notes what an element offers that the service shows itself.
    pub(super) fn offer(&mut self, element: &Value) {
        self.options(element, Numbered::No);
    }

    /// Adds an element as text. Returns `false` if it has no form as text.
    pub(super) fn add(&mut self, element: &Value) -> bool {
        let Some(kind) = element.get("contentType").and_then(Value::as_str) else { return false };
        let body = body(element, kind);
        match kind {
            "QuickReply" | "QuickReplyV2" => {
                self.paragraph_of(&[body.get("title")]);
                self.options(element, Numbered::Yes);
            }
            "Card" => self.card(body),
            "Carousel" => list(body, "cards").for_each(|card| self.card(card)),
            "DatePicker" => self.date_picker(element, body),
            "ListPicker" => self.list_picker(body),
            "Notification" => self.notification(element, body),
            "Text" => self.paragraph_of(&[body.get("body")]),
            "Location" => self.location(body),
            _ => return false,
        }
        true
    }

    /// The whole text, the pictures, and what was offered.
    pub(super) fn finish(self) -> (Option<String>, Vec<Value>, Offer) {
        let text = Some(self.text).filter(|text| !text.is_empty());
        (text, self.pictures, self.offer)
    }

    fn card(&mut self, card: &Value) {
        self.blank_line();
        self.line_of(card.get("title"));
        self.line_of(card.get("description"));
        self.picture(card.get("image"));
        self.line_of(card.get("video"));
        for action in card.get("defaultAction").into_iter().chain(list(card, "actions")) {
            self.action(action, Numbered::Yes);
        }
    }

    fn date_picker(&mut self, element: &Value, picker: &Value) {
        self.blank_line();
        self.line_of(picker.get("title"));
        self.line_of(picker.get("subtitle"));
        self.picture(picker.get("imageUrl"));
        self.location(picker.get("location").unwrap_or(&Value::Null));
        let order = picker.get("dateDisplayFormat").and_then(Value::as_str);
        let limit = |key: &str| date::day(text(picker.get(key))?, order);
        if list(picker, "availableTimes").next().is_none()
            && let (Some(from), Some(to)) = (limit("dateMinimum"), limit("dateMaximum"))
        {
            self.line(&format!("{from} – {to}"));
        }
        self.options(element, Numbered::Yes);
    }

    /// Genesys takes no answer to a list but text, so its items have no numbers.
    fn list_picker(&mut self, picker: &Value) {
        for section in list(picker, "sections") {
            self.blank_line();
            self.line_of(section.get("title"));
            for item in list(section, "items") {
                let parts = [text(item.get("title")), text(item.get("subtitle"))];
                let parts: Vec<_> = parts.into_iter().flatten().collect();
                if !parts.is_empty() {
                    self.line(&format!("• {}", parts.join(": ")));
                }
            }
        }
    }

    fn notification(&mut self, element: &Value, template: &Value) {
        let part = |name: &str| template.get(name).unwrap_or(&Value::Null);
        let body = filled(part("body"));
        // Genesys often puts the filled body into the message's text as well.
        let is_said = body.as_deref().is_some_and(|body| body == self.text);
        if is_said {
            self.text.clear();
        }
        self.blank_line();
        if let Some(header) = filled(part("header")) {
            self.line(&header);
        }
        self.picture(part("header").get("media").and_then(|media| media.get("url")));
        if let Some(body) = body {
            self.line(&body);
        }
        self.line_of(part("footer").get("text"));
        self.options(element, Numbered::Yes);
    }

    fn location(&mut self, place: &Value) {
        self.line_of(place.get("text"));
        self.line_of(place.get("address"));
        self.line_of(place.get("url"));
        let at = |key: &str| place.get(key).and_then(Value::as_f64);
        if let (None, Some(latitude), Some(longitude)) =
            (text(place.get("url")), at("latitude"), at("longitude"))
        {
            self.line(&format!("{latitude}, {longitude}"));
        }
    }

    /// The options of an element, in its order.
    fn options(&mut self, element: &Value, numbered: Numbered) {
        let Some(kind) = element.get("contentType").and_then(Value::as_str) else { return };
        let body = body(element, kind);
        match kind {
            "QuickReply" => self.option(OptionKind::QuickReply, body, numbered),
            "QuickReplyV2" => {
                for reply in list(body, "actions") {
                    self.option(OptionKind::QuickReply, reply, numbered);
                }
            }
            "Card" => self.actions_of(body),
            "Carousel" => list(body, "cards").for_each(|card| self.actions_of(card)),
            "DatePicker" => self.times(body, numbered),
            "Notification" => {
                for button in list(body, "buttons") {
                    match text(button.get("type")) {
                        Some("Url") => self.link(button, button.get("url"), numbered),
                        Some("PhoneNumber") => {
                            self.link(button, button.get("phoneNumber"), numbered);
                        }
                        _ => self.option(OptionKind::QuickReply, button, numbered),
                    }
                }
            }
            _ => {}
        }
    }

    /// The actions of a card that the service shows itself.
    fn actions_of(&mut self, card: &Value) {
        for action in card.get("defaultAction").into_iter().chain(list(card, "actions")) {
            self.action(action, Numbered::No);
        }
    }

    fn action(&mut self, action: &Value, numbered: Numbered) {
        match (text(action.get("type")), text(action.get("url"))) {
            (Some("Postback"), _) | (_, None) => self.option(OptionKind::Button, action, numbered),
            (_, Some(_)) => self.link(action, action.get("url"), numbered),
        }
    }

    fn times(&mut self, picker: &Value, numbered: Numbered) {
        let order = picker.get("dateDisplayFormat").and_then(Value::as_str);
        for slot in list(picker, "availableTimes") {
            let Some(time) = text(slot.get("dateTime")) else { continue };
            let duration = slot.get("duration").and_then(Value::as_u64);
            let label = date::slot(time, duration, order);
            self.choice(OptionKind::DatePicker, &label, time, numbered);
        }
    }

    /// A button. Its text and its payload are the same unless both are given.
    fn option(&mut self, kind: OptionKind, button: &Value, numbered: Numbered) {
        let (label, payload) = (text(button.get("text")), text(button.get("payload")));
        if let Some(label) = label.or(payload) {
            self.choice(kind, label, payload.unwrap_or(label), numbered);
        }
    }

    fn choice(&mut self, kind: OptionKind, label: &str, payload: &str, numbered: Numbered) {
        let numbered = numbered == Numbered::Yes;
        let (label, payload) = (Box::from(label), Box::from(payload));
        self.offer.options.push(Choice { kind, label, payload, numbered });
        if let (true, Some(Choice { label, .. })) = (numbered, self.offer.options.last()) {
            let number = self.offer.options.len();
            self.line(&format!("{number}. {label}"));
        }
    }

    fn link(&mut self, button: &Value, target: Option<&Value>, numbered: Numbered) {
        if numbered == Numbered::No {
            return;
        }
        match (text(button.get("text")), text(target)) {
            (Some(label), Some(target)) => self.line(&format!("{label}: {target}")),
            (one, other) => {
                if let Some(known) = one.or(other) {
                    self.line(known);
                }
            }
        }
    }

    /// A picture as media if the service takes it, else its link.
    fn picture(&mut self, url: Option<&Value>) {
        let Some(url) = text(url) else { return };
        let end = url.split(['?', '#']).next().unwrap_or_default();
        let mime = mime_guess(end).filter(|mime| self.service.takes_media(mime));
        match mime {
            Some(mime) => self.pictures.push(json!({
                "contentType": "Attachment",
                "attachment": {"mediaType": "Image", "mime": mime, "url": url},
            })),
            None => self.line(url),
        }
    }

    fn paragraph_of(&mut self, lines: &[Option<&Value>]) {
        for line in lines {
            self.line_of(*line);
        }
    }

    fn line_of(&mut self, value: Option<&Value>) {
        if let Some(value) = text(value) {
            self.line(value);
        }
    }

    fn line(&mut self, line: &str) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{line}");
    }

    /// Parts an element from what is before it.
    fn blank_line(&mut self) {
        if !self.text.is_empty() {
            self.text.push_str("\n\n");
        }
    }
}

/// The type of a picture, by the extension of its path.
fn mime_guess(path: &str) -> Option<&'static str> {
    let (_, extension) = path.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

/// The property of an element that belongs to its type.
fn body<'a>(element: &'a Value, kind: &str) -> &'a Value {
    let property = match kind {
        "Notification" => "template",
        kind => {
            let mut letters = kind.chars();
            let first = letters.next().map(|first| first.to_ascii_lowercase());
            let property: String = first.into_iter().chain(letters).collect();
            return element.get(property).unwrap_or(&Value::Null);
        }
    };
    element.get(property).unwrap_or(&Value::Null)
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
}

/// The longest text that parameters may make of a template, in bytes. A template that would become
/// longer stays as it is.
const MAX_FILLED: usize = 64 * 1024;

/// The text of a part of a template, with its parameters in place of `{{name}}` and `{{1}}`. A
/// value is never looked into: it may be a customer's own words.
fn filled(part: &Value) -> Option<String> {
    let template = text(part.get("text"))?;
    let mut values = HashMap::new();
    for (parameter, place) in list(part, "parameters").zip(1_usize..) {
        let Some(value) = text(parameter.get("text")) else { continue };
        values.insert(place.to_string(), value);
        if let Some(name) = text(parameter.get("name")) {
            values.insert(name.to_owned(), value);
        }
    }
    let (mut filled, mut rest) = (String::new(), template);
    while let Some((before, placeholder)) = rest.split_once("{{") {
        let found = placeholder
            .split_once("}}")
            .and_then(|(name, after)| Some((*values.get(name.trim())?, after)));
        let (value, after) = found.unwrap_or(("{{", placeholder));
        if filled.len() + before.len() + value.len() > MAX_FILLED {
            return Some(template.to_owned());
        }
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}
