//! What is recorded of a call: its line in the transcript, and its place in the verdict.

use axum::http::Method;
use axum::response::Response;

use super::super::answer::{About, Written};
use crate::app::App;
use crate::clock::wire_time;
use crate::faults::Action;
use crate::transcript::{Direction, Entry, Kind, body_of};
use crate::verdict::RefusedCall;

/// A call as it came in.
pub(super) struct Call<'a> {
    pub(super) method: &'a Method,
    /// With its query.
    pub(super) path: String,
    pub(super) body: &'a [u8],
}

impl Call<'_> {
    /// Records the call with its answer. The verdict does not count what a fault on purpose
    /// provoked.
    pub(super) fn note(self, app: &App, answer: &Response, about: &About, fault: Option<&Action>) {
        let status = answer.status().as_u16();
        let written = answer.extensions().get::<Written>();
        let (body, answer) = (body_of(self.body), written.and_then(|body| body_of(&body.0)));
        let mut world = app.world();
        let at = wire_time(app.clock.now());
        if fault.is_none() {
            let refused = |reason: Option<&String>| RefusedCall {
                path: self.path.clone(),
                reason: reason.cloned(),
                at: at.clone(),
            };
            match status {
                400 | 413 | 415 => world.record.invalid_bodies.push(refused(about.faults.first())),
                429 => world.record.rate_limited.push(refused(None)),
                _ => {}
            }
        }
        world.transcript.write(Entry {
            at,
            kind: Kind::Request,
            direction: Direction::In,
            method: Some(self.method.to_string()),
            path: Some(self.path),
            status: Some(status),
            integration: about.integration.clone(),
            conversation: about.conversation.clone(),
            message: about.message.clone(),
            body,
            answer,
            faults: about.faults.clone(),
            ..Entry::default()
        });
    }
}
