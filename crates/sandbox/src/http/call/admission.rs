//! Who may call: the token, its rate limit, and the permission of its client.

use axum::http::{HeaderMap, StatusCode, header};

use super::super::answer::ApiError;
use super::super::operations::Operation;
use crate::app::App;
use crate::world::Admission;

/// The caller, for handlers that need it.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The OAuth client's id.
    pub(crate) client: String,
}

/// A call whose token is alive and within its rate limit.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) caller: Caller,
    pub(super) token: String,
    pub(super) window: RateWindow,
}

/// The position of a call in the rate window of its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateWindow {
    /// How many calls the window has with this one.
    pub(super) count: u32,
    /// How many it may have; 0 sets no limit.
    pub(super) allowed: u32,
    /// Seconds to the window's end.
    pub(super) reset: u64,
}

impl RateWindow {
    /// Shows the window to the caller, as Genesys does.
    pub(super) fn show_in(self, headers: &mut HeaderMap) {
        headers.insert("inin-ratelimit-count", self.count.into());
        headers.insert("inin-ratelimit-allowed", self.allowed.into());
        headers.insert("inin-ratelimit-reset", self.reset.into());
    }
}

/// Counts the call, and refuses it with 401 or 429. `shown` becomes what the answer's headers say,
/// whether the call is admitted or not.
pub(super) fn admit(
    app: &App,
    headers: &HeaderMap,
    shown: &mut Option<RateWindow>,
) -> Result<Admitted, ApiError> {
    let switches = app.switches();
    let refused = || ApiError::of_status(StatusCode::UNAUTHORIZED);
    let token = bearer(headers).ok_or_else(refused)?;
    let (admission, client) = {
        let mut world = app.world();
        let admission = world.tokens.admit(token, app.clock.now(), switches.rate_per_minute);
        (admission, world.tokens.client_of(token).unwrap_or_default())
    };
    match admission {
        Admission::Refused => Err(refused()),
        Admission::Limited { allowed, reset } => {
            *shown = Some(RateWindow { count: allowed.saturating_add(1), allowed, reset });
            Err(ApiError::limited(allowed, reset, switches.limit_code))
        }
        Admission::Admitted { count, allowed, reset } => {
            let window = RateWindow { count, allowed, reset };
            *shown = Some(window).filter(|window| window.allowed > 0);
            Ok(Admitted { caller: Caller { client }, token: token.to_owned(), window })
        }
    }
}

/// Refuses with 403 if the client's role lacks the permission that the operation needs.
pub(super) fn authorize(app: &App, caller: &Caller, operation: &Operation) -> Result<(), ApiError> {
    if operation.needs.is_empty() || app.world().clients.may(&caller.client, operation.needs) {
        Ok(())
    } else {
        Err(ApiError::forbidden(operation.needs))
    }
}

/// The token of a call, if it has one.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
