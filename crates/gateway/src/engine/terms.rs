//! The conditions that a call to the chat service must meet until its first byte has left.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use connector::{Departure, Obstacle};
use conversation::mutant::{self, Mutant};
use conversation::{Clock, Reason, ReasonCode};
use jiff::{SignedDuration, Timestamp};
use store::LeaseGuard;
use tokio_util::sync::CancellationToken;

use super::{Engine, timers};

/// How old a decision may be when it is carried out. Past this it has to be looked at again, and a
/// node that is about to hand over or to stop leaves it to the next one.
const LATE: SignedDuration = SignedDuration::from_secs(1);
/// How much longer than its time to wait for a call that has sent nothing. The connector's own
/// timeout ends at that time, and it knows what delayed the call.
const CAUSE_GRACE: Duration = Duration::from_millis(100);

const CALLED_OFF: Obstacle = Obstacle("its fate was decided before it could be sent");
const TAKEN_OVER: Obstacle = Obstacle("another node may have taken over");
const TIME_UP: Obstacle = Obstacle("its time was up before it could be sent");
const STOPPING: Obstacle = Obstacle("the gateway was stopping");

/// Whether a decision of that time is [`LATE`] by now.
pub(super) fn is_late(decided: Timestamp, now: Timestamp) -> bool {
    now.duration_since(decided) > LATE
}

/// The deadline and the lease under which one call may leave.
pub(super) struct CallTerms {
    clock: Arc<dyn Clock>,
    guard: LeaseGuard,
    stop: CancellationToken,
    /// When the call was decided.
    decided: Timestamp,
    /// The deadline for its first byte.
    until: Timestamp,
    called_off: CancellationToken,
}

/// A call whose conditions ended before it was answered.
pub(super) enum CallEnd {
    /// Nothing has left, and nothing will.
    NothingLeft(Obstacle),
    /// Something has left, but its answer is no longer awaited.
    Left(Obstacle),
}

impl CallTerms {
    pub(super) fn new(
        engine: &Engine,
        guard: &LeaseGuard,
        decided: Timestamp,
        until: Timestamp,
    ) -> Self {
        Self {
            clock: Arc::clone(&engine.clock),
            guard: guard.clone(),
            stop: engine.stop.clone(),
            decided,
            until,
            called_off: CancellationToken::new(),
        }
    }

    /// The token that cancels the call when something else is decided. For example, a report may
    /// overtake an attempt, or a session may open unasked.
    pub(super) fn called_off(&self) -> CancellationToken {
        self.called_off.clone()
    }

    /// The part of `most` that remains until the deadline.
    pub(super) fn cut(&self, most: Duration) -> Duration {
        if mutant::is(Mutant::AttemptOutlivesMessage) {
            return most;
        }
        Duration::try_from(self.until.duration_since(self.clock.now()))
            .unwrap_or_default()
            .min(most)
    }

    /// Makes the call while its conditions hold. The call is dropped if they end before its first
    /// byte has left. After that, its answer is awaited for as long as `wanted` says.
    pub(super) async fn make<T, F: Future<Output = T>>(
        self,
        wanted: AnswerUse,
        call: impl FnOnce(Departure, Arc<Self>) -> F,
    ) -> Result<T, CallEnd> {
        let terms = Arc::new(self);
        // A call that may not leave now need not connect.
        terms.hold().map_err(CallEnd::NothingLeft)?;
        if mutant::is(Mutant::LookBeforeConnect) {
            return Ok(call(Departure::free(), Arc::clone(&terms)).await);
        }
        let looked_at = Arc::clone(&terms);
        let departure = Departure::new(move || looked_at.hold());
        let mut call = pin!(call(departure.clone(), Arc::clone(&terms)));
        let obstacle = tokio::select! {
            biased;
            // Nothing left because of what the last check found, whatever result the connector
            // reports.
            answer = &mut call => {
                let found = departure.refused().map(CallEnd::NothingLeft);
                return found.map_or(Ok(answer), Err);
            }
            obstacle = terms.end() => obstacle,
        };
        if let Some(obstacle) = departure.call_off(obstacle) {
            return Err(CallEnd::NothingLeft(obstacle));
        }
        tokio::select! {
            biased;
            answer = &mut call => Ok(answer),
            obstacle = terms.unwanted(wanted) => Err(CallEnd::Left(obstacle)),
        }
    }

    /// The last check.
    fn hold(&self) -> Result<(), Obstacle> {
        let now = self.clock.now();
        if self.called_off.is_cancelled() {
            return Err(CALLED_OFF);
        }
        // A process that was paused, or a machine that slept, notices here that another node may
        // own the conversation now.
        if !self.guard.is_valid() {
            return Err(TAKEN_OVER);
        }
        if mutant::is(Mutant::LateCallsMade) {
            return Ok(());
        }
        let stopping = self.stop.is_cancelled() || !self.guard.admits_new_work();
        // At the deadline, no time is left for a connection.
        if now >= self.until {
            Err(TIME_UP)
        } else if stopping && is_late(self.decided, now) {
            Err(STOPPING)
        } else {
            Ok(())
        }
    }

    /// Returns when a condition no longer holds.
    async fn end(&self) -> Obstacle {
        tokio::select! {
            biased;
            () = self.called_off.cancelled() => CALLED_OFF,
            () = self.guard.until_invalid() => TAKEN_OVER,
            () = self.time_is_up() => TIME_UP,
        }
    }

    async fn time_is_up(&self) {
        if mutant::is(Mutant::AttemptOutlivesMessage) {
            std::future::pending::<()>().await;
        }
        let until = self.until.checked_add(CAUSE_GRACE).unwrap_or(Timestamp::MAX);
        loop {
            let now = self.clock.now();
            if now >= until {
                return;
            }
            tokio::time::sleep(timers::until(now, until)).await;
        }
    }

    async fn unwanted(&self, wanted: AnswerUse) -> Obstacle {
        match wanted {
            AnswerUse::Always => std::future::pending().await,
            AnswerUse::WhileOpen => tokio::select! {
                biased;
                () = self.called_off.cancelled() => CALLED_OFF,
                // Another node makes calls once this node's lease is over. It cannot know what this
                // one still waits for.
                () = self.guard.until_invalid() => TAKEN_OVER,
            },
        }
    }
}

/// How long the answer to a call that has left is wanted.
#[derive(Clone, Copy)]
pub(super) enum AnswerUse {
    /// A session that was opened must be recorded.
    Always,
    /// The result of an attempt that was ended without its answer changes nothing.
    WhileOpen,
}

impl CallEnd {
    /// The reason, for people.
    pub(super) fn reason(&self) -> Reason {
        let (Self::NothingLeft(obstacle) | Self::Left(obstacle)) = *self;
        let code =
            if obstacle == TIME_UP { ReasonCode::MessageExpired } else { ReasonCode::GeneralError };
        Reason::new(code, obstacle.0)
    }
}
