//! Checks that a conversation has one driver (I9), by what each node relies on at this moment, by
//! its own clock.

use std::sync::Arc;
use std::time::Duration;

use conversation::ConversationId;

use crate::world::World;

/// How often all shards are checked.
const EVERY: Duration = Duration::from_millis(100);

/// Checks periodically whether two nodes rely on the same shard. Ends with the first breach.
pub(crate) async fn watch(world: Arc<World>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let running = world.running();
        let twice = world.database.shards_held_twice(|name| running.iter().any(|one| one == name));
        if let Some(first) = twice.first() {
            let more = twice.len() - 1;
            return world.breach(format!("I9: {first}, and {more} more are relied on twice"));
        }
    }
}

impl World {
    /// The names of the nodes whose processes are not dead.
    fn running(&self) -> Vec<String> {
        self.nodes().iter().filter(|node| node.runs()).map(crate::process::Node::name).collect()
    }

    /// Why a node must not make calls for this conversation now; `None` if it may.
    pub(crate) fn stranger(&self, node: &str, conversation: &ConversationId) -> Option<String> {
        let running = self.running();
        let holders = self.database.valid_holders(conversation);
        let holder = self.database.holder(conversation);
        let other = holders.iter().find(|name| *name != node && running.contains(name));
        if let Some(other) = other {
            Some(format!("I9: {other} relies on the conversation's lease"))
        } else if !holders.iter().any(|name| name == node) {
            Some(format!("I9: its lease has run out, the conversation is {holder:?}'s"))
        } else if holder.as_deref() != Some(node) && !self.weather().leases_lost {
            Some(format!("I9: the conversation is {holder:?}'s"))
        } else {
            None
        }
    }
}
