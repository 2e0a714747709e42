//! Answers as text for people, in the width of a terminal.

use std::fmt::{self, Write};

use jiff::Timestamp;

use super::view::{
    AcceptedAction, ConversationView, ConversationsPage, Course, LineView, MessageView,
    MessagesPage, Status,
};

/// A page of text.
pub(super) struct Page {
    text: String,
    width: usize,
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Page {
    pub(super) fn new(width: usize) -> Self {
        Self { text: String::new(), width }
    }

    pub(super) fn message(&mut self, message: &MessageView) {
        let whose = if message.direction == "inbound" { "customer" } else { "agent" };
        self.heading(&format!("Message {} of the {whose}", message.message));
        self.row("", &message.summary);
        self.line("");
        self.row("integration   ", &message.integration);
        self.row("conversation  ", &message.conversation);
        self.course(&message.course);
    }

    pub(super) fn conversation(&mut self, conversation: &ConversationView) {
        self.heading(&format!("Conversation {}", conversation.conversation));
        self.row("", &conversation.summary);
        self.line("");
        self.row("integration   ", &conversation.integration);
        if let Some(customer) = &conversation.customer {
            self.row("customer      ", customer);
        }
        for genesys in &conversation.genesys {
            let since = format!("{}, since {}", genesys.id, moment(genesys.since));
            self.row("at Genesys    ", &since);
        }
        self.lines(&conversation.messages, conversation.messages_left_out);
        self.course(&conversation.course);
    }

    pub(super) fn status(&mut self, status: &Status) {
        let ready = if status.ready {
            "ready: what it accepts is durable"
        } else {
            "not ready: the store does not make writes durable"
        };
        self.line(&format!("tidegate {}  {ready}", status.version));
        for integration in &status.integrations {
            let dead = match integration.dead_letters {
                0 => "no dead letters".to_owned(),
                1 => "1 dead letter".to_owned(),
                many => format!("{many} dead letters"),
            };
            self.row(&format!("  {:<20}  ", clean(&integration.name)), &dead);
        }
    }

    /// A list of conversations, one line for each.
    pub(super) fn conversations(&mut self, list: &ConversationsPage) {
        for one in &list.conversations {
            let states = [(one.open, "open"), (one.held, "held"), (one.failing, "failing")];
            let states: Vec<_> =
                states.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
            let label = format!("{}  {}  ", minute(one.created), clean(&one.conversation));
            let states = if states.is_empty() { "idle".to_owned() } else { states.join(", ") };
            self.row(&label, &format!("{}: {states}", one.integration));
        }
        self.list_ends(list.conversations.is_empty(), list.next.as_deref());
    }

    /// A list of messages, each with its id and its reason.
    pub(super) fn messages(&mut self, list: &MessagesPage) {
        for one in &list.messages {
            self.row(&format!("{}  ", minute(one.received)), &one.integration);
            self.row("    ", &one.message);
            self.row("    ", one.reason.as_deref().unwrap_or("-"));
        }
        self.list_ends(list.messages.is_empty(), list.next.as_deref());
    }

    /// What an action will do.
    pub(super) fn acted(&mut self, done: &AcceptedAction) {
        let AcceptedAction { message, action, .. } = done;
        let text = match (action.as_str(), done.repeated) {
            (_, true) => "an operator has acted on it already; nothing more happens",
            ("retry", _) => "goes to Genesys again, behind the customer's messages that wait",
            ("discard", _) => "is discarded",
            _ => "accepted",
        };
        self.row("", &format!("{message}: {text}"));
        if let Some(danger) = &done.danger {
            self.row("    ", danger);
        }
    }

    /// What an action would be about.
    pub(super) fn would_act(&mut self, action: &str, message: &MessageView) {
        if message.direction == "inbound" && message.outcome == "refused" {
            self.row("", &format!("would {action} {}:", message.message));
        } else {
            self.row("", &format!("cannot {action} {}, which is no dead letter:", message.message));
        }
        self.row("    ", &message.summary);
    }

    fn list_ends(&mut self, is_empty: bool, next: Option<&str>) {
        match next {
            Some(next) => self.line(&format!("  … more: --cursor {}", clean(next))),
            None if is_empty => self.line("  none"),
            None => {}
        }
    }

    fn heading(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.line("");
        }
        self.line(&clean(text));
    }

    fn lines(&mut self, messages: &[LineView], left_out: usize) {
        let mut day = None;
        for line in messages {
            self.day(&mut day, line.received);
            let arrow = if line.direction == "inbound" { "<-" } else { "->" };
            let text = format!("{}  {}", clean(&line.message), clean(&line.summary));
            self.row(&format!("  {}  {arrow}  ", clock(line.received)), &text);
        }
        self.left_out("messages", left_out);
    }

    fn course(&mut self, course: &Course) {
        let mut day = None;
        for step in &course.steps {
            self.day(&mut day, step.at);
            let (mark, lane) = (if step.failed { '!' } else { ' ' }, lane(&step.lane));
            self.row(&format!("{mark} {}  {lane:<12}  ", clock(step.at)), &step.text);
        }
        self.left_out("steps", course.steps_left_out);
        if let Some(next) = &course.next {
            self.line("");
            self.row("next          ", &next.text);
        }
        if course.pruned {
            self.line("");
            self.row("", "The beginning is missing: it is older than store.retention.");
        }
        if course.damaged > 0 {
            self.line("");
            let records = match course.damaged {
                1 => "1 record".to_owned(),
                many => format!("{many} records"),
            };
            self.row("", &format!("{records} of this conversation cannot be read."));
        }
    }

    /// The date, before the first line of a day.
    fn day(&mut self, day: &mut Option<String>, at: Timestamp) {
        let date = at.strftime("%Y-%m-%d").to_string();
        if day.as_ref() != Some(&date) {
            self.line("");
            self.line(&format!("  {date} UTC"));
            *day = Some(date);
        }
    }

    fn left_out(&mut self, what: &str, count: usize) {
        if count > 0 {
            let text = format!("  … and {count} more {what}; the failed and the newest are shown");
            self.line(&text);
        }
    }

    /// A label, and a text beside it that is broken into lines.
    fn row(&mut self, label: &str, text: &str) {
        let indent = label.chars().count();
        let room = self.width.saturating_sub(indent).max(20);
        for (index, line) in broken(&clean(text), room).iter().enumerate() {
            let before = if index == 0 { label.to_owned() } else { " ".repeat(indent) };
            self.line(&format!("{before}{line}"));
        }
    }

    fn line(&mut self, text: &str) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(self.text, "{}", text.trim_end());
    }
}

/// Breaks a text at its blanks. A longer word keeps its length, so that an id can be copied.
fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > room {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// A text that others wrote, for a terminal: control characters, and those that turn the direction
/// of text, could change what it shows.
fn clean(text: &str) -> String {
    let marks = ['\u{200e}', '\u{200f}'];
    let turns =
        |c| marks.contains(&c) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect()
}

fn lane(name: &str) -> &str {
    match name {
        "genesys" => "Genesys",
        "gateway" => "gateway",
        "chat_service" => "chat service",
        other => other,
    }
}

/// The time of day in UTC, to the millisecond.
fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S%.3f").to_string()
}

/// A time in a list, in UTC.
fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message() -> MessageView {
        let steps = json!([
            { "at": "2026-11-20T09:00:00.25Z", "lane": "genesys", "text":
              "Genesys sent the agent's message, and the gateway stored it." },
            { "at": "2026-11-21T09:00:31Z", "lane": "elsewhere", "failed": true, "text":
              "It failed:\n\u{1b}[2J MessageExpired - the chat session was not established in time." },
        ]);
        serde_json::from_value(json!({
            "integration": "acme", "conversation": "c0123456789", "message": "m-1",
            "direction": "outbound", "outcome": "failed",
            "summary": "Not delivered: the session was never opened.",
            "steps": steps, "steps_left_out": 3, "next": { "at": null, "text": "Waits." },
            "pruned": true, "damaged": 1, "added_later": {},
        }))
        .expect("an answer")
    }

    #[test]
    fn a_message_fits_the_terminal_and_sends_it_no_commands() {
        let mut narrow = Page::new(60);
        narrow.message(&message());
        insta::assert_snapshot!(narrow.to_string());
        let mut wide = Page::new(160);
        wide.message(&message());
        assert!(wide.to_string().lines().count() < narrow.to_string().lines().count());
        let longest = narrow.to_string().lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(60), "{narrow}");
    }

    #[test]
    fn lists_fit_80_columns() {
        let conversation = "c0123456789abcdef0123456789abcd";
        let conversations = serde_json::from_value(json!({ "next": "1.c0", "conversations": [
            { "integration": "acme", "conversation": conversation, "open": true, "failing": true,
              "created": "2026-11-20T09:00:00Z" },
            { "integration": "acme", "conversation": conversation,
              "created": "2026-11-19T09:00:00Z" },
        ] }));
        let messages = serde_json::from_value(json!({ "messages": [
            { "integration": "acme", "message": "9f0c1b7a5e3d4286b1c0a9d8e7f60514",
              "received": "2026-11-20T09:00:00Z" },
            { "integration": "acme", "message": format!("sha256-{}", "0123456789abcdef".repeat(4)),
              "received": "2026-11-20T09:00:00Z", "reason":
              "MessageExpired - the chat session was not\u{1b}[2J established in time: the chat \
               service answered 503 to each of 3 calls" },
        ] }));
        let mut page = Page::new(80);
        page.conversations(&conversations.expect("an answer"));
        page.messages(&messages.expect("an answer"));
        page.messages(&MessagesPage { messages: vec![], next: None });
        insta::assert_snapshot!(page.to_string());
        assert!(page.to_string().lines().all(|line| line.chars().count() <= 80), "{page}");
    }

    #[test]
    fn a_long_word_stays_whole() {
        let id = "x".repeat(100);
        assert_eq!(broken(&format!("the id {id} is long"), 20), ["the id", &id, "is long"]);
        assert_eq!(broken("", 20), [""]);
    }
}
