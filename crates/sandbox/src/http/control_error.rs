//! The error answers of the sandbox's own paths, in words.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::invalid::Invalid;
use crate::world::Refusal;

/// What was wrong with a call, in words.
pub(crate) struct ControlError(pub(crate) StatusCode, pub(crate) String);

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<Refusal> for ControlError {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Ended | Refusal::OwnProfile => StatusCode::CONFLICT,
            Refusal::MediaNotAllowed => StatusCode::BAD_REQUEST,
            _ => StatusCode::NOT_FOUND,
        };
        Self(status, refusal.to_string())
    }
}

impl From<Invalid> for ControlError {
    fn from(invalid: Invalid) -> Self {
        Self(StatusCode::BAD_REQUEST, invalid.to_string())
    }
}

/// 400 with the error in words.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
pub(crate) fn bad(error: impl ToString) -> ControlError {
    ControlError(StatusCode::BAD_REQUEST, error.to_string())
}

/// The body of a call, in which null is absent.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ControlError> {
    let mut body: Value = serde_json::from_slice(body).map_err(bad)?;
    without_nulls(&mut body);
    serde_json::from_value(body).map_err(bad)
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
