//! Who may use the API.
//!
//! If tokens are configured, each request needs one, and the token's role says whether it may act.
//! Otherwise only callers on this machine are served, at an address that names this machine, and they
//! may only read: a record of an action names the token.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use crate::http::answers::shown;
use crate::http::connections::Peer;
use crate::http::state::HttpState;
use crate::http::tokens::{TokenOwner, TokenTable};
use crate::settings::Role;

/// Headers that a proxy adds to a request that it forwards.
const FORWARDED: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

/// Whose token a request has, for the handlers of actions.
#[derive(Clone, Debug)]
pub(super) struct OperatorName(Arc<TokenOwner>);

impl OperatorName {
    pub(super) fn as_str(&self) -> &str {
        &self.0.name
    }
}

/// Passes on the requests of callers who may use the API.
pub(super) async fn check(
    State(state): State<Arc<HttpState>>,
    mut request: Request,
    next: Next,
) -> Response {
    match allowed(&state.tokens, &request) {
        Ok(owner) => {
            let operator = owner.map(|owner| owner.name.as_str());
            tracing::debug!(operator, path = shown(request.uri().path()), "an operator asks");
            if let Some(owner) = owner {
                let operator = OperatorName(Arc::clone(owner));
                request.extensions_mut().insert(operator);
            }
            next.run(request).await
        }
        Err(problem) => {
            state.engine.metrics.turned_away("api_access");
            problem.into_response()
        }
    }
}

/// Returns whose token the request has, if the API needs one.
fn allowed<'a>(
    tokens: &'a TokenTable,
    request: &Request,
) -> Result<Option<&'a Arc<TokenOwner>>, Problem> {
    let owner = known(tokens, request)?;
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(owner);
    }
    match owner {
        Some(owner) if owner.role == Role::Operator => Ok(Some(owner)),
        Some(_) => Err(Problem::forbidden(
            "the token is a viewer's, which may only read; an action needs a token with \
             role = \"operator\"",
        )),
        None => Err(Problem::forbidden(
            "without console.tokens the API only reads, because the journal names the token with \
             each action; add a token with role = \"operator\" to the configuration",
        )),
    }
}

/// Returns whose token the request has, if the API needs one, whatever the request asks for.
fn known<'a>(
    tokens: &'a TokenTable,
    request: &Request,
) -> Result<Option<&'a Arc<TokenOwner>>, Problem> {
    if tokens.is_empty() {
        local_only(request, "the API", "console.tokens").map_err(Problem::forbidden)?;
        return Ok(None);
    }
    let header = request.headers().get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
    let token = header.and_then(|value| {
        let (scheme, token) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(token.trim_ascii())
    });
    let Some(token) = token else {
        return Err(Problem::unauthorized(
            "send one of the tokens of console.tokens as `Authorization: Bearer TOKEN`",
        ));
    };
    let wrong = || Problem::unauthorized("the token is none of those in console.tokens");
    tokens.owner(token).map(Some).ok_or_else(wrong)
}

/// Checks that a request comes from this machine, and that no page of another site can have sent it.
/// `what` is served, and `key` names those whom it serves from elsewhere.
///
/// # Errors
/// Why the request is not served, and what to do.
pub(in crate::http) fn local_only(request: &Request, what: &str, key: &str) -> Result<(), String> {
    let peer = request.extensions().get::<Peer>();
    if !peer.is_some_and(|peer| peer.is_this_machine()) {
        return Err(format!(
            "without {key} {what} serves only callers on the gateway's own machine; add an entry \
             to the configuration"
        ));
    }
    if FORWARDED.iter().any(|name| request.headers().contains_key(*name)) {
        return Err(format!(
            "without {key} {what} serves no request that a proxy forwards; add an entry to the \
             configuration, or keep this path from the proxy"
        ));
    }
    // A browser on this machine sends requests for any page that it shows. Such a page can give its
    // own name our address, but then the request names the page's host.
    if !names_this_machine(request.headers()) {
        return Err(format!(
            "without {key} {what} must be called by the name localhost or by its IP address; add \
             an entry to the configuration"
        ));
    }
    Ok(())
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    // A program without this header is no browser.
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else { return false };
    let name = authority.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use axum::body::Body;

    use super::*;
    use crate::settings::OperatorToken;

    fn request(host: Option<&str>, token: Option<&str>, peer: &str) -> Request {
        let mut request = Request::builder().uri("/api/v1/status");
        if let Some(host) = host {
            request = request.header("host", host);
        }
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let mut request = request.body(Body::empty()).expect("a request");
        request.extensions_mut().insert(Peer(peer.parse().expect("an address")));
        request
    }

    #[test]
    fn without_tokens_only_this_machine_by_its_own_name_is_served() {
        let none = TokenTable::new(&[]);
        let home = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)).to_string();
        for host in [None, Some("localhost:8080"), Some("[::1]"), Some(home.as_str())] {
            assert!(allowed(&none, &request(host, None, "127.0.0.1")).is_ok(), "{host:?}");
            assert!(allowed(&none, &request(host, None, "::ffff:127.0.0.1")).is_ok(), "{host:?}");
            assert!(allowed(&none, &request(host, None, "192.0.2.1")).is_err(), "{host:?}");
        }
        for header in FORWARDED {
            let mut forwarded = request(None, None, "127.0.0.1");
            forwarded.headers_mut().insert(header, "192.0.2.1".parse().expect("a value"));
            assert!(allowed(&none, &forwarded).is_err(), "{header}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "a b"] {
            assert!(allowed(&none, &request(Some(host), None, "127.0.0.1")).is_err(), "{host}");
        }
    }

    #[test]
    fn with_tokens_each_request_needs_one() {
        let token = |token: &str| OperatorToken {
            name: "ops".into(),
            token: token.into(),
            role: Role::Viewer,
        };
        let two = TokenTable::new(&[token("first-token"), token("second-token")]);
        for right in ["Bearer first-token", "bearer second-token", "BEARER  second-token "] {
            assert!(allowed(&two, &request(None, Some(right), "192.0.2.1")).is_ok(), "{right}");
        }
        let wrong = ["", "Bearer", "Bearer ", "Bearer first", "Basic first-token", "first-token"];
        for wrong in wrong.map(Some).into_iter().chain([None]) {
            assert!(allowed(&two, &request(None, wrong, "127.0.0.1")).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn only_an_operator_may_act() {
        let token = |name: &str, role| OperatorToken {
            name: name.into(),
            token: format!("token-of-{name}").as_str().into(),
            role,
        };
        let viewer = token("viewer", Role::Viewer);
        let two = TokenTable::new(&[viewer, token("operator", Role::Operator)]);
        let none = TokenTable::new(&[]);
        let may = |tokens: &TokenTable, token: Option<&str>, method: &Method| {
            let mut request = request(None, token, "127.0.0.1");
            *request.method_mut() = method.clone();
            allowed(tokens, &request).is_ok()
        };
        let (viewer, operator) = (Some("Bearer token-of-viewer"), Some("Bearer token-of-operator"));
        for method in [Method::GET, Method::HEAD] {
            assert!(may(&two, viewer, &method) && may(&two, operator, &method), "{method}");
            assert!(may(&none, None, &method), "{method}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
            assert!(may(&two, operator, &method), "{method}");
            assert!(!may(&two, viewer, &method) && !may(&none, None, &method), "{method}");
        }
    }
}
