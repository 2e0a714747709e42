//! What waits for the task of one conversation.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use conversation::Input;
use tokio::sync::{Notify, oneshot};

use super::fast_path::FastPath;

/// An input, and the channel on which to report that it is durable.
pub(super) type Delivery = (Input, Option<oneshot::Sender<()>>);

#[derive(Default)]
pub(super) struct Mailbox {
    state: Mutex<Mail>,
    pub(super) arrived: Notify,
}

#[derive(Default)]
pub(super) struct Mail {
    /// The inbox in the store has something new.
    pub(super) inbox: bool,
    pub(super) deliveries: VecDeque<Delivery>,
    /// The message on the fast path for which the task was started.
    pub(super) fast_path: Option<FastPath>,
}

impl Mailbox {
    /// Makes the task read the inbox.
    pub(super) fn wake(&self) {
        self.mail().inbox = true;
        self.arrived.notify_one();
    }

    /// Hands over an input.
    pub(super) fn deliver(&self, delivery: Delivery) {
        self.mail().deliveries.push_back(delivery);
        self.arrived.notify_one();
    }

    pub(super) fn mail(&self) -> MutexGuard<'_, Mail> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
