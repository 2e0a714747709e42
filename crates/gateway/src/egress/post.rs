//! One thing that Genesys is owed: which call it is, and what the answer means.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use connector::{Customer, Event};
use conversation::{Fate, Input, MessageId, NoticeKind, Owed, PostResult};
use genesys::agent::ParticipantPatch;
use genesys::conversation::{ParticipantState, Purpose};
use genesys::receipt::ReceiptStatus;
use genesys::{Answer, CallError, Lane};
use jiff::Timestamp;
use store::{Body, Direction, Drive, OutboxItem, Store, StoreError};
use tokio_util::sync::CancellationToken;

use super::places::Place;
use crate::settings::Integration;
use crate::to_genesys::{self, Inbound};

pub(super) struct Post<'a> {
    pub(super) integration: &'a Integration,
    pub(super) store: &'a dyn Store,
    pub(super) drive: &'a Drive,
    /// It may have been done already.
    pub(super) doubt: bool,
    /// Nothing waits for its turn any more once the gateway stops: the next process or node finds it in the outbox.
    pub(super) stop: &'a CancellationToken,
    /// Its place among those that wait for the budget; it is left when the first call goes.
    pub(super) place: Mutex<Option<Place>>,
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
        let mut brought = match &item.owed {
            Owed::Receipt { message, fate } => {
                self.receipt(message, fate.as_ref(), item.since).await
            }
            Owed::Inbound { message } => self.inbound(message).await,
            Owed::Notice { message, notice } => self.notice(item, message, *notice).await,
            Owed::Disconnect { id } => self.disconnect(id).await,
        };
        // Once in doubt, only an answer about the thing itself ends it.
        if let Err(Outcome::Later { doubt, .. }) = &mut brought {
            *doubt |= self.doubt;
        }
        brought.unwrap_or_else(|later| later)
    }

    /// Makes one call when it is its turn, if it is still this node's to make then.
    async fn call<T, F>(
        &self,
        lane: Lane,
        call: impl FnOnce(genesys::Client) -> F,
    ) -> Result<Answer<T>, CallError>
    where
        F: Future<Output = Result<Answer<T>, CallError>>,
    {
        let drive = self.drive.clone();
        let turn = self.integration.budget.permit(lane);
        let permit = tokio::select! {
            biased;
            permit = turn => permit,
            () = self.stop.cancelled() => None,
        };
        drop(self.place.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(permit) = permit else {
            return Err(CallError::NotSent { cause: "the gateway was stopping".to_owned() });
        };
        let outcome = call(permit.client().clone().only_while(move || drive.holds())).await;
        permit.done(&outcome);
        outcome
    }

    async fn receipt(
        &self,
        message: &MessageId,
        fate: Option<&Fate>,
        at: Timestamp,
    ) -> Result<Outcome, Outcome> {
        let last = fate.is_some();
        let done = |result| Input::ReceiptDone { message: message.clone(), last, result };
        let Some(kept) = self.body(Direction::Outbound, message).await? else {
            return Ok(lost(done));
        };
        let receipt = to_genesys::receipt(&kept.foreign_id, &kept.bytes, fate, at);
        let lane =
            if matches!(fate, Some(Fate::Failed { .. })) { Lane::Urgent } else { Lane::Delivered };
        if self.doubt && last && self.is_there(&kept.foreign_id, lane).await? {
            return Ok(Outcome::Done(Box::new(done(PostResult::Posted { genesys_id: None }))));
        }
        let id = &self.integration.genesys_id;
        let post = async |client: genesys::Client| client.post_receipt(id, &receipt).await;
        let answer = self.call(lane, post).await;
        let refusals = self.refusals(&answer).await?;
        settled(answer.map(|_| None), done, refusals)
    }

    /// Whether Genesys has a final receipt for the message. Where it will not say, it is told again: a receipt too many
    /// is better than none.
    async fn is_there(&self, foreign_id: &str, lane: Lane) -> Result<bool, Outcome> {
        let read = async |client: genesys::Client| client.message_details(foreign_id).await;
        match self.call(lane, read).await {
            Ok(answer) => Ok(answer.value.normalized_receipts.iter().flatten().any(|receipt| {
                receipt.is_final_receipt == Some(true)
                    || matches!(
                        receipt.status,
                        Some(ReceiptStatus::Delivered | ReceiptStatus::Failed)
                    )
            })),
            // An answer that cannot be read is none, however often it is asked for.
            Err(CallError::Refused { .. } | CallError::Unknown { .. }) => Ok(false),
            Err(error) => Err(later(&error, true)),
        }
    }

    /// What a 404 says: whether the integration is there is asked, since nothing may be thrown away for a mistake in
    /// the configuration. Where that will not be said, it is.
    async fn refusals<T>(&self, answer: &Result<T, CallError>) -> Result<Final, Outcome> {
        if !matches!(answer, Err(CallError::Refused { status, .. }) if status.as_u16() == 404) {
            return Ok(Final::Body);
        }
        let id = &self.integration.genesys_id;
        let read = async |client: genesys::Client| client.integration(id).await;
        match self.call(Lane::Background, read).await {
            Err(CallError::Refused { status, .. }) if status.as_u16() == 404 => Ok(Final::Body),
            Ok(_) | Err(CallError::Refused { .. }) => Ok(Final::BodyOrMissing),
            Err(error) => Err(later(&error, true)),
        }
    }

    async fn inbound(&self, message: &MessageId) -> Result<Outcome, Outcome> {
        let done = |result, genesys: Option<String>| Input::InboundDone {
            message: message.clone(),
            result,
            genesys: genesys.map(String::into_boxed_str),
        };
        let Some(kept) = self.body(Direction::Inbound, message).await? else {
            return Ok(lost(|result| done(result, None)));
        };
        let event = connector::protocol::parse(&kept.bytes)
            .ok()
            .and_then(|events| events.into_iter().next());
        let Some(Ok(Event::Message { id, customer, text, content, time })) =
            event.map(|e| e.map(|e| e.event))
        else {
            let why = "the stored event is no message".into();
            return Ok(Outcome::Done(Box::new(done(PostResult::Refused { why }, None))));
        };
        let at = time.map_or(kept.received, |time| time.min(kept.received));
        let integration = &self.integration.genesys_id;
        let (answer, genesys) = match to_genesys::inbound(&id, &customer, text, &content, at) {
            Inbound::Message(message) => {
                // Always asked for the conversation: a customer who returns late lands in a new one, and only the
                // answer says so.
                let post = async |client: genesys::Client| {
                    client.post_message(integration, &message, true).await
                };
                match self.call(Lane::Urgent, post).await {
                    Ok(answer) => (Ok(answer.value.id), answer.value.conversation_id),
                    Err(error) => (Err(error), None),
                }
            }
            Inbound::Response(response) => {
                let post = async |client: genesys::Client| {
                    client.post_structured_response(integration, &response).await
                };
                (self.call(Lane::Urgent, post).await.map(|answer| answer.value.id), None)
            }
        };
        // The answer to a button may also name a message that Genesys does not know.
        let refusals = self.refusals(&answer).await?;
        settled(answer, |result| done(result, genesys), refusals)
    }

    async fn notice(
        &self,
        item: &OutboxItem,
        message: &MessageId,
        kind: NoticeKind,
    ) -> Result<Outcome, Outcome> {
        let done = |result| Input::NoticeDone { message: message.clone(), notice: kind, result };
        let loaded = self.store.load(&item.conversation).await?;
        let customer =
            loaded.and_then(|loaded| serde_json::from_str::<Customer>(&loaded.customer).ok());
        let Some(customer) = customer else { return Ok(lost(done)) };
        let notice = to_genesys::notice(
            message.as_str(),
            kind,
            self.integration.notices.of(kind),
            &customer,
            item.since,
        );
        let id = &self.integration.genesys_id;
        let post = async |client: genesys::Client| client.post_message(id, &notice, false).await;
        let answer = self.call(Lane::Urgent, post).await;
        settled(answer.map(|answer| answer.value.id), done, Final::All)
    }

    /// Disconnects the customer's participant: the way to say that the customer has left.
    async fn disconnect(&self, conversation: &str) -> Result<Outcome, Outcome> {
        let done = |result| Input::DisconnectDone { result };
        let read = async |client: genesys::Client| client.conversation(conversation).await;
        let found = match self.call(Lane::Urgent, read).await {
            Ok(answer) => answer.value,
            Err(error) => return settled(Err(error), done, Final::All),
        };
        let live = |participant: &&genesys::conversation::Participant| {
            !matches!(
                participant.state,
                Some(ParticipantState::Disconnected | ParticipantState::Terminated)
            )
        };
        let customer = found
            .participants_as(&Purpose::Customer)
            .find(live)
            .and_then(|customer| customer.id.clone());
        let Some(customer) = customer else {
            return Ok(Outcome::Done(Box::new(done(PostResult::Posted { genesys_id: None }))));
        };
        let patch = ParticipantPatch::disconnect();
        let post = async |client: genesys::Client| {
            client.patch_participant(conversation, &customer, &patch).await
        };
        let answer = self.call(Lane::Urgent, post).await;
        settled(answer.map(|_| None), done, Final::All)
    }

    async fn body(
        &self,
        direction: Direction,
        message: &MessageId,
    ) -> Result<Option<Body>, Outcome> {
        Ok(self.store.body(&self.integration.name, direction, message).await?)
    }
}

/// Which refusals are for good.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Final {
    /// Those of the body itself. Others, such as 403, speak of the configuration or of something that stands between:
    /// they may be mended, and nothing is thrown away until then.
    Body,
    /// A 404 as well: the thing itself is not there (any more), and nobody is left to be told.
    BodyOrMissing,
    /// All: nobody's words are lost by it.
    All,
}

/// What an answer means: done, refused for good, or to be tried again.
fn settled(
    answer: Result<Option<String>, CallError>,
    done: impl FnOnce(PostResult) -> Input,
    r#final: Final,
) -> Result<Outcome, Outcome> {
    let result = match answer {
        Ok(id) => PostResult::Posted { genesys_id: id.map(String::into_boxed_str) },
        Err(CallError::Refused { status, .. }) if status.as_u16() == 409 => {
            // A conflict is our own earlier copy.
            PostResult::Posted { genesys_id: None }
        }
        Err(error) => match &error {
            CallError::Refused { status, .. } if r#final.has(status.as_u16()) => {
                let why: String = error.to_string().chars().take(300).collect();
                PostResult::Refused { why: why.into() }
            }
            CallError::NotSent { .. }
            | CallError::RateLimited { .. }
            | CallError::Unauthorized { .. } => {
                return Err(later(&error, false));
            }
            CallError::Refused { .. }
            | CallError::Unknown { .. }
            | CallError::Unavailable { .. } => {
                return Err(later(&error, true));
            }
        },
    };
    Ok(Outcome::Done(Box::new(done(result))))
}

impl Final {
    fn has(self, status: u16) -> bool {
        match self {
            Self::Body => matches!(status, 400 | 410 | 413 | 415 | 422),
            Self::BodyOrMissing => status == 404 || Self::Body.has(status),
            Self::All => true,
        }
    }
}

fn later(error: &CallError, doubt: bool) -> Outcome {
    let after = match error {
        CallError::Unavailable { retry_after, .. } => *retry_after,
        // A matter of configuration: somebody has to mend it first.
        CallError::Unauthorized { .. } | CallError::Refused { .. } => Some(Duration::from_secs(10)),
        // The budget keeps the lane shut after a 429; waiting here as well would only delay it.
        CallError::RateLimited { .. } | CallError::NotSent { .. } | CallError::Unknown { .. } => {
            None
        }
    };
    Outcome::Later { why: error.to_string(), after, doubt }
}

/// The message's row is gone, so there is nothing to say and nobody to say it about.
fn lost(done: impl FnOnce(PostResult) -> Input) -> Outcome {
    Outcome::Done(Box::new(done(PostResult::Refused {
        why: "the message's row is gone from the store".into(),
    })))
}
