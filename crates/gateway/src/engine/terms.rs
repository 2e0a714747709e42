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

/// A decision older than this is late. It is decided again if its deadline has passed. A node that
/// is about to stop or hand over leaves a late decision to the next one.
const LATE: SignedDuration = SignedDuration::from_secs(1);
/// How long after its deadline a call that has sent nothing is dropped. The connector's own timeout
/// ends at the deadline, and its error says what delayed the call.
const CAUSE_GRACE: Duration = Duration::from_millis(100);

const CALLED_OFF: Obstacle = Obstacle("its fate was decided before it could be sent");
const TAKEN_OVER: Obstacle = Obstacle("another node may have taken over");
const TIME_UP: Obstacle = Obstacle("its time was up before it could be sent");
const STOPPING: Obstacle = Obstacle("the gateway was stopping");
const HANDING_OVER: Obstacle = Obstacle("the conversation was being handed over to another node");

/// Why no new work may start in a conversation, if that is so.
pub(super) fn no_new_work(stop: &CancellationToken, guard: &LeaseGuard) -> Option<Obstacle> {
    if stop.is_cancelled() {
        Some(STOPPING)
    } else if guard.admits_new_work() {
        None
    } else if guard.is_valid() {
        Some(HANDING_OVER)
    } else {
        Some(TAKEN_OVER)
    }
}

/// Whether a decision is late: see [`LATE`].
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

/// Why a call has no answer: a condition no longer held.
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

    /// Makes the call while its conditions hold. The call is dropped if one of them ends before its
    /// first byte has left. After that, `wanted` says for how long its answer is awaited.
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
            // If the last check refused the departure, nothing has left, whatever result the
            // connector reports.
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

    /// Waits for something that the call needs before its first byte, unless no new work may begin.
    /// Nothing has left then, so the next process or node makes the call, and its outcome need not
    /// be unknown.
    pub(super) async fn before_departure<T>(
        &self,
        needed: impl Future<Output = T>,
    ) -> Result<T, Obstacle> {
        tokio::select! {
            biased;
            needed = needed => Ok(needed),
            () = self.stop.cancelled() => Err(STOPPING),
            () = self.guard.until_leaving() => {
                Err(no_new_work(&self.stop, &self.guard).unwrap_or(HANDING_OVER))
            }
        }
    }

    /// The last check before the first byte. Returns the first condition that does not hold.
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
        // At the deadline, no time is left for a connection.
        if now >= self.until {
            return Err(TIME_UP);
        }
        let no_new_work =
            no_new_work(&self.stop, &self.guard).filter(|_| is_late(self.decided, now));
        no_new_work.map_or(Ok(()), Err)
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
                // Once this node's lease is over, another node makes calls. It cannot know what
                // this node still waits for.
                () = self.guard.until_invalid() => TAKEN_OVER,
            },
        }
    }
}

/// For how long the answer to a call that has left is awaited.
#[derive(Clone, Copy)]
pub(super) enum AnswerUse {
    /// Until it comes: a session that was opened must be recorded.
    Always,
    /// Until the call is no longer open in the state, or the lease is over. Its result changes
    /// nothing after that.
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
