//! Keeps the order of a socket's events when the gateway could not take some of them.
//!
//! A chat service need not wait for one answer before it sends the next frame. So frames may be on
//! their way when an earlier one is answered with 503. If the gateway took them, they would
//! overtake it.

use std::collections::VecDeque;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::Instant;

/// How many refused frames of one socket are remembered.
const MAX_REFUSED: usize = 256;
/// How long the first refused frame may stay away while others come.
const MAX_ABSENCE: Duration = Duration::from_mins(1);

/// The frames of events of one socket that were answered with 503, in the order in which they came
/// first. Only the first of them may be taken, when it comes again.
pub(super) struct EventOrder {
    /// The ids of the frames, as JSON.
    refused: VecDeque<String>,
    /// When the first of them came last.
    first_came: Instant,
    /// Frames were refused that are not remembered, or the first one did not come again.
    is_lost: bool,
}

impl EventOrder {
    pub(super) fn new() -> Self {
        Self { refused: VecDeque::new(), first_came: Instant::now(), is_lost: false }
    }

    /// Whether the order can no longer be kept over this socket: nothing more is taken.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Why a frame must not be taken now. `id` is JSON.
    pub(super) fn obstacle(&self, id: &str) -> Option<String> {
        if self.is_lost {
            return Some("open a new socket, and send again what was not taken, in order".into());
        }
        let first = self.refused.front().filter(|first| *first != id)?;
        Some(format!(
            "frame {first} came earlier and was not taken; send it again first, then this one"
        ))
    }

    /// Notes how a frame was answered. `id` is JSON.
    pub(super) fn answered(&mut self, id: &str, status: StatusCode) {
        let now = Instant::now();
        if self.refused.front().is_none_or(|first| first == id) {
            self.first_came = now;
        }
        if status != StatusCode::SERVICE_UNAVAILABLE {
            // Only the first can be taken, if there is one.
            self.refused.pop_front();
            return;
        }
        let is_known = self.refused.iter().any(|refused| refused == id);
        let is_full = !is_known && self.refused.len() >= MAX_REFUSED;
        self.is_lost |= is_full || now - self.first_came > MAX_ABSENCE;
        if !is_known && !is_full {
            self.refused.push_back(id.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

    /// Lets a frame come while the store is there, or is not. Returns whether it was taken.
    fn comes(order: &mut EventOrder, id: &str, store: bool) -> bool {
        let taken = store && order.obstacle(id).is_none();
        order.answered(id, if taken { StatusCode::ACCEPTED } else { REFUSED });
        taken
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_refused_is_taken_in_the_order_in_which_it_came_first() {
        let mut order = EventOrder::new();
        assert!(comes(&mut order, "1", true));
        assert!(!comes(&mut order, "2", false));
        for (id, taken) in [
            ("3", false),
            ("4", false),
            ("3", false),
            ("2", true),
            // It was on its way when the second came again.
            ("5", false),
            ("4", false),
            ("3", true),
            ("4", true),
            ("5", true),
            ("6", true),
        ] {
            assert_eq!(comes(&mut order, id, true), taken, "{id}");
        }
        assert!(!order.is_lost());
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_refusal_of_the_first_frees_the_next() {
        let mut order = EventOrder::new();
        assert!(!comes(&mut order, "1", false) && !comes(&mut order, "2", true));
        assert_eq!(order.obstacle("1"), None);
        order.answered("1", StatusCode::BAD_REQUEST);
        assert!(comes(&mut order, "2", true));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_remembered_than_the_limit() {
        let mut order = EventOrder::new();
        for n in 0..MAX_REFUSED {
            assert!(!comes(&mut order, &n.to_string(), false));
        }
        assert!(!order.is_lost());
        assert!(!comes(&mut order, "one too many", true));
        assert!(order.is_lost() && !comes(&mut order, "0", true), "nothing is taken any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_that_never_comes_again_does_not_block_the_socket_for_ever() {
        let mut order = EventOrder::new();
        assert!(!comes(&mut order, "1", false));
        tokio::time::advance(MAX_ABSENCE).await;
        assert!(!comes(&mut order, "2", true) && !order.is_lost());
        assert!(!comes(&mut order, "1", false), "it came, and the store was away");
        tokio::time::advance(MAX_ABSENCE).await;
        assert!(!comes(&mut order, "2", true) && !order.is_lost());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!comes(&mut order, "2", true) && order.is_lost());
    }
}
