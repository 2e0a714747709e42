//! What the sandbox's own paths say to a script or a page that did something wrong: in words.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::world::Refusal;

/// What was wrong with a call, in words.
pub(crate) struct Wrong(pub(crate) StatusCode, pub(crate) String);

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<Refusal> for Wrong {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Ended | Refusal::OwnProfile => StatusCode::CONFLICT,
            Refusal::MediaNotAllowed | Refusal::NoSuchProfile => StatusCode::BAD_REQUEST,
            _ => StatusCode::NOT_FOUND,
        };
        Self(status, refusal.to_string())
    }
}

/// 400.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
pub(crate) fn bad(error: impl ToString) -> Wrong {
    Wrong(StatusCode::BAD_REQUEST, error.to_string())
}

/// The body of a call.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Wrong> {
    serde_json::from_slice(body).map_err(bad)
}
