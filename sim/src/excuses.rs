//! Observes what excuses a late fate (I8): the times when no node could work on a conversation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::in_time::{LOOK, LeaseSeen};
use crate::process::Node;
use crate::world::World;

/// Checks periodically which node could work on each conversation.
pub(crate) async fn watch(world: Arc<World>) {
    let (mut before, mut fell) = (0, Duration::ZERO);
    world.ledger().in_time.hand_over = world.plan.takeover / 4;
    loop {
        tokio::time::sleep(LOOK).await;
        let now = world.passed();
        let refuses_writes = world.weather().database_full;
        let fit: BTreeMap<String, Duration> = {
            let mut nodes = world.nodes();
            nodes
                .iter_mut()
                .filter_map(|node| Some((node.name(), node.fit_since(now, refuses_writes)?)))
                .collect()
        };
        // How much a node takes over depends on how many nodes live. While a fallen node still
        // counts, the others leave it its share.
        if fit.len() < before {
            fell = now;
        }
        before = fit.len();
        let leaving: Vec<_> =
            world.nodes().iter().filter(|node| node.leaves()).map(Node::name).collect();
        for number in 0..world.plan.customers {
            let conversation = &world.customers[number];
            let holder = world.database.holder(conversation);
            let written = world
                .database
                .lease_written(conversation)
                .map_or(Duration::ZERO, |at| world.at(at));
            let driven = holder.as_ref().is_some_and(|node| {
                fit.contains_key(node) && world.database.has_valid_lease(node, conversation)
            });
            let mut ledger = world.ledger();
            let away = ledger.in_time.away(number);
            let stalls = !driven && holder.as_ref().is_some_and(|node| fit.contains_key(node));
            let leaves = holder.as_ref().is_some_and(|holder| leaving.contains(holder));
            let since = away.see(LeaseSeen { holder, written, leaves, stalls });
            // A node that was fit all this time should have taken over.
            let could = fit.values().any(|fit| {
                now.saturating_sub(since.max(*fit).max(fell)) > world.plan.takeover + LOOK
            });
            away.look(now, refuses_writes || (!driven && !could));
        }
    }
}
