//! One item that Genesys is owed: which call delivers it, and what the answer means.

use std::sync::Mutex;
use std::time::Duration;

use connector::{Customer, Event};
use conversation::mutant::{self, Mutant};
use conversation::{
    Answer, Choice, Fate, Input, MessageId, NoticeKind, OptionKind, Owed, PostResult,
};
use genesys::agent::ParticipantPatch;
use genesys::conversation::{ParticipantState, Purpose};
use genesys::inbound::{ButtonResponse, ButtonResponseType};
use genesys::{CallError, Lane};
use store::{Body, Chain, Direction, OutboxItem, Store, StoreError};
use tokio::time::Instant;

use super::budgeted_calls::BudgetedCalls;
use super::file_waits::NeededFiles;
use super::genesys_health::GenesysHealth;
use crate::customer_message::{self, Part};
use crate::files;
use crate::settings::Integration;
use crate::to_genesys::{self, Inbound};

pub(super) struct Post<'a> {
    pub(super) integration: &'a Integration,
    pub(super) store: &'a dyn Store,
    pub(super) calls: &'a BudgetedCalls<'a>,
    /// The call may have been made already.
    pub(super) doubt: bool,
    /// When the previous attempt was made, if there was one.
    pub(super) before: Option<Instant>,
    pub(super) health: &'a Mutex<GenesysHealth>,
    /// What is posted of a customer's message, if it had to wait for files.
    pub(super) linked: Option<&'a Part>,
}

pub(super) enum Outcome {
    /// It is done, or will never be done. The input tells the conversation which.
    Done(Box<Input>),
    /// It must be retried.
    Later(Later),
    /// It must wait for these files first. No call was made.
    Files(Box<NeededFiles>),
}

/// Why an item must be retried, and when.
pub(super) struct Later {
    pub(super) why: String,
    pub(super) after: Option<Duration>,
    pub(super) doubt: bool,
    /// Genesys works for others meanwhile, so it may never accept this item.
    pub(super) alone: bool,
}

impl From<StoreError> for Outcome {
    fn from(error: StoreError) -> Self {
        let why = Chain(&error).to_string();
        Self::Later(Later { why, after: None, doubt: true, alone: false })
    }
}

impl Post<'_> {
    pub(super) async fn post(&self, item: &OutboxItem) -> Outcome {
        let mut outcome = match &item.owed {
            Owed::Receipt { message, fate } => self.receipt(item, message, fate.as_ref()).await,
            Owed::Inbound { message, answer } => {
                self.inbound(item, message, answer.as_deref()).await
            }
            Owed::Notice { message, notice } => self.notice(item, message, *notice).await,
            Owed::Disconnect { id } => self.disconnect(item, id).await,
        };
        // Once in doubt, the item stays in doubt until an answer about the item itself.
        if let Err(Outcome::Later(later)) = &mut outcome {
            later.doubt |= self.doubt;
        }
        outcome.unwrap_or_else(|later| later)
    }

    async fn receipt(
        &self,
        item: &OutboxItem,
        message: &MessageId,
        fate: Option<&Fate>,
    ) -> Result<Outcome, Outcome> {
        let last = fate.is_some();
        let done = |result| Input::ReceiptDone { message: message.clone(), last, result };
        let Some(kept) = self.body(Direction::Outbound, message).await? else {
            return Ok(lost(done));
        };
        let customer = serde_json::from_str(&item.customer).ok();
        let receipt = to_genesys::receipt(&kept.foreign_id, customer.as_ref(), fate, item.since);
        let lane =
            if matches!(fate, Some(Fate::Failed { .. })) { Lane::Urgent } else { Lane::Delivered };
        if self.doubt && last && self.is_there(&kept.foreign_id, lane).await? {
            return Ok(Outcome::Done(Box::new(done(PostResult::Posted { genesys_id: None }))));
        }
        let id = &self.integration.genesys_id;
        let post = async |client: genesys::Client| client.post_receipt(id, &receipt).await;
        let answer = self.calls.call(lane, post).await;
        let refusals = self.refusals(&answer).await?;
        settled(answer.map(|_| None), done, refusals)
    }

    /// Whether Genesys has a final receipt for the message. Only an answer about its receipts, or a
    /// 404 for the message, decides this. After any other answer the question is repeated: without
    /// an answer, the receipt might be posted twice.
    async fn is_there(&self, foreign_id: &str, lane: Lane) -> Result<bool, Outcome> {
        let read = async |client: genesys::Client| client.message_details(foreign_id).await;
        match self.calls.call(lane, read).await {
            Ok(answer) => answer
                .value
                .has_final_receipt(foreign_id)
                .ok_or_else(|| unanswered("the message's receipts")),
            Err(CallError::Refused { status, .. }) if status.as_u16() == 404 => {
                self.calls.was_answered();
                Ok(false)
            }
            Err(CallError::Refused { .. } | CallError::Unknown { .. })
                if mutant::is(Mutant::UnansweredIsNo) =>
            {
                Ok(false)
            }
            Err(error) => Err(later(&error, true)),
        }
    }

    /// Which refusals are final after this answer. After a 404, this checks that the integration
    /// exists, because a configuration mistake must not discard anything.
    async fn refusals<T>(&self, answer: &Result<T, CallError>) -> Result<Final, Outcome> {
        if !matches!(answer, Err(CallError::Refused { status, .. }) if status.as_u16() == 404) {
            return Ok(Final::Body);
        }
        let id = &self.integration.genesys_id;
        let read = async |client: genesys::Client| client.integration(id).await;
        match self.calls.call(Lane::Background, read).await {
            Ok(answer) if answer.value.id.eq_ignore_ascii_case(id) => Ok(Final::BodyOrMissing),
            Ok(_) => Err(unanswered("the integration")),
            Err(CallError::Refused { status, .. }) if status.as_u16() == 404 => Ok(Final::Body),
            Err(error) => Err(later(&error, true)),
        }
    }

    /// Posts a customer's message. `named` is the option that its text names.
    async fn inbound(
        &self,
        item: &OutboxItem,
        message: &MessageId,
        named: Option<&Answer>,
    ) -> Result<Outcome, Outcome> {
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
            let why = "the stored event is not a message".into();
            return Ok(Outcome::Done(Box::new(done(PostResult::Refused { why }, None))));
        };
        let at = time.map_or(kept.received, |time| time.min(kept.received));
        let part = match customer_message::stored_part(text.as_deref(), &content) {
            Ok(part) => part,
            Err(why) => {
                let refused = PostResult::Refused { why: why.into() };
                return Ok(Outcome::Done(Box::new(done(refused, None))));
            }
        };
        let media = self.integration.media.as_ref();
        let part = match self.linked {
            Some(linked) => linked.clone(),
            None if files::inbound::is_due(media, &part) => {
                let (message, received) = (message.clone(), kept.received);
                return Ok(Outcome::Files(Box::new(NeededFiles { message, received, part })));
            }
            None => part,
        };
        let tap = match named {
            Some(named) => self.as_tap(named).await?,
            None => None,
        };
        let customer = files::inbound::customer(media, customer);
        let words = to_genesys::inbound(&id, &customer, part, at);
        let (answer, genesys) = match tap {
            Some(tap) => {
                let tap = to_genesys::inbound(&id, &customer, tap, at);
                match self.post_inbound(tap).await {
                    // That the text names an option is our reading of it. If Genesys refuses the
                    // option, it still gets the customer's words.
                    (Err(error), _) if is_refused(&error) => self.post_inbound(words).await,
                    posted => posted,
                }
            }
            None => self.post_inbound(words).await,
        };
        self.note(item, &answer);
        let alone = self.is_alone(item, answer.as_ref().err()).await;
        // For the answer to a button, a 404 may also mean that Genesys does not know the original
        // message.
        let refusals = self.refusals(&answer).await?;
        settled(answer, |result| done(result, genesys), refusals)
            .map_err(|later| later.alone(alone))
    }

    /// The option that a text names, as a tap on its button. `None` if the message that offered it
    /// is no longer stored, or cannot be read: then its words go.
    async fn as_tap(&self, answer: &Answer) -> Result<Option<Part>, Outcome> {
        let name = &self.integration.name;
        let offered = match self.store.body(name, Direction::Outbound, &answer.to).await {
            Ok(Some(offered)) => offered,
            Ok(None) | Err(StoreError::Corrupt(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Choice { kind, label, payload, .. } = answer.choice.clone();
        let (r#type, text) = match kind {
            OptionKind::Button => (ButtonResponseType::Button, label),
            OptionKind::QuickReply => (ButtonResponseType::QuickReply, label),
            // Both of its fields have the time as Genesys wrote it.
            OptionKind::DatePicker => (ButtonResponseType::DatePicker, payload.clone()),
        };
        let response = ButtonResponse {
            r#type,
            text: text.into(),
            payload: payload.into(),
            ..ButtonResponse::default()
        };
        Ok(Some(Part::Tap { response, origin: offered.foreign_id }))
    }

    /// Makes the call for one part. Returns Genesys's id of the message, and of its conversation.
    async fn post_inbound(&self, inbound: Inbound) -> Posted {
        let integration = &self.integration.genesys_id;
        match inbound {
            Inbound::Message(message) => {
                // The conversation id is always requested. A customer who returns late gets a new
                // conversation, and only the answer shows that.
                let post = async |client: genesys::Client| {
                    client.post_message(integration, &message, true).await
                };
                match self.calls.call(Lane::Urgent, post).await {
                    Ok(answer) => (Ok(answer.value.id), answer.value.conversation_id),
                    Err(error) => (Err(error), None),
                }
            }
            Inbound::Response(response) => {
                let post = async |client: genesys::Client| {
                    client.post_structured_response(integration, &response).await
                };
                (self.calls.call(Lane::Urgent, post).await.map(|answer| answer.value.id), None)
            }
        }
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
        let customer = files::inbound::customer(self.integration.media.as_ref(), customer);
        let notice = to_genesys::notice(
            message.as_str(),
            kind,
            self.integration.notices.of(kind),
            &customer,
            item.since,
        );
        let id = &self.integration.genesys_id;
        let post = async |client: genesys::Client| client.post_message(id, &notice, false).await;
        let answer = self.calls.call(Lane::Urgent, post).await;
        settled(answer.map(|answer| answer.value.id), done, Final::All)
    }

    /// Disconnects the customer's participant, which tells Genesys that the customer has left.
    async fn disconnect(&self, item: &OutboxItem, conversation: &str) -> Result<Outcome, Outcome> {
        let done = |result| Input::DisconnectDone { result };
        let read = async |client: genesys::Client| client.conversation(conversation).await;
        let found = match self.calls.call(Lane::Urgent, read).await {
            Ok(answer) if answer.value.id.as_deref() == Some(conversation) => answer.value,
            Ok(_) => return Err(unanswered("the conversation")),
            Err(error) => {
                let alone = self.is_alone(item, Some(&error)).await;
                return settled(Err(error), done, Final::All).map_err(|later| later.alone(alone));
            }
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
        let answer = self.calls.call(Lane::Urgent, post).await;
        let alone = self.is_alone(item, answer.as_ref().err()).await;
        settled(answer.map(|_| None), done, Final::All).map_err(|later| later.alone(alone))
    }

    async fn body(
        &self,
        direction: Direction,
        message: &MessageId,
    ) -> Result<Option<Body>, Outcome> {
        Ok(self.store.body(&self.integration.name, direction, message).await?)
    }
}

/// Which refusals are final.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Final {
    /// Refusals of the body itself. Others, such as 403, are about the configuration or about a
    /// proxy in between. That can be repaired, and nothing is discarded until then.
    Body,
    /// A 404 as well: the target no longer exists, so there is nothing left to tell.
    BodyOrMissing,
    /// All refusals: this item carries no one's words, so nothing is lost.
    All,
}

/// Genesys's answer to a customer's message: the id that it gave, and the id of its conversation.
type Posted = (Result<Option<String>, CallError>, Option<String>);

/// Whether Genesys does not take this call, for any reason: a permission may be missing. After a
/// conflict it has it already.
fn is_refused(error: &CallError) -> bool {
    matches!(error, CallError::Refused { status, .. } if status.as_u16() != 409)
}

/// What an answer means: done, refused for good, or to be retried.
fn settled(
    answer: Result<Option<String>, CallError>,
    done: impl FnOnce(PostResult) -> Input,
    r#final: Final,
) -> Result<Outcome, Outcome> {
    let result = match answer {
        Ok(id) => PostResult::Posted { genesys_id: id.map(String::into_boxed_str) },
        Err(CallError::Refused { status, .. }) if status.as_u16() == 409 => {
            // A conflict means that Genesys has our earlier copy.
            PostResult::Posted { genesys_id: None }
        }
        Err(error) => match &error {
            CallError::Refused { status, .. } if r#final.has(status.as_u16()) => {
                let why: String = Chain(&error).to_string().chars().take(300).collect();
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
    pub(super) fn has(self, status: u16) -> bool {
        match self {
            Self::Body => matches!(status, 400 | 410 | 413 | 415 | 422),
            Self::BodyOrMissing => status == 404 || Self::Body.has(status),
            Self::All => true,
        }
    }
}

impl Outcome {
    /// Sets `alone`, if the outcome is to be retried.
    fn alone(self, alone: bool) -> Self {
        match self {
            Self::Later(later) => Self::Later(Later { alone, ..later }),
            other @ (Self::Done(_) | Self::Files(_)) => other,
        }
    }
}

fn later(error: &CallError, doubt: bool) -> Outcome {
    let after = match error {
        CallError::Unavailable { retry_after, .. } => *retry_after,
        // A configuration problem, which an operator must fix first.
        CallError::Unauthorized { .. } | CallError::Refused { .. } => Some(Duration::from_secs(10)),
        // The budget keeps the lane shut after a 429. A delay here as well would only add to it.
        CallError::RateLimited { .. } | CallError::NotSent { .. } | CallError::Unknown { .. } => {
            None
        }
    };
    Outcome::Later(Later { why: Chain(error).to_string(), after, doubt, alone: false })
}

/// The outcome for an answer that does not cover what was asked.
fn unanswered(about: &str) -> Outcome {
    let why = format!("the answer says nothing about {about}");
    Outcome::Later(Later { why, after: None, doubt: true, alone: false })
}

/// The outcome if the row of the message or customer is gone: there is nothing left to deliver.
fn lost(done: impl FnOnce(PostResult) -> Input) -> Outcome {
    Outcome::Done(Box::new(done(PostResult::Refused {
        why: "the message's row is gone from the store".into(),
    })))
}
