//! Decides whether Genesys fails only for one customer's message. Only then does a failed try count
//! towards giving the message up. During an outage nothing is given up, however long it lasts.

use std::sync::{MutexGuard, PoisonError};

use conversation::mutant::{self, Mutant};
use genesys::{CallError, Lane};
use store::{Chain, OutboxItem};
use tokio::time::Instant;

use super::genesys_health::GenesysHealth;
use super::post::{Final, Post};
use crate::to_genesys;

/// The id of an integration that no organization has. Genesys answers a post to it, and no person
/// sees it.
const NOWHERE: &str = "00000000-0000-0000-0000-000000000000";

/// How many customers may wait, this one included, and still have poisoned messages. If more wait
/// and no message gets through, Genesys is at fault, whatever else it answers.
const FEW: usize = 4;

impl Post<'_> {
    /// Records an answer about a customer's message, if Genesys accepted the message or refused it
    /// for good.
    pub(super) fn note<T>(&self, item: &OutboxItem, answer: &Result<T, CallError>) {
        let heard = match answer {
            Ok(_) => true,
            Err(CallError::Refused { status, .. }) => {
                status.as_u16() == 409 || Final::Body.has(status.as_u16())
            }
            Err(_) => false,
        };
        if heard {
            self.health().note(&item.conversation, Instant::now());
        }
    }

    /// Whether a post failed while Genesys worked for others.
    pub(super) async fn is_alone(&self, item: &OutboxItem, error: Option<&CallError>) -> bool {
        let may_be_down = match error {
            Some(CallError::Unknown { .. } | CallError::Unavailable { .. }) => true,
            // A refusal that is not final may be a missing permission, which affects all customers.
            Some(CallError::Refused { .. }) => false,
            None
            | Some(
                CallError::NotSent { .. }
                | CallError::RateLimited { .. }
                | CallError::Unauthorized { .. },
            ) => {
                return false;
            }
        };
        if mutant::is(Mutant::OutageCounts) {
            return true;
        }
        let since = self.before.unwrap_or_else(Instant::now);
        if self.health().heard_since(&item.conversation, since) {
            return true;
        }
        if !may_be_down {
            return false;
        }
        // Counts on all nodes, because each of them may have only a few.
        let name = &self.integration.name;
        match self.store.undelivered_besides(name, &item.conversation, FEW).await {
            Ok(0) => self.answers().await,
            Ok(1..FEW) => self.takes_messages(item, since).await,
            Ok(_) => false,
            Err(error) => {
                let error = Chain(&error);
                tracing::debug!(integration = %name, %error, "cannot count who waits for Genesys");
                false
            }
        }
    }

    /// Whether Genesys answers a query. This is asked if no other customer's message shows whether
    /// it works.
    async fn answers(&self) -> bool {
        let id = &self.integration.genesys_id;
        let read = async |client: genesys::Client| client.integration(id).await;
        let answer = self.calls.call(Lane::Background, read).await;
        answer.is_ok_and(|answer| answer.value.id.eq_ignore_ascii_case(id))
    }

    /// Whether Genesys reads customers' messages at all. This is asked if a few others wait as
    /// well: either all of them are poisoned, or Genesys is down. A message to an integration that
    /// does not exist is refused by the part that reads messages, and changes nothing.
    async fn takes_messages(&self, item: &OutboxItem, since: Instant) -> bool {
        if let Some(known) = self.health().read_since(since) {
            return known;
        }
        let probe = to_genesys::probe(item.since);
        let post =
            async |client: genesys::Client| client.post_message(NOWHERE, &probe, false).await;
        let read = match self.calls.call(Lane::Background, post).await {
            Ok(_) => true,
            // A 403 does not count: a client without the permission gets it even if the service is
            // down.
            Err(CallError::Refused { status, .. })
                if matches!(status.as_u16(), 400 | 404 | 410 | 422) =>
            {
                self.calls.was_answered();
                true
            }
            Err(
                CallError::Refused { .. }
                | CallError::Unknown { .. }
                | CallError::Unavailable { .. },
            ) => false,
            // The question was not answered: this says nothing about whether Genesys reads
            // messages.
            Err(
                CallError::NotSent { .. }
                | CallError::RateLimited { .. }
                | CallError::Unauthorized { .. },
            ) => {
                return false;
            }
        };
        self.health().note_read(read, Instant::now());
        read
    }

    fn health(&self) -> MutexGuard<'_, GenesysHealth> {
        // Nothing panics while the lock is held, so the data is consistent.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
