//! The outbound webhook: one signed call per message, retried on the documented schedule.
//!
//! The first calls of a conversation leave one after another. Retries do not hold up what follows:
//! a message may overtake another one that is pausing before a retry.

use std::sync::Arc;
use std::time::Duration;

use genesys::{Secret, signature};
use reqwest::header::RETRY_AFTER;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::app::App;
use crate::clock::wire_time;
use crate::faults::{Action, Target};
use crate::switches::{RefusedWebhook, Switches};
use crate::transcript::{Direction, Entry, Kind, body_of};
use crate::verdict::WebhookFault;
use crate::world::{NormalizedMessage, Outgoing, WebhookEnd};

/// How long the fault `reorder` holds a message back.
const REORDER: Duration = Duration::from_secs(2);
/// The most bytes of an answer that are read, so that its connection can be reused.
const MAX_ANSWER: usize = 64 * 1024;

/// The outcome of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Answered(u16),
    /// No answer, in the words of the HTTP client that Genesys seems to use.
    Lost(String),
}

impl Outcome {
    fn taken(&self) -> bool {
        matches!(self, Self::Answered(200..=299))
    }

    /// Time-outs, 429 and 5xx are retried (reference, section 3.6).
    fn retried(&self) -> bool {
        matches!(self, Self::Answered(429 | 500..) | Self::Lost(_))
    }

    fn explanation(self) -> String {
        match self {
            Self::Answered(status) => format!("Request failed with status code {status}"),
            Self::Lost(explanation) => explanation,
        }
    }
}

/// Where a call goes.
struct Destination {
    url: String,
    secret: Secret,
    old_secret: Option<Secret>,
    headers: Vec<(String, Secret)>,
    calls: Arc<Semaphore>,
}

/// Sends a message on its way; returns at once.
pub(crate) fn send(app: &Arc<App>, outgoing: Outgoing) {
    let shared = app.clone();
    app.deliveries.spawn(async move {
        tokio::select! {
            () = deliver(&shared, outgoing) => {}
            () = shared.stop.cancelled() => {}
        }
    });
}

async fn deliver(app: &App, mut outgoing: Outgoing) {
    if let Some(turn) = outgoing.turn.take() {
        // It ends with an error, as its sender is dropped.
        let _ = turn.await;
    }
    let mut attempt = 1;
    loop {
        let switches = app.switches();
        let fault = app.strike(&[Target::Webhook]);
        match &fault {
            Some(Action::Delay(span)) => app.clock.sleep(span.0).await,
            Some(Action::Reorder) => {
                outgoing.over = None;
                app.clock.sleep(REORDER).await;
            }
            Some(fault) => alter(&mut outgoing.message, fault),
            None => {}
        }
        let Some(destination) = destination(app, &outgoing.integration) else {
            let end = WebhookEnd::Failed("The integration was deleted".to_owned());
            app.world().webhook_ended(&outgoing.id, end, switches.refused_webhook, app.clock.now());
            return;
        };
        let limit = switches.webhook_timeout.0;
        let (outcome, wished) =
            attempt_once(app, &outgoing, &destination, attempt, limit, fault.as_ref()).await;
        outgoing.over = None;
        if outgoing.once {
            return;
        }
        if let Some((end, takes)) = end_of(outcome, attempt, &switches) {
            app.world().webhook_ended(&outgoing.id, end, takes, app.clock.now());
            return;
        }
        let wished = wished.filter(|_| switches.webhook_retry_after).unwrap_or_default();
        app.clock.sleep(switches.webhook_pause.0.max(wished)).await;
        attempt += 1;
    }
}

/// Puts something into a message that a later version of Genesys might send.
fn alter(message: &mut NormalizedMessage, fault: &Action) {
    match fault {
        Action::UnknownField => {
            let value = json!({"since": 2031, "parts": [{"a": null}]});
            message.unknown.insert("fieldOfTheFuture", value);
        }
        Action::UnknownContent => {
            message.kind = "Structured";
            let element = json!({"contentType": "Hologram", "hologram": {"frames": 3}});
            message.content.get_or_insert_default().push(element);
        }
        _ => {}
    }
}

/// Makes one call, and writes it to the transcript. Returns how it ended, and the pause that the
/// webhook asks for.
async fn attempt_once(
    app: &App,
    outgoing: &Outgoing,
    destination: &Destination,
    attempt: u32,
    limit: Duration,
    fault: Option<&Action>,
) -> (Outcome, Option<Duration>) {
    let body = outgoing.message.to_json();
    let mut wished = None;
    let outcome = match fault {
        Some(Action::Status(status)) => Outcome::Answered(*status),
        _ => call(app, destination, &body, limit, fault, &mut wished).await,
    };
    let note = Note {
        message: &outgoing.id,
        integration: &outgoing.integration,
        conversation: &outgoing.conversation,
        body: &body,
        url: &destination.url,
        attempt,
    };
    note.write(app, &outcome, fault);
    match fault {
        Some(Action::Duplicate) => {
            let second = call(app, destination, &body, limit, None, &mut None).await;
            note.write(app, &second, fault);
            (outcome, wished)
        }
        Some(Action::DropAnswer) => (Outcome::Lost("socket hang up".to_owned()), wished),
        _ => (outcome, wished),
    }
}

/// How the calls for a message have ended, and what a refusal leads to. `None` if there is another
/// attempt.
fn end_of(
    outcome: Outcome,
    attempt: u32,
    switches: &Switches,
) -> Option<(WebhookEnd, RefusedWebhook)> {
    if outcome.taken() {
        return Some((WebhookEnd::Taken, switches.refused_webhook));
    }
    let retried = outcome.retried();
    if retried && attempt <= switches.webhook_retries {
        return None;
    }
    let leads_to = if retried { switches.exhausted() } else { switches.refused_webhook };
    Some((WebhookEnd::Failed(outcome.explanation()), leads_to))
}

fn destination(app: &App, integration: &str) -> Option<Destination> {
    let world = app.world();
    let integration = world.integrations.get(integration)?;
    Some(Destination {
        url: integration.webhook_url.clone(),
        secret: integration.secret.clone(),
        old_secret: integration.old_secret.clone(),
        headers: integration
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        calls: integration.calls.clone(),
    })
}

async fn call(
    app: &App,
    to: &Destination,
    body: &[u8],
    limit: Duration,
    fault: Option<&Action>,
    // The pause that the webhook asks for.
    wished: &mut Option<Duration>,
) -> Outcome {
    let Ok(_permit) = to.calls.acquire().await else {
        return Outcome::Lost("the sandbox is stopping".to_owned());
    };
    let wrong = Secret::new("not the secret of this integration");
    let secret = match fault {
        Some(Action::WrongSignature) => &wrong,
        Some(Action::OldSignature) => to.old_secret.as_ref().unwrap_or(&wrong),
        _ => &to.secret,
    };
    let http =
        if app.switches().webhook_redirects { &app.http.redirected } else { &app.http.plain };
    let mut request = http.post(&to.url);
    for (name, value) in &to.headers {
        request = request.header(name, value.expose());
    }
    let request = request
        .header("content-type", "application/json")
        .header(signature::HEADER, signature::sign(secret, body))
        .body(body.to_vec());
    let exchange = async {
        match request.send().await {
            Ok(mut answer) => {
                let status = answer.status().as_u16();
                let asked = answer
                    .headers()
                    .get(RETRY_AFTER)
                    .and_then(|asked| asked.to_str().ok()?.parse().ok());
                *wished = asked.map(Duration::from_secs);
                let mut read = 0;
                while let Ok(Some(chunk)) = answer.chunk().await {
                    read += chunk.len();
                    if read > MAX_ANSWER {
                        break;
                    }
                }
                Outcome::Answered(status)
            }
            Err(error) if error.is_connect() => Outcome::Lost("connect ECONNREFUSED".to_owned()),
            Err(error) if error.is_builder() => Outcome::Lost("Invalid URL or header".to_owned()),
            Err(_) => Outcome::Lost("socket hang up".to_owned()),
        }
    };
    tokio::select! {
        outcome = exchange => outcome,
        () = app.clock.sleep(limit) => {
            Outcome::Lost(format!("timeout of {}ms exceeded", limit.as_millis()))
        }
    }
}

/// What the transcript and the verdict record of a call.
struct Note<'a> {
    message: &'a str,
    integration: &'a str,
    conversation: &'a str,
    body: &'a [u8],
    url: &'a str,
    attempt: u32,
}

impl Note<'_> {
    fn write(&self, app: &App, outcome: &Outcome, fault: Option<&Action>) {
        let body = body_of(self.body);
        let mut world = app.world();
        let at = wire_time(app.clock.now());
        let status = match outcome {
            Outcome::Answered(status) => Some(*status),
            Outcome::Lost(_) => None,
        };
        let provoked = matches!(
            fault,
            Some(Action::Status(_) | Action::WrongSignature | Action::OldSignature)
        );
        if !outcome.taken() && !provoked {
            let (message, attempt) = (self.message.to_owned(), self.attempt);
            let entry = WebhookFault { message, status, attempt, at: at.clone() };
            match status {
                Some(_) => world.record.webhook_not_2xx.push(entry),
                None => world.record.webhook_unanswered.push(entry),
            }
        }
        let mut faults: Vec<_> = fault.map(Action::name).into_iter().collect();
        if let Outcome::Lost(explanation) = outcome {
            faults.push(explanation.clone());
        }
        world.transcript.write(Entry {
            at,
            kind: Kind::Webhook,
            direction: Direction::Out,
            method: Some("POST".to_owned()),
            path: Some(self.url.to_owned()),
            status,
            attempt: Some(self.attempt),
            integration: Some(self.integration.to_owned()),
            conversation: Some(self.conversation.to_owned()),
            message: Some(self.message.to_owned()),
            body,
            faults,
            ..Entry::default()
        });
    }
}
