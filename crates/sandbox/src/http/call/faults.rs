//! Faults on purpose: which rules match a call, and what they do to it before its handler.

use axum::http::{Method, StatusCode};

use super::super::answer::ApiError;
use super::super::operations::Operation;
use super::admission::{Admitted, RateWindow};
use crate::app::App;
use crate::connection_breaker::ConnectionBreaker;
use crate::faults::{Action, Target};

/// What goes wrong with this call, if anything does.
pub(super) fn strike(app: &App, method: &Method, path: &str, body: &[u8]) -> Option<Action> {
    app.strike_call(&[Target::Api, target(method, path)], body)
}

/// Lets the fault happen. An error is the answer to the call, and its handler is not called.
/// Faults that concern the answer alone, such as `drop_answer`, do nothing here.
pub(super) async fn happen(
    app: &App,
    cut: &ConnectionBreaker,
    fault: &Action,
    operation: Option<&Operation>,
    admitted: &Admitted,
    shown: &mut Option<RateWindow>,
) -> Result<(), ApiError> {
    match fault {
        Action::Status(status) => Err(error(app, *status, operation, *shown)),
        Action::RevokeToken => {
            app.world().tokens.kill(&admitted.token);
            Err(ApiError::of_status(StatusCode::UNAUTHORIZED))
        }
        Action::Limit(lowered) => {
            let window = RateWindow { allowed: *lowered, ..admitted.window };
            *shown = Some(window);
            if window.count > window.allowed {
                let code = app.switches().limit_code;
                return Err(ApiError::limited(window.allowed, window.reset, code));
            }
            Ok(())
        }
        Action::Delay(span) => {
            app.clock.sleep(span.0).await;
            Ok(())
        }
        Action::Hang(_) => {
            app.stop.cancelled().await;
            cut.cut();
            Err(ApiError::of_status(StatusCode::SERVICE_UNAVAILABLE))
        }
        _ => Ok(()),
    }
}

/// The error of an injected status, as Genesys would word it for this call.
fn error(
    app: &App,
    status: u16,
    operation: Option<&Operation>,
    shown: Option<RateWindow>,
) -> ApiError {
    match StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR) {
        StatusCode::TOO_MANY_REQUESTS => {
            let switches = app.switches();
            let (allowed, reset) = shown
                .map_or((switches.rate_per_minute, 60), |window| (window.allowed, window.reset));
            ApiError::limited(allowed, reset, switches.limit_code)
        }
        StatusCode::FORBIDDEN => {
            ApiError::forbidden(operation.map_or(&[], |operation| operation.needs))
        }
        status => ApiError::of_status(status),
    }
}

/// Which fault rules match a call, by its path.
fn target(method: &Method, path: &str) -> Target {
    if path.ends_with("/inbound/open/receipt") {
        Target::Receipt
    } else if path.ends_with("/inbound/open/event") {
        Target::Event
    } else if path.ends_with("/inbound/open") || path.contains("/inbound/open/") {
        Target::Message
    } else if path.contains("/notifications/") {
        Target::Channel
    } else if path.contains("/messaging/integrations/open") {
        Target::Integration
    } else if *method == Method::POST
        && (path.contains("/communications/") || path.ends_with("/agentless"))
    {
        Target::Agent
    } else {
        Target::Conversation
    }
}
