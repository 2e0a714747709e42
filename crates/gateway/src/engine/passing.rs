//! What a conversation may hear in passing: with whatever comes next, or a moment later.
//!
//! That a receipt has reached Genesys changes nothing that anybody waits for. To wake the conversation for it, and to append
//! to its journal, costs as much as a message's other steps; where the next message comes soon, it rides along with that
//! one. After a crash in that moment the receipt stands in the outbox still, and Genesys is asked whether it has it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use conversation::{ConversationId, Input};
use store::Drive;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{Delivery, Engine};

/// How long a conversation may go without hearing it.
const MOMENT: Duration = Duration::from_millis(500);

/// Conversations that have no task, and what they have not heard.
pub(super) type Passing = HashMap<ConversationId, Unheard>;

pub(super) struct Unheard {
    /// By whose right it was delivered.
    drive: Drive,
    /// When they have to hear it.
    at: Instant,
    pub(super) deliveries: Vec<Delivery>,
}

/// When which conversation has to hear what it has not heard yet.
pub(super) type Moments = mpsc::UnboundedSender<(Instant, ConversationId)>;

impl Engine {
    /// Hands an input to a conversation like [`Engine::deliver`], but without waking it at once.
    pub(crate) fn deliver_in_passing(
        self: &Arc<Self>,
        conversation: &ConversationId,
        drive: Drive,
        input: Input,
    ) -> oneshot::Receiver<()> {
        let (done, durable) = oneshot::channel();
        let mut slots = self.slots();
        let at = Instant::now() + MOMENT;
        if self.moments.send((at, conversation.clone())).is_err() {
            // The gateway stops: nothing comes that it could ride along with.
            drop(slots);
            self.put(conversation, drive, (input, Some(done)));
            return durable;
        }
        if let Some(mailbox) = slots.running.get(conversation) {
            mailbox.mail().deliveries.push_back((input, Some(done)));
        } else {
            let unheard = slots.passing.entry(conversation.clone());
            let unheard = unheard.or_insert_with(|| Unheard { drive, at, deliveries: Vec::new() });
            unheard.deliveries.push((input, Some(done)));
        }
        durable
    }

    /// Sees to it that nothing waits for longer than [`MOMENT`], until the gateway stops: then nothing waits at all.
    pub(super) async fn end_moments(self: Arc<Self>, mut moments: mpsc::UnboundedReceiver<(Instant, ConversationId)>) {
        while let Some((at, conversation)) = moments.recv().await {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => moments.close(),
                () = tokio::time::sleep_until(at) => {}
            }
            self.hear(&conversation, at);
        }
    }

    /// Lets a conversation hear what it should have heard in passing by now. What came later has a moment of its own.
    fn hear(self: &Arc<Self>, conversation: &ConversationId, now: Instant) {
        let mut slots = self.slots();
        if let Some(mailbox) = slots.running.get(conversation) {
            if !mailbox.mail().deliveries.is_empty() {
                mailbox.arrived.notify_one();
            }
        } else if slots.passing.get(conversation).is_some_and(|unheard| unheard.at <= now)
            && let Some(Unheard { drive, deliveries, .. }) = slots.passing.remove(conversation)
        {
            self.begin(&mut slots, conversation, drive, |mail| mail.deliveries.extend(deliveries));
        }
    }
}
