//! What a case works with: the calls, the events, and what the connector claims.

use std::sync::Arc;
use std::time::Duration;

use conversation::{OpenOutcome, SessionId};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::arrivals::Arrivals;
use super::caller::{Caller, Reply, Signing};
use super::claims::Claims;
use super::process::ConnectorProcess;
use super::verdict::{Stop, failed, not_claimed};
use super::view::CustomerView;
use crate::Event;

/// How long the suite watches for something that must not come, such as a second copy.
pub(super) const QUIET: Duration = Duration::from_millis(500);
/// How often the suite looks at the customer's view while it waits for something.
const LOOK: Duration = Duration::from_millis(20);

/// What every case gets.
pub(super) struct Stage {
    pub(super) caller: Caller,
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) claims: Claims,
    /// Why the customer's view cannot be seen; `None` if it can.
    pub(super) no_view: Option<String>,
    pub(super) process: Option<Arc<dyn ConnectorProcess>>,
    /// How long a case waits for an event, or for a message on the customer's screen.
    pub(super) wait: Duration,
    /// What was sent before the one kill of the process.
    pub(super) before_kill: OnceCell<Result<BeforeKill, Stop>>,
}

/// A conversation with an open session.
#[derive(Clone, Debug)]
pub(super) struct Chat {
    pub(super) conversation: String,
    pub(super) customer: String,
    pub(super) session: String,
}

/// Three chats, each with messages that were answered with a success before the kill.
#[derive(Clone, Debug)]
pub(super) struct BeforeKill {
    /// The messages, each with its answer, must still be there.
    pub(super) kept: (Chat, Vec<(OutgoingMessage, Reply)>),
    /// The session may be gone.
    pub(super) session: Chat,
    /// The message is sent again.
    pub(super) repeated: (Chat, OutgoingMessage),
}

/// A message from the agent.
#[derive(Clone, Debug)]
pub(super) struct OutgoingMessage {
    pub(super) id: String,
    pub(super) text: Option<String>,
    pub(super) content: Vec<Value>,
}

impl OutgoingMessage {
    fn body(&self, session: &str) -> Value {
        json!({
            "id": self.id, "time": "2026-11-20T09:11:04.5Z", "text": self.text,
            "content": self.content, "session": session,
        })
    }
}

impl Stage {
    pub(super) fn message(&self, text: impl Into<String>) -> OutgoingMessage {
        OutgoingMessage {
            id: self.caller.new_id("m"),
            text: Some(text.into()),
            content: Vec::new(),
        }
    }

    /// A conversation that the connector does not know yet, without a session.
    pub(super) fn new_chat(&self) -> Chat {
        Chat {
            conversation: self.caller.new_id("c"),
            customer: self.caller.new_id("suite-customer-"),
            session: String::new(),
        }
    }

    pub(super) async fn call(&self, chat: &Chat, call: &str, body: &Value) -> Reply {
        let id = self.caller.new_id("call");
        self.caller.post_patiently((&chat.conversation, call), &id, body, self.wait).await
    }

    pub(super) async fn ask_for_session(&self, chat: &Chat, attempt: u32) -> Reply {
        let customer = json!({ "id": chat.customer, "id_type": "Opaque", "nickname": "Suite" });
        self.call(chat, "open", &json!({ "customer": customer, "attempt": attempt })).await
    }

    /// A new conversation with an open session.
    pub(super) async fn open(&self) -> Result<Chat, Stop> {
        self.open_in(self.new_chat()).await
    }

    /// Opens a session in this conversation.
    pub(super) async fn open_in(&self, mut chat: Chat) -> Result<Chat, Stop> {
        let before = self.sessions_of(&chat).len();
        let reply = self.ask_for_session(&chat, 1).await;
        chat.session = match reply.of_open() {
            OpenOutcome::Opened(session) => session.to_string(),
            OpenOutcome::Pending => self.session_of(&chat, before).await?,
            _ => {
                return failed(
                    format!("`open` got no session: {}", reply.told()),
                    "200 with a `session`, or 202 and a `session.opened`",
                );
            }
        };
        Ok(chat)
    }

    /// The sessions of which the connector has told in events.
    pub(super) fn sessions_of(&self, chat: &Chat) -> Vec<String> {
        let list = self.arrivals.so_far();
        let sessions = list.iter().filter(|arrival| arrival.is_accepted);
        sessions
            .filter_map(|arrival| match arrival.event()? {
                Event::SessionOpened { conversation, session, .. }
                    if conversation.as_str() == chat.conversation =>
                {
                    Some(session.to_string())
                }
                _ => None,
            })
            .collect()
    }

    /// Waits for the `session.opened` that follows the first `before` ones.
    async fn session_of(&self, chat: &Chat, before: usize) -> Result<String, Stop> {
        let limit = self.wait;
        let told = |event: &Event| match event {
            Event::SessionOpened { conversation, session, .. }
                if conversation.as_str() == chat.conversation =>
            {
                Some(Ok(SessionId::to_string(session)))
            }
            Event::SessionRefused { conversation, reason, .. }
                if conversation.as_str() == chat.conversation =>
            {
                Some(Err(format!("`open` got 202, then `session.refused`: {reason}")))
            }
            _ => None,
        };
        let found = self.arrivals.wait(limit, |list| {
            let accepted = list.iter().filter(|arrival| arrival.is_accepted);
            accepted.filter_map(|arrival| told(arrival.event()?)).nth(before)
        });
        match found.await {
            Some(Ok(session)) => Ok(session),
            Some(Err(what)) => failed(what, "a `session.opened`"),
            None => failed(
                format!("`open` got 202, and then no `session.opened` came within {limit:?}"),
                "a `session.opened` for this conversation, signed",
            ),
        }
    }

    /// Sends a message, whatever the answer is.
    pub(super) async fn send(&self, chat: &Chat, message: &OutgoingMessage) -> Reply {
        let (call, body) = ((&*chat.conversation, "messages"), message.body(&chat.session));
        self.caller.post_patiently(call, &message.id, &body, self.wait).await
    }

    /// Sends a message once, without patience.
    pub(super) async fn send_once(&self, chat: &Chat, message: &OutgoingMessage) -> Reply {
        let (call, body) = ((&*chat.conversation, "messages"), message.body(&chat.session));
        self.caller.post(call, &message.id, body.to_string().into(), Signing::Right).await
    }

    /// Sends a message that the connector has to take.
    pub(super) async fn taken(
        &self,
        chat: &Chat,
        message: &OutgoingMessage,
    ) -> Result<Reply, Stop> {
        let reply = self.send(chat, message).await;
        if is_success(&reply) {
            return Ok(reply);
        }
        failed(
            format!("a message in an open session was not taken: {}", reply.told()),
            "200 or 202 with a `status`",
        )
    }

    /// What the customer sees now.
    pub(super) async fn view(&self, chat: &Chat) -> Result<CustomerView, Stop> {
        if let Some(why) = &self.no_view {
            return not_claimed(why);
        }
        let reply = self.caller.get(&["conversations", &chat.conversation], Signing::Right).await;
        let expected = "200 with what the customer sees";
        match (reply.status(), reply.json()) {
            (Some(200), Some(json)) => CustomerView::read(&json).or_else(|why| {
                failed(format!("the customer's view cannot be read: {why}"), expected)
            }),
            _ => failed(format!("asked for the customer's view: {}", reply.told()), expected),
        }
    }

    /// Looks until `is_true`, for at most `limit`. Returns the last view, and whether it is true.
    pub(super) async fn look_until(
        &self,
        chat: &Chat,
        limit: Duration,
        is_true: impl Fn(&CustomerView) -> bool,
    ) -> Result<(CustomerView, bool), Stop> {
        let end = Instant::now() + limit;
        loop {
            let view = self.view(chat).await?;
            if is_true(&view) || Instant::now() >= end {
                let holds = is_true(&view);
                return Ok((view, holds));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the customer sees all of these messages.
    pub(super) async fn all_seen(
        &self,
        chat: &Chat,
        messages: &[OutgoingMessage],
    ) -> Result<CustomerView, Stop> {
        let missing = |view: &CustomerView| {
            messages.iter().filter(|message| view.count(&message.id) == 0).count()
        };
        let (view, holds) = self.look_until(chat, self.wait, |view| missing(view) == 0).await?;
        if holds {
            return Ok(view);
        }
        failed(
            format!("{} of {} messages were taken and not seen", missing(&view), messages.len()),
            "that the customer sees each message that was answered with a success",
        )
    }

    /// Waits until the customer sees the message, and then that no second copy follows.
    pub(super) async fn seen_once(
        &self,
        chat: &Chat,
        message: &OutgoingMessage,
    ) -> Result<(), Stop> {
        self.all_seen(chat, std::slice::from_ref(message)).await?;
        let (view, is_double) =
            self.look_until(chat, QUIET, |view| view.count(&message.id) > 1).await?;
        if !is_double {
            return Ok(());
        }
        failed(
            format!("the customer sees the message {} times", view.count(&message.id)),
            "one copy",
        )
    }
}

/// Whether an answer to a message says that the connector has it. A page or another strange body
/// counts here; the case `answer-understood` judges it.
pub(super) fn is_success(reply: &Reply) -> bool {
    let is_failed = || reply.json().is_some_and(|json| json["status"] == "failed");
    reply.status().is_some_and(|status| (200..300).contains(&status)) && !is_failed()
}
