//! The last check whether a call may leave, which a connector makes immediately before the first
//! byte.
//!
//! DNS, connecting and TLS take time, so seconds may pass between the decision to make a call and
//! its first byte. The caller puts the conditions of its decision into a [`Departure`], and the
//! connector checks them when the connection is ready.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a call must not leave, or must not leave any more: a sentence for people.
///
/// ```
/// use connector::{Departure, Obstacle};
///
/// let departure = Departure::new(|| Err(Obstacle("another node took over")));
/// let error = departure.leave().unwrap_err();
/// assert_eq!(error.to_string(), "another node took over");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Obstacle(pub &'static str);

/// Decides whether the first byte of one call may leave, and records whether it has.
///
/// Clones belong to the same call: if one of them lets it leave or calls it off, that holds for
/// all.
///
/// ```
/// use connector::{Departure, Obstacle};
///
/// let late = Obstacle("the time is over");
/// let departure = Departure::free();
/// assert_eq!(departure.call_off(late), Some(late));
/// assert_eq!(departure.leave(), Err(late), "nothing leaves after it was called off");
///
/// let departure = Departure::free();
/// assert_eq!(departure.leave(), Ok(()));
/// assert_eq!(departure.call_off(late), None, "what has left cannot be called off");
/// ```
#[derive(Clone)]
pub struct Departure(Arc<Gate>);

struct Gate {
    look: Box<dyn Fn() -> Result<(), Obstacle> + Send + Sync>,
    status: Mutex<Status>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Nothing has left.
    Waiting,
    /// The first byte has left, or leaves now.
    Left,
    /// Nothing has left, and nothing will: the last check found this.
    Refused(Obstacle),
    /// Nothing has left, and nothing will: it was called off.
    CalledOff(Obstacle),
}

impl Departure {
    /// Creates the departure of a call that may leave if `look` finds no obstacle at that time.
    /// `look` must not block.
    pub fn new(look: impl Fn() -> Result<(), Obstacle> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Gate { look: Box::new(look), status: Mutex::new(Status::Waiting) }))
    }

    /// Creates the departure of a call without conditions.
    pub fn free() -> Self {
        Self::new(|| Ok(()))
    }

    /// Makes the last check. A connector must call this when the connection is ready, immediately
    /// before the first byte. A second call returns the result of the first.
    ///
    /// # Errors
    /// The [`Obstacle`], if `look` found one or the call was called off. Then nothing may leave.
    pub fn leave(&self) -> Result<(), Obstacle> {
        let mut status = self.status();
        if *status == Status::Waiting {
            *status = match (self.0.look)() {
                Ok(()) => Status::Left,
                Err(obstacle) => Status::Refused(obstacle),
            };
        }
        match *status {
            Status::Refused(obstacle) | Status::CalledOff(obstacle) => Err(obstacle),
            Status::Left | Status::Waiting => Ok(()),
        }
    }

    /// Stops the call unless it has left. Returns why it has not left: `why`, or an earlier
    /// obstacle. Returns `None` if something has left already.
    pub fn call_off(&self, why: Obstacle) -> Option<Obstacle> {
        let mut status = self.status();
        match *status {
            Status::Left => None,
            Status::Refused(before) | Status::CalledOff(before) => Some(before),
            Status::Waiting => {
                *status = Status::CalledOff(why);
                Some(why)
            }
        }
    }

    /// The obstacle that the last check found, if there was one.
    pub fn refused(&self) -> Option<Obstacle> {
        match *self.status() {
            Status::Refused(obstacle) => Some(obstacle),
            Status::Waiting | Status::Left | Status::CalledOff(_) => None,
        }
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        // If `look` panics, the status stays as it was: nothing has left.
        self.0.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Departure").field(&*self.status()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const LATE: Obstacle = Obstacle("too late");
    const LATER: Obstacle = Obstacle("even later");

    #[test]
    fn what_left_cannot_be_called_off() {
        let departure = Departure::free();
        assert_eq!(departure.leave(), Ok(()));
        assert_eq!(departure.call_off(LATE), None);
    }

    #[test]
    fn what_was_called_off_never_leaves_and_keeps_its_first_reason() {
        let departure = Departure::free();
        assert_eq!(departure.clone().call_off(LATE), Some(LATE));
        assert_eq!(departure.leave(), Err(LATE));
        assert_eq!(departure.call_off(LATER), Some(LATE));
    }

    #[test]
    fn what_met_an_obstacle_does_not_leave_when_the_obstacle_is_gone() {
        let shut = Arc::new(AtomicBool::new(true));
        let gate = Arc::clone(&shut);
        let departure =
            Departure::new(move || if gate.load(Ordering::Relaxed) { Err(LATE) } else { Ok(()) });
        assert_eq!(departure.leave(), Err(LATE));
        shut.store(false, Ordering::Relaxed);
        assert_eq!(departure.leave(), Err(LATE), "the caller was told that nothing leaves");
        assert_eq!((departure.refused(), departure.call_off(LATER)), (Some(LATE), Some(LATE)));
    }
}
