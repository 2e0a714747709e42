//! Messages: answered, seen as they were written, in order.

use conversation::AttemptOutcome;
use tokio::time::Instant;

use crate::suite::stage::{OutgoingMessage, Stage, is_success};
use crate::suite::verdict::{Outcome, failed};

/// Texts that programs tend to damage, each with what it is.
const TEXTS: [(&str, &str); 9] = [
    ("an emoji", "On its way 🚚"),
    ("an emoji of several characters", "👩🏽‍🚒 👨‍👩‍👧‍👦 🇳🇱"),
    ("a text from right to left", "שלום, החבילה בדרך"),
    ("marks of direction", "\u{202b}abc\u{202c} \u{200f}1\u{200e}"),
    ("combining marks", "e\u{301}a\u{308}\u{323} กำ"),
    ("characters of four bytes", "𝒳 𐍈 𠮷"),
    ("line breaks and a tab", "one\ntwo\n\n\tthree"),
    ("what looks like markup", "<b>&amp;</b> \"'\\/ %s {}"),
    ("blanks at both ends", "  a  b  "),
];

/// How long a word is that has no place for a line break, in characters.
const LONG_WORD: usize = 2_000;

/// How many messages are sent to see their order.
const ORDERED: usize = 10;

pub(super) async fn answered_in_time(stage: &Stage) -> Outcome {
    let chat = stage.open().await?;
    for (what, text) in [
        ("a message", "Good morning."),
        ("the same text again", "Good morning."),
        ("a message of one character", "?"),
        ("a message of one blank", " "),
    ] {
        let began = Instant::now();
        let reply = stage.send_once(&chat, &stage.message(text)).await;
        if reply.status().is_none() {
            let waited = began.elapsed().as_secs_f64();
            return failed(
                format!("{what} got no answer in {waited:.1} s: {}", reply.told()),
                "an answer within `delivery.timeout`",
            );
        }
    }
    Ok(())
}

pub(super) async fn answer_is_understood(stage: &Stage) -> Outcome {
    let chat = stage.open().await?;
    let reply = stage.send(&chat, &stage.message("Good morning.")).await;
    let expected = "200 `{\"status\":\"delivered\"}` or 202 `{\"status\":\"sent\"}`";
    match reply.of_message() {
        AttemptOutcome::Accepted { .. } | AttemptOutcome::Delivered { .. } => Ok(()),
        _ if reply.is_page() => failed(reply.told(), expected),
        AttemptOutcome::Unknown { reason } => failed(reason.message, expected),
        _ => failed(format!("a message in an open session: {}", reply.told()), expected),
    }
}

pub(super) async fn text_is_unchanged(stage: &Stage) -> Outcome {
    let max = stage.claims.capabilities.max_text.unwrap_or(usize::MAX);
    let word = "word".repeat(LONG_WORD / 4);
    let texts = TEXTS.into_iter().chain([("a long word", &*word)]);
    let fitting = texts.filter(|(_, text)| text.chars().count() <= max).collect::<Vec<_>>();
    texts_arrive(stage, &fitting).await
}

/// The limit counts characters (Unicode scalar values), not bytes or UTF-16 units.
pub(super) async fn longest_text_is_taken(stage: &Stage) -> Outcome {
    let max = stage.claims.capabilities.max_text.unwrap_or_default();
    let text: String = "aß🚚".chars().cycle().take(max).collect();
    let what = format!("a text of {max} characters, as long as `max_text` allows");
    texts_arrive(stage, &[(&what, &text)]).await
}

async fn texts_arrive(stage: &Stage, texts: &[(&str, &str)]) -> Outcome {
    let chat = stage.open().await?;
    let mut messages = Vec::new();
    for (what, text) in texts {
        let message = stage.message(*text);
        let reply = stage.send(&chat, &message).await;
        if !is_success(&reply) {
            return failed(format!("{what} was not taken: {}", reply.told()), "200 or 202");
        }
        messages.push(message);
    }
    if stage.no_view.is_some() {
        return Ok(());
    }
    let view = stage.all_seen(&chat, &messages).await?;
    for ((what, text), message) in texts.iter().zip(&messages) {
        let seen = view.messages.iter().find(|seen| seen.id == message.id);
        let seen = seen.and_then(|seen| seen.text.as_deref()).unwrap_or_default();
        if seen != *text {
            return failed(
                format!("{what} was changed: {}", difference(text, seen)),
                "that the customer sees every character",
            );
        }
    }
    Ok(())
}

/// Where two texts differ first.
fn difference(sent: &str, seen: &str) -> String {
    let (sent, seen): (Vec<_>, Vec<_>) = (sent.chars().collect(), seen.chars().collect());
    let at = sent.iter().zip(&seen).take_while(|(one, other)| one == other).count();
    let shown = |text: &[char]| match text.get(at) {
        Some(character) => format!("U+{:04X}", u32::from(*character)),
        None => "nothing".to_owned(),
    };
    format!(
        "of {} characters {} are seen, and character {} is {} instead of {}",
        sent.len(),
        seen.len(),
        at + 1,
        shown(&seen),
        shown(&sent)
    )
}

pub(super) async fn order_is_kept(stage: &Stage) -> Outcome {
    let chat = stage.open().await?;
    let mut messages: Vec<OutgoingMessage> = Vec::new();
    for number in 1..=ORDERED {
        let message = stage.message(format!("message {number}"));
        stage.taken(&chat, &message).await?;
        messages.push(message);
    }
    let view = stage.all_seen(&chat, &messages).await?;
    let number = |id: &str| messages.iter().position(|message| message.id == id);
    let seen: Vec<_> = view.messages.iter().filter_map(|seen| number(&seen.id)).collect();
    if seen.is_sorted() {
        return Ok(());
    }
    let seen: Vec<_> = seen.iter().map(|number| (number + 1).to_string()).collect();
    failed(
        format!("{ORDERED} messages are seen in the order {}", seen.join(" ")),
        "the order in which they were sent, each after the answer to the one before",
    )
}
