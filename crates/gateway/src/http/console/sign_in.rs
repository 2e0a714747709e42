//! Signing in and out.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use console_pages::{Frame, Refusal};
use store::Chain;
use url::Url;

use super::form::{self, Fields};
use super::page;
use crate::http::state::HttpState;
use crate::http::users::{LIFE, cookie, cookie_of};

/// Answers `GET /console/sign-in`.
pub(super) async fn form(
    State(state): State<Arc<HttpState>>,
    RawQuery(query): RawQuery,
) -> Response {
    if state.console.is_empty() {
        return no_users();
    }
    let fields = form::fields(query.unwrap_or_default().as_bytes());
    page(StatusCode::OK, console_pages::sign_in(&target(&fields), None))
}

/// Answers `POST /console/sign-in`.
pub(super) async fn sign_in(
    State(state): State<Arc<HttpState>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if state.console.is_empty() {
        return no_users();
    }
    let fields = match form::read(&headers, body).await {
        Ok(fields) => fields,
        Err(error) => return error.into_response(),
    };
    let target = target(&fields);
    let refused = |status, why| page(status, console_pages::sign_in(&target, Some(why)));
    let name = fields.get("name").map_or("", String::as_str);
    let Some(permit) = state.console.permit_try(name).await else {
        note(&state, name, "too many tries");
        return refused(StatusCode::TOO_MANY_REQUESTS, Refusal::TooManyTries);
    };
    let given = fields.get("password").cloned().unwrap_or_default();
    if !state.console.is_password(name, given, permit).await {
        note(&state, name, "a wrong name or password");
        return refused(StatusCode::FORBIDDEN, Refusal::Wrong);
    }
    match state.console.sign_in(name).await {
        Ok(token) => {
            tracing::info!(user = name, "signed in to the console");
            let cookie = AppendHeaders([(header::SET_COOKIE, cookie(&token, LIFE, &headers))]);
            (cookie, Redirect::to(&target)).into_response()
        }
        Err(error) => {
            tracing::error!(error = %Chain(&error), "a session of the console cannot be stored");
            refused(StatusCode::SERVICE_UNAVAILABLE, Refusal::NoStore)
        }
    }
}

/// Answers `POST /console/sign-out`.
pub(super) async fn sign_out(State(state): State<Arc<HttpState>>, headers: HeaderMap) -> Response {
    if state.console.is_empty() {
        return no_users();
    }
    if let Err(error) = form::check(&headers) {
        return error.into_response();
    }
    if let Some(token) = cookie_of(&headers)
        && let Err(error) = state.console.sign_out(token).await
    {
        tracing::error!(error = %Chain(&error), "a session of the console cannot be ended");
        let why =
            "You may still be signed in: the store did not answer. Go back, and sign out again.";
        let notice = console_pages::notice(&Frame::default(), "Not signed out", why);
        return page(StatusCode::SERVICE_UNAVAILABLE, notice);
    }
    let cookie = AppendHeaders([(header::SET_COOKIE, cookie("", Duration::ZERO, &headers))]);
    (cookie, Redirect::to("/console/sign-in")).into_response()
}

/// The page to go to after signing in: one of the console's, and no other address.
fn target(fields: &Fields) -> String {
    const START: &str = "/console";
    let wanted = fields.get("target").map_or("", String::as_str);
    // As a browser reads it: `..` and backslashes lead elsewhere.
    let here = Url::parse("http://console.invalid").expect("a URL");
    let Ok(page) = here.join(wanted) else { return START.to_owned() };
    let path = page.path();
    let is_page = path == START || path.starts_with("/console/");
    if page.origin() != here.origin() || !is_page || path == "/console/sign-in" {
        return START.to_owned();
    }
    match page.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// Counts and logs a refused try, at a limited rate.
fn note(state: &HttpState, name: &str, why: &'static str) {
    state.engine.metrics.turned_away("console_sign_in");
    if let Some(more) = state.engine.failures.admit("", "console sign-in", why) {
        // People type their password into the wrong field. Only the names of users are logged.
        let user = if state.console.is_user(name) { name } else { "(unknown)" };
        tracing::warn!(user, why, more, "a user could not sign in to the console");
    }
}

/// Without users there is no session.
fn no_users() -> Response {
    Redirect::to("/console").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_only_to_pages_of_the_console() {
        let of = |text: &str| {
            let fields = Fields::from([("target".to_owned(), text.to_owned())]);
            target(&fields)
        };
        for page in ["/console", "/console/messages/a%2Fb", "/console/search?id=x"] {
            assert_eq!(of(page), page);
        }
        assert_eq!(of("/console/a/../search?id=x"), "/console/search?id=x");
        assert_eq!(of("/console\\@evil"), "/console/@evil", "as a browser reads it");
        let others = [
            "",
            "/",
            "/consoles",
            "/console/sign-in",
            "/console/../media/x",
            "/console/%2e%2e/other",
            "//evil.example",
            "https://evil.example/console",
        ];
        for other in others {
            assert_eq!(of(other), "/console", "{other:?}");
        }
    }
}
