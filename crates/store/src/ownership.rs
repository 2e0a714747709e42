//! Which node drives which conversation.

use async_trait::async_trait;
use conversation::ConversationId;

use crate::LeaseGuard;

/// What changed for this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnershipEvent {
    /// This node may drive conversations that it could not drive before: it must check what they
    /// need.
    ShardsGained,
    /// A conversation that this node drives has something in its inbox.
    PendingInput(ConversationId),
}

/// Divides the conversations among the nodes that use one store. The default methods are those of a
/// store that only one process uses.
#[async_trait]
pub trait Ownership: Send + Sync {
    /// Whether other nodes may use the store too. Then `with_pending_input`, `due`, `outbox` and
    /// `watched` answer for the conversations that this node drives. Callers must poll them,
    /// because another node may have added something without a hint.
    fn is_clustered(&self) -> bool {
        false
    }

    /// The right to begin work in a conversation, if this node has it now.
    fn acquire(&self, _: &ConversationId) -> Option<LeaseGuard> {
        Some(LeaseGuard::exclusive())
    }

    /// The right to finish what is open in a conversation, if this node has it now. The node has it
    /// even while the conversation is to be handed over and no new work may begin. So a deadline in
    /// that time need not wait for the next node.
    fn acquire_to_finish(&self, conversation: &ConversationId) -> Option<LeaseGuard> {
        self.acquire(conversation)
    }

    /// Hands over each conversation once no guard of its shard exists, because this process will
    /// end.
    fn step_down(&self) {}

    /// Tells the node that drives a conversation that its inbox has something new. Best effort.
    fn notify_owner(&self, _: &ConversationId) {}

    /// Waits for the next change; one caller at a time.
    async fn next_event(&self) -> OwnershipEvent {
        std::future::pending().await
    }
}
