//! Which node drives which conversation.

use async_trait::async_trait;
use conversation::ConversationId;

use crate::LeaseGuard;

/// What has changed for this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnershipEvent {
    /// This node may drive conversations that it could not drive before: it must check what they
    /// need.
    ShardsGained,
    /// A conversation that this node drives has something in its inbox.
    PendingInput(ConversationId),
}

/// Shares the conversations out among the nodes that use one store. The default is that of a store
/// that one process has for itself.
#[async_trait]
pub trait Ownership: Send + Sync {
    /// Whether other nodes may use the store too. Then `with_pending_input`, `due`, `outbox` and
    /// `watched` answer for the conversations that this node drives. Callers must poll them:
    /// another node may have left something there unnoticed.
    fn is_clustered(&self) -> bool {
        false
    }

    /// The right to begin work in a conversation, if this node has it now.
    fn acquire(&self, _: &ConversationId) -> Option<LeaseGuard> {
        Some(LeaseGuard::exclusive())
    }

    /// The right to end what is open in a conversation, if this node has it now. It holds even
    /// while the conversation is about to be handed over and no new work may begin. A deadline in
    /// that time does not wait for the next node.
    fn acquire_to_finish(&self, conversation: &ConversationId) -> Option<LeaseGuard> {
        self.acquire(conversation)
    }

    /// Gives up the right to drive each conversation as soon as nothing is under way in it: this
    /// process will end.
    fn step_down(&self) {}

    /// Tells the node that drives a conversation that its inbox has something new. Best effort.
    fn notify_owner(&self, _: &ConversationId) {}

    /// Waits for the next change; one caller at a time.
    async fn next_event(&self) -> OwnershipEvent {
        std::future::pending().await
    }
}
