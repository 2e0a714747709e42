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

/// Deliveries to conversations that have no task, by whose right they were made.
pub(super) type Passing = HashMap<ConversationId, (Drive, Vec<Delivery>)>;

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
        if self.moments.send((Instant::now() + MOMENT, conversation.clone())).is_err() {
            // The gateway stops: nothing comes that it could ride along with.
            drop(slots);
            self.put(conversation, drive, (input, Some(done)));
            return durable;
        }
        if let Some(mailbox) = slots.running.get(conversation) {
            mailbox.mail().deliveries.push_back((input, Some(done)));
        } else {
            let waiting = slots.passing.entry(conversation.clone());
            waiting.or_insert_with(|| (drive, Vec::new())).1.push((input, Some(done)));
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
            self.hear(&conversation);
        }
    }

    /// Lets a conversation hear now what it would have heard in passing.
    fn hear(self: &Arc<Self>, conversation: &ConversationId) {
        let mut slots = self.slots();
        if let Some(mailbox) = slots.running.get(conversation) {
            if !mailbox.mail().deliveries.is_empty() {
                mailbox.arrived.notify_one();
            }
        } else if let Some((drive, deliveries)) = slots.passing.remove(conversation) {
            self.begin(&mut slots, conversation, drive, |mail| mail.deliveries.extend(deliveries));
        }
    }
}
