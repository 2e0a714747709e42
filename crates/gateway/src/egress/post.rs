//! One thing that Genesys is owed: which call it is, and what the answer means.

use std::time::Duration;

use connector::{Customer, Event};
use conversation::{Fate, Input, MessageId, NoticeKind, Owed, PostResult};
use genesys::agent::ParticipantPatch;
use genesys::conversation::{ParticipantState, Purpose};
use genesys::receipt::ReceiptStatus;
use genesys::{CallError, Lane};
use jiff::Timestamp;
use store::{Direction, MessageRow, OutboxItem, Store, StoreError};

use crate::settings::Integration;
use crate::to_genesys::{self, Inbound};

pub(super) struct Post<'a> {
    pub(super) integration: &'a Integration,
    pub(super) store: &'a dyn Store,
    /// It may have been done already.
    pub(super) doubt: bool,
}

pub(super) enum Outcome {
    /// It is done, or will never be: this is what the conversation is told.
    Done(Box<Input>),
    /// It is to be tried again.
    Later { why: String, after: Option<Duration>, doubt: bool },
}

impl From<StoreError> for Outcome {
    fn from(error: StoreError) -> Self {
        Self::Later { why: error.to_string(), after: None, doubt: true }
    }
}

impl Post<'_> {
    pub(super) async fn bring(&self, item: &OutboxItem) -> Outcome {
        let brought = match &item.owed {
            Owed::Receipt { message, fate } => self.receipt(message, fate.as_ref(), item.since).await,
            Owed::Inbound { message } => self.inbound(message).await,
            Owed::Notice { message, notice } => self.notice(item, message, *notice).await,
            Owed::Disconnect { id } => self.disconnect(id).await,
        };
        brought.unwrap_or_else(|later| later)
    }

    async fn receipt(&self, message: &MessageId, fate: Option<&Fate>, at: Timestamp) -> Result<Outcome, Outcome> {
        let last = fate.is_some();
        let done = |result| Input::ReceiptDone { message: message.clone(), last, result };
        let Some(row) = self.row(Direction::Outbound, message).await? else {
            return Ok(lost(done));
        };
        let receipt = to_genesys::receipt(&row.foreign_id, &row.body, fate, at);
        let lane = if matches!(fate, Some(Fate::Failed { .. })) { Lane::Urgent } else { Lane::Delivered };
        if self.doubt && last && self.is_there(&row.foreign_id, lane).await? {
            return Ok(Outcome::Done(Box::new(done(PostResult::Posted { genesys_id: None }))));
        }
        let id = &self.integration.genesys_id;
        let post = async |client: genesys::Client| client.post_receipt(id, &receipt).await;
        let answer = self.integration.budget.call(lane, post).await;
        // 404 says that Genesys does not know the message (any more): nobody is left to be told.
        settled(answer.map(|_| None), done, |status| status == 404)
    }

    /// Whether Genesys has a final receipt for the message. Where it will not say, it is told again: a receipt too many
    /// is better than none.
    async fn is_there(&self, foreign_id: &str, lane: Lane) -> Result<bool, Outcome> {
        let read = async |client: genesys::Client| client.message_details(foreign_id).await;
        match self.integration.budget.call(lane, read).await {
            Ok(answer) => Ok(answer.value.normalized_receipts.iter().flatten().any(|receipt| {
                receipt.is_final_receipt == Some(true)
                    || matches!(receipt.status, Some(ReceiptStatus::Delivered | ReceiptStatus::Failed))
            })),
            Err(CallError::Refused { .. }) => Ok(false),
            Err(error) => Err(later(&error, true)),
        }
    }

    async fn inbound(&self, message: &MessageId) -> Result<Outcome, Outcome> {
        let done = |result, genesys: Option<String>| Input::InboundDone {
            message: message.clone(),
            result,
            genesys: genesys.map(String::into_boxed_str),
        };
        let Some(row) = self.row(Direction::Inbound, message).await? else {
            return Ok(lost(|result| done(result, None)));
        };
        let event = connector::protocol::parse(&row.body).ok().and_then(|events| events.into_iter().next());
        let Some(Ok(Event::Message { id, customer, text, content, time })) = event.map(|e| e.map(|e| e.event)) else {
            let why = "the stored event is no message".into();
            return Ok(Outcome::Done(Box::new(done(PostResult::Refused { why }, None))));
        };
        let at = time.map_or(row.received, |time| time.min(row.received));
        let integration = &self.integration.genesys_id;
        let (answer, genesys) = match to_genesys::inbound(&id, &customer, text, &content, at) {
            Inbound::Message(message) => {
                // Always asked for the conversation: a customer who returns late lands in a new one, and only the
                // answer says so.
                let post = async |client: genesys::Client| client.post_message(integration, &message, true).await;
                match self.integration.budget.call(Lane::Urgent, post).await {
                    Ok(answer) => (Ok(answer.value.id), answer.value.conversation_id),
                    Err(error) => (Err(error), None),
                }
            }
            Inbound::Response(response) => {
                let post =
                    async |client: genesys::Client| client.post_structured_response(integration, &response).await;
                (self.integration.budget.call(Lane::Urgent, post).await.map(|answer| answer.value.id), None)
            }
        };
        // 403 and 404 speak of the configuration, not of the message: it waits until that is mended.
        settled(answer, |result| done(result, genesys), |_| false)
    }

    async fn notice(&self, item: &OutboxItem, message: &MessageId, kind: NoticeKind) -> Result<Outcome, Outcome> {
        let done = |result| Input::NoticeDone { message: message.clone(), notice: kind, result };
        let loaded = self.store.load(&item.conversation).await?;
        let customer = loaded.and_then(|loaded| serde_json::from_str::<Customer>(&loaded.customer).ok());
        let Some(customer) = customer else { return Ok(lost(done)) };
        let notice =
            to_genesys::notice(message.as_str(), kind, self.integration.notices.of(kind), &customer, item.since);
        let id = &self.integration.genesys_id;
        let post = async |client: genesys::Client| client.post_message(id, &notice, false).await;
        let answer = self.integration.budget.call(Lane::Urgent, post).await;
        settled(answer.map(|answer| answer.value.id), done, |_| true)
    }

    /// Disconnects the customer's participant: the way to say that the customer has left.
    async fn disconnect(&self, conversation: &str) -> Result<Outcome, Outcome> {
        let done = |result| Input::DisconnectDone { result };
        let read = async |client: genesys::Client| client.conversation(conversation).await;
        let found = match self.integration.budget.call(Lane::Urgent, read).await {
            Ok(answer) => answer.value,
            Err(error) => return settled(Err(error), done, |_| true),
        };
        let live = |participant: &&genesys::conversation::Participant| {
            !matches!(participant.state, Some(ParticipantState::Disconnected | ParticipantState::Terminated))
        };
        let customer = found.participants_as(&Purpose::Customer).find(live).and_then(|customer| customer.id.clone());
        let Some(customer) = customer else {
            return Ok(Outcome::Done(Box::new(done(PostResult::Posted { genesys_id: None }))));
        };
        let patch = ParticipantPatch::disconnect();
        let post = async |client: genesys::Client| client.patch_participant(conversation, &customer, &patch).await;
        let answer = self.integration.budget.call(Lane::Urgent, post).await;
        settled(answer.map(|_| None), done, |_| true)
    }

    async fn row(&self, direction: Direction, message: &MessageId) -> Result<Option<MessageRow>, Outcome> {
        Ok(self.store.message(&self.integration.name, direction, message).await?)
    }
}

/// What an answer means. `gives_up` says which refusals other than those of the body itself are for good.
fn settled(
    answer: Result<Option<String>, CallError>,
    done: impl FnOnce(PostResult) -> Input,
    gives_up: impl Fn(u16) -> bool,
) -> Result<Outcome, Outcome> {
    match answer {
        Ok(id) => {
            let genesys_id = id.map(String::into_boxed_str);
            Ok(Outcome::Done(Box::new(done(PostResult::Posted { genesys_id }))))
        }
        // A conflict is our own earlier copy.
        Err(CallError::Refused { status, .. }) if status.as_u16() == 409 => {
            Ok(Outcome::Done(Box::new(done(PostResult::Posted { genesys_id: None }))))
        }
        Err(error) => match &error {
            CallError::Refused { status, .. } if !matches!(status.as_u16(), 403 | 404) || gives_up(status.as_u16()) => {
                let why: String = error.to_string().chars().take(300).collect();
                Ok(Outcome::Done(Box::new(done(PostResult::Refused { why: why.into() }))))
            }
            CallError::NotSent { .. } | CallError::RateLimited { .. } | CallError::Unauthorized { .. } => {
                Err(later(&error, false))
            }
            CallError::Refused { .. } | CallError::Unknown { .. } | CallError::Unavailable { .. } => {
                Err(later(&error, true))
            }
        },
    }
}

fn later(error: &CallError, doubt: bool) -> Outcome {
    let after = match error {
        CallError::Unavailable { retry_after, .. } => *retry_after,
        // A matter of configuration: somebody has to mend it first.
        CallError::Unauthorized { .. } | CallError::Refused { .. } => Some(Duration::from_secs(10)),
        // The budget keeps the lane shut after a 429; waiting here as well would only delay it.
        CallError::RateLimited { .. } | CallError::NotSent { .. } | CallError::Unknown { .. } => None,
    };
    Outcome::Later { why: error.to_string(), after, doubt }
}

/// The message's row is gone, so there is nothing to say and nobody to say it about.
fn lost(done: impl FnOnce(PostResult) -> Input) -> Outcome {
    Outcome::Done(Box::new(done(PostResult::Refused { why: "the message's row is gone from the store".into() })))
}
