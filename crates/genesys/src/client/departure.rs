//! A request's body that records whether the request has left, and that can stop it.
//!
//! A request without a body needs one here too, if it changes something at Genesys (`DELETE`). At
//! the same moment hyper asks whether the body is empty, and only an empty body is never polled.
//! This one is empty as long as the request may leave.
//!
//! hyper polls the body when the connection is ready, before it writes the first byte of the head.
//! So nothing has left if the body was never polled. If the body fails when it is polled, the head
//! does not leave either.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::transport::CALLED_OFF;
use super::{CallError, MayLeave};

const WAITS: u8 = 0;
const LEFT: u8 = 1;
const REFUSED: u8 = 2;

/// The state of a request, shared with its body.
#[derive(Clone, Debug, Default)]
pub(super) struct Departure(Arc<AtomicU8>);

impl Departure {
    /// Whether bytes may have left.
    pub(super) fn has_left(&self) -> bool {
        self.0.load(Ordering::Acquire) == LEFT
    }

    /// Whether the last check kept it back.
    pub(super) fn was_refused(&self) -> bool {
        self.0.load(Ordering::Acquire) == REFUSED
    }

    /// Creates the body of this request, which runs the check when it is polled first.
    pub(super) fn body(&self, bytes: Vec<u8>, may_leave: &MayLeave) -> reqwest::Body {
        let body = Departing {
            bytes: Some(bytes.into()),
            may_leave: may_leave.clone(),
            departure: self.clone(),
        };
        reqwest::Body::wrap(body)
    }

    /// Creates the body of a request that has none. It runs the check whenever hyper asks whether
    /// it is empty, which is also earlier than at the first byte. So it cannot record that the
    /// request has left, but a request that it refuses once never leaves.
    pub(super) fn empty_body(&self, may_leave: &MayLeave) -> reqwest::Body {
        let may_leave = may_leave.clone();
        reqwest::Body::wrap(DepartingEmpty { may_leave, departure: self.clone() })
    }
}

struct Departing {
    bytes: Option<Bytes>,
    may_leave: MayLeave,
    departure: Departure,
}

impl Body for Departing {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        let state = &self.departure.0;
        if state.load(Ordering::Acquire) == WAITS {
            let asked = self.may_leave.ask();
            state.store(if asked.is_ok() { LEFT } else { REFUSED }, Ordering::Release);
            if let Err(error) = asked {
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

struct DepartingEmpty {
    may_leave: MayLeave,
    departure: Departure,
}

impl Body for DepartingEmpty {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        let refused = CallError::NotSent { cause: CALLED_OFF.into() };
        Poll::Ready(self.departure.was_refused().then_some(Err(refused)))
    }

    fn is_end_stream(&self) -> bool {
        if self.may_leave.ask().is_err() {
            self.departure.0.store(REFUSED, Ordering::Release);
        }
        !self.departure.was_refused()
    }

    /// Not exact: hyper would not poll a body of length zero.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
