//! Puts the timeline of a conversation together.

use std::collections::BTreeMap;

use conversation::{Fate, Owed};
use jiff::Timestamp;
use serde_json::Value;
use store::Direction;

use crate::agent_message::AgentMessage;
use crate::agent_words::handshakes;
use crate::customer_message::CustomerMessage;
use crate::gaps::is_late;
use crate::limits::{limited, limited_messages};
use crate::message;
use crate::model::{
    ConversationTimeline, GenesysConversation, MAX_GENESYS_CONVERSATIONS, Next, Outcome,
    SessionState, SessionView,
};
use crate::reading::{Key, Reading};
use crate::talk_steps;
use crate::words::{clock, count, due, field, sentence};

/// What a list needs to know about a message before it is cut.
struct Entry<'a> {
    key: Key<'a>,
    received: Timestamp,
    outcome: Outcome,
}

pub(crate) fn overview(reading: &Reading<'_>) -> ConversationTimeline {
    let dossier = reading.dossier;
    let mut entries: Vec<Entry<'_>> =
        reading.order.iter().map(|key| entry(reading, *key)).collect();
    entries.sort_by_key(|entry| entry.received);
    let mut counts = BTreeMap::new();
    for entry in &entries {
        *counts.entry(entry.outcome).or_default() += 1;
    }
    let next = next(reading, &entries);
    let (kept, messages_left_out) = limited_messages(entries, |entry| entry.outcome.is_failed());
    let messages = kept
        .iter()
        .filter_map(|entry| Some(message::tell(reading, entry.key)?.line(entry.key)))
        .collect();
    let (steps, steps_left_out) = limited(talk_steps::steps(reading));
    ConversationTimeline {
        integration: dossier.integration.to_string(),
        conversation: dossier.id.to_string(),
        customer: customer(&dossier.customer),
        genesys: genesys(reading),
        session: session(reading),
        paused: reading.talk.is_paused(),
        summary: summary(reading, &counts),
        counts,
        messages,
        messages_left_out,
        steps,
        steps_left_out,
        next,
        pruned: reading.is_pruned(),
        damaged: reading.damaged.len(),
    }
}

fn entry<'a>(reading: &Reading<'a>, key: Key<'a>) -> Entry<'a> {
    let life = &reading.lives[&key];
    let (received, outcome) = match key.0 {
        Direction::Outbound => {
            let message = AgentMessage::of(reading, key.1, life);
            (message.listed.received, message.outcome())
        }
        Direction::Inbound => {
            let message = CustomerMessage::of(reading, key.1, life);
            (message.listed.received, message.outcome())
        }
    };
    Entry { key, received, outcome }
}

/// The customer's id, and nothing else of what the store knows about them.
fn customer(json: &str) -> Option<String> {
    let customer: Value = serde_json::from_str(json).ok()?;
    customer.get("id")?.as_str().map(field)
}

fn genesys(reading: &Reading<'_>) -> Vec<GenesysConversation> {
    let all = &reading.talk.genesys;
    let newest = &all[all.len().saturating_sub(MAX_GENESYS_CONVERSATIONS)..];
    newest.iter().map(|(since, id)| GenesysConversation { id: field(id), since: *since }).collect()
}

fn session(reading: &Reading<'_>) -> SessionView {
    let state = reading.session();
    let open = reading.talk.session().filter(|_| state == SessionState::Open);
    let service_id = open.map(|session| field(session.id.as_str()));
    SessionView { state, since: reading.talk.now.since, service_id }
}

/// The answer in plain words: what is wrong first.
fn summary(reading: &Reading<'_>, counts: &BTreeMap<Outcome, usize>) -> String {
    let now = reading.now;
    let mut said = vec![messages(counts)];
    let since = |at: Timestamp| format!(" since {}", clock(at, now));
    if let Some(since) = stuck(reading) {
        let at = clock(since, now);
        said.push(format!("No node has handled what came since {at}."));
    } else if let Some(gap) = reading.gaps.iter().find(|gap| gap.until.is_none()) {
        said.push(format!(
            "The gateway has done nothing{}, although something was due.",
            since(gap.from)
        ));
    }
    if reading.talk.is_paused() {
        said.push("A failed message has paused the conversation.".to_owned());
    }
    said.push(session_words(reading));
    if let Some((owed, since)) = receipts_owed(reading) {
        let at = clock(since, now);
        said.push(format!(
            "Genesys has not confirmed {} yet, the oldest since {at}.",
            count(owed, "final receipt")
        ));
    }
    if !reading.damaged.is_empty() {
        said.push(format!("{} cannot be read.", count(reading.damaged.len(), "record")));
    }
    if reading.is_pruned() {
        said.push("Retention has removed the beginning.".to_owned());
    }
    said.join(" ")
}

/// Since when a message waits in the inbox, if that is longer than it should be.
fn stuck(reading: &Reading<'_>) -> Option<Timestamp> {
    let waiting = reading.lives.values().filter(|life| life.is_in_inbox);
    let oldest = waiting.filter_map(|life| Some(life.row?.received)).min()?;
    is_late(oldest, reading.now).then_some(oldest)
}

fn messages(counts: &BTreeMap<Outcome, usize>) -> String {
    let all: usize = counts.values().sum();
    let words = [
        (Outcome::Waiting, "waiting"),
        (Outcome::InFlight, "on the way"),
        (Outcome::Failed, "failed"),
        (Outcome::Refused, "refused by Genesys"),
        (Outcome::Discarded, "discarded"),
        (Outcome::Unknown, "unknown"),
        (Outcome::Unreported, "without a report"),
        (Outcome::Delivered, "delivered"),
        (Outcome::Sent, "sent"),
        (Outcome::Posted, "posted to Genesys"),
        (Outcome::Kept, "only stored"),
    ];
    let parts: Vec<String> = words
        .iter()
        .filter_map(|(outcome, word)| Some(format!("{} {word}", counts.get(outcome)?)))
        .collect();
    if parts.is_empty() {
        "No messages.".to_owned()
    } else {
        format!("{}: {}.", count(all, "message"), parts.join(", "))
    }
}

fn session_words(reading: &Reading<'_>) -> String {
    let talk = &reading.talk;
    let view = session(reading);
    let since = view.since.map_or(String::new(), |at| format!(" since {}", clock(at, reading.now)));
    match view.state {
        SessionState::Open if talk.now.ending => {
            format!("The session is open{since}, and closes once no message waits.")
        }
        SessionState::Open => format!("The session is open{since}."),
        SessionState::Opening => {
            let from = view.since.unwrap_or(reading.now);
            let came_to = handshakes(from, reading.now, reading);
            let came_to =
                came_to.map_or(String::new(), |came_to| format!(" {}", sentence(&came_to)));
            format!("A handshake is in progress{since}.{came_to}")
        }
        SessionState::Closed => format!("No session{since}."),
        SessionState::Unknown => "No record says whether there is a session.".to_owned(),
    }
}

/// How many final receipts Genesys has not confirmed, and since when.
fn receipts_owed(reading: &Reading<'_>) -> Option<(usize, Timestamp)> {
    let is_final = |owed: &Owed| {
        matches!(
            owed,
            Owed::Receipt { fate: Some(Fate::Delivered | Fate::Sent | Fate::Failed { .. }), .. }
        )
    };
    let owed = reading.dossier.owed.iter().filter(|item| is_final(&item.owed));
    let since = owed.clone().map(|item| item.since).min()?;
    Some((owed.count(), since))
}

/// What comes next: for the oldest open message, else for the session, else for a receipt.
fn next(reading: &Reading<'_>, entries: &[Entry<'_>]) -> Option<Next> {
    let now = reading.now;
    if let Some(open) = entries.iter().find(|entry| entry.outcome.is_open()) {
        let next = message::tell(reading, open.key)?.next?;
        return Some(Next {
            at: next.at,
            text: format!("Message {}: {}", crate::words::id(open.key.1.as_str()), next.text),
        });
    }
    if let Some(at) = reading.talk.now.call_at {
        let text = format!("The next call for a session {}.", due(at, now));
        return Some(Next { at: Some(at), text });
    }
    if reading.session() == SessionState::Opening {
        let at = reading.talk.now.handshake_until;
        let until = at.map_or(String::new(), |at| format!(", at most until {}", clock(at, now)));
        return Some(Next { at, text: format!("Waits for the handshake{until}.") });
    }
    let (_, since) = receipts_owed(reading)?;
    let text = format!("Waits for its receipts to reach Genesys, since {}.", clock(since, now));
    Some(Next { at: None, text })
}
