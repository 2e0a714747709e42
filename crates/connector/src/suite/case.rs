//! What a case is.

use std::pin::Pin;

use super::stage::Stage;
use super::verdict::Outcome;

/// One case of the suite.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// What must be there, so that the case applies.
    pub(super) needs: &'static [Need],
    /// What goes wrong in a real installation if it fails.
    pub(super) why: &'static str,
    pub(super) phase: Phase,
    pub(super) run: Run,
}

pub(super) type Run = for<'a> fn(&'a Stage) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// When a case runs. Cases of one phase run at the same time, each in conversations of its own,
/// except those of [`Phase::Away`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// First.
    Together,
    /// The suite takes no events for a while, which would disturb others. One after the other.
    Away,
    /// The process is killed.
    Kill,
    /// When all events have come.
    Events,
}

impl Phase {
    pub(super) const ALL: [Self; 4] = [Self::Together, Self::Away, Self::Kill, Self::Events];
}

/// What a case needs, so that it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The call that shows the customer's view.
    View,
    /// A process that the suite may kill.
    Process,
    ReportsDelivery,
    Idempotent,
    Typing,
    MaxText,
    Media,
}

impl Need {
    /// Why it is not there; `None` if it is.
    pub(super) fn missing(self, stage: &Stage) -> Option<String> {
        let claimed = &stage.claims.capabilities;
        let unless = |is_there: bool, why: &str| (!is_there).then(|| why.to_owned());
        match self {
            Self::View => stage.no_view.clone(),
            Self::Process => unless(stage.process.is_some(), "it needs a COMMAND to kill"),
            Self::ReportsDelivery => {
                unless(claimed.reports_delivery, "`reports_delivery` is false")
            }
            Self::Idempotent => unless(claimed.idempotent, "`idempotent` is false"),
            Self::Typing => unless(claimed.typing, "`typing` is false"),
            Self::MaxText => unless(claimed.max_text.is_some(), "`max_text` is not set"),
            Self::Media => unless(!claimed.media.is_empty(), "`media` is empty"),
        }
    }
}
