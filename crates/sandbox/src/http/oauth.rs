//! The token endpoint: client credentials, by HTTP Basic or in the form.

use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{ApiError, json_response};
use crate::app::App;
use crate::clock::wire_time;
use crate::connection_breaker::ConnectionBreaker;
use crate::faults::{Action, Target};
use crate::ids;
use crate::transcript::{Direction, Entry, Kind};

/// Why no token is given (RFC 6749, section 5.2).
enum NoToken {
    InvalidRequest,
    InvalidClient { by_header: bool },
    UnsupportedGrantType,
}

impl NoToken {
    fn response(&self) -> Response {
        let (status, error, description) = match self {
            Self::InvalidRequest => {
                (StatusCode::BAD_REQUEST, "invalid_request", "grant_type is missing")
            }
            Self::InvalidClient { by_header: true } => {
                (StatusCode::UNAUTHORIZED, "invalid_client", "client not found")
            }
            Self::InvalidClient { by_header: false } => {
                (StatusCode::BAD_REQUEST, "invalid_client", "client not found")
            }
            Self::UnsupportedGrantType => (
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "only client_credentials is supported",
            ),
        };
        let body =
            json!({"error": error, "description": description, "error_description": description});
        let mut response = json_response(status, body.to_string().into());
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
        }
        response
    }
}

/// `POST /oauth/token`: gives a token for the client credentials, or an error of RFC 6749. Faults
/// with the target `token` happen here.
pub(super) async fn token(
    State(app): State<Arc<App>>,
    ConnectInfo(cut): ConnectInfo<ConnectionBreaker>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = app.strike(&[Target::Token]);
    match &fault {
        Some(Action::Delay(span)) => app.clock.sleep(span.0).await,
        Some(Action::Hang(_)) => app.stop.cancelled().await,
        _ => {}
    }
    let response = match &fault {
        Some(Action::Status(status)) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let context = ids::uuid(app.world().rng());
            match status {
                StatusCode::TOO_MANY_REQUESTS => {
                    let switches = app.switches();
                    ApiError::limited(switches.rate_per_minute, 60, switches.limit_code)
                }
                status => ApiError::of_status(status),
            }
            .finish(&context)
        }
        _ => match who(&app, &headers, &body) {
            Ok(client) => json_response(StatusCode::OK, give(&app, &client).to_string().into()),
            Err(error) => error.response(),
        },
    };
    // Neither the request's body nor the answer's is recorded: both contain secrets.
    app.world().transcript.write(Entry {
        at: wire_time(app.clock.now()),
        kind: Kind::Token,
        direction: Direction::In,
        method: Some("POST".to_owned()),
        path: Some("/oauth/token".to_owned()),
        status: Some(response.status().as_u16()),
        faults: fault.as_ref().map(Action::name).into_iter().collect(),
        ..Entry::default()
    });
    if matches!(fault, Some(Action::DropAnswer | Action::Hang(_))) {
        cut.cut();
    }
    response
}

fn give(app: &App, client: &str) -> Value {
    let life = app.switches().token_life.0;
    let mut world = app.world();
    let token = ids::token(world.rng());
    world.tokens.give(token.clone(), client, app.clock.now(), life);
    json!({"access_token": token, "token_type": "bearer", "expires_in": life.as_secs()})
}

/// Which client asks.
fn who(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<String, NoToken> {
    let form = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(body);
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let given = headers.get(header::AUTHORIZATION);
    let by_header = given.is_some();
    let credentials = match given {
        Some(header) => basic(header),
        None => form("client_id").zip(form("client_secret")),
    };
    let (id, secret) = credentials.ok_or(NoToken::InvalidClient { by_header })?;
    if !app.world().clients.knows(&id, &secret) {
        return Err(NoToken::InvalidClient { by_header });
    }
    match form("grant_type").as_deref() {
        Some("client_credentials") => Ok(id),
        Some(_) => Err(NoToken::UnsupportedGrantType),
        None => Err(NoToken::InvalidRequest),
    }
}

fn basic(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}
