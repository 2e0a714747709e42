//! Lasting faults at Genesys: for some seconds, one kind of call fails in one way, while the others
//! work.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, Request};

/// How long a kind of call works between two faults. It is longer than the longest pause before a
/// retry.
const REST: Duration = Duration::from_mins(1);
/// A kind of call. Calls of one kind fail together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Endpoint {
    Token,
    Receipt,
    Message,
    Details,
    Other,
}

impl Endpoint {
    pub(crate) const ALL: [Self; 5] =
        [Self::Token, Self::Receipt, Self::Message, Self::Details, Self::Other];

    pub(crate) fn of(request: &Request<Vec<u8>>) -> Self {
        let path = request.uri().path();
        match *request.method() {
            _ if path == "/oauth/token" => Self::Token,
            Method::POST if path.ends_with("/receipt") => Self::Receipt,
            Method::POST if path.ends_with("/message") || path.ends_with("/response") => {
                Self::Message
            }
            Method::GET if path.ends_with("/details") => Self::Details,
            _ => Self::Other,
        }
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GenesysFault {
    /// It answers 503, and the call is not done.
    Away,
    /// It never answers, and the call is not done.
    Hangs,
    /// The call is done, and the answer never comes.
    Forgets,
    /// The call may be done, and the connection breaks.
    Breaks,
    /// It answers 403, and the call is not done.
    Forbidden,
    /// It answers 200 with the page of an intermediary, and the call is not done.
    Page,
    /// It answers 200 with an empty object, and the call is not done.
    Empty,
    /// It answers 429.
    Limits,
}

impl GenesysFault {
    pub(crate) const ALL: [Self; 8] = [
        Self::Away,
        Self::Hangs,
        Self::Forgets,
        Self::Breaks,
        Self::Forbidden,
        Self::Page,
        Self::Empty,
        Self::Limits,
    ];

    /// Whether this fault is possible for this kind of call. For a post, 200 with an empty object
    /// means success.
    fn suits(self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::Details => true,
            Endpoint::Receipt | Endpoint::Message => self != Self::Empty,
            Endpoint::Token => !matches!(self, Self::Empty | Self::Forbidden),
            Endpoint::Other => !matches!(self, Self::Empty | Self::Page | Self::Forbidden),
        }
    }
}

/// The kinds of call that have a fault, and until when.
#[derive(Debug, Default)]
pub(crate) struct Spells(BTreeMap<Endpoint, (GenesysFault, Duration)>);

impl Spells {
    /// What is wrong with these calls at `now`.
    pub(crate) fn at(&self, endpoint: Endpoint, now: Duration) -> Option<GenesysFault> {
        self.0.get(&endpoint).filter(|(_, until)| now < *until).map(|(trouble, _)| *trouble)
    }

    /// Begins a fault, if it is possible and the last one ended at least [`REST`] ago. Returns
    /// whether it has begun.
    pub(crate) fn begin(
        &mut self,
        endpoint: Endpoint,
        trouble: GenesysFault,
        now: Duration,
        lasts: Duration,
    ) -> bool {
        let rests = self.0.get(&endpoint).is_none_or(|(_, until)| now >= *until + REST);
        let begins = rests && trouble.suits(endpoint);
        if begins {
            self.0.insert(endpoint, (trouble, now + lasts));
        }
        begins
    }
}
