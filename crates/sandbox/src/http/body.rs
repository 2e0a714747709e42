//! The inputs of a call: a body that was checked against its schema, and the requested page.

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer::{About, ApiError, Reply};
use crate::invalid::Invalid;

/// Entries a page, unless asked for otherwise, and at most.
const PAGE: usize = 25;
const MAX_PAGE: usize = 100;

/// A body that conforms to the schema of its operation; it is stored in the request's extensions.
#[derive(Clone, Debug)]
pub(super) struct Checked(pub(super) Value);

/// The body of a call.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, _: &S) -> Result<Self, ApiError> {
        let Checked(body) = request.extensions_mut().remove().unwrap_or(Checked(Value::Null));
        let body = serde_json::from_value(body);
        body.map(Self)
            .map_err(|_| Invalid::new("body", "type", "is not of the expected form").into())
    }
}

/// Which page of a listing is requested.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    #[serde(default = "usual")]
    page_size: usize,
    #[serde(default = "first")]
    page_number: usize,
}

fn usual() -> usize {
    PAGE
}

fn first() -> usize {
    1
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Ok(Query(page)) = Query::<Self>::from_request_parts(parts, state).await else {
            return Err(Invalid::new("pageSize", "type", "and pageNumber are numbers").into());
        };
        if !(1..=MAX_PAGE).contains(&page.page_size) {
            return Err(Invalid::new("pageSize", "range", format!("is not 1 to {MAX_PAGE}")).into());
        }
        if page.page_number == 0 {
            return Err(Invalid::new("pageNumber", "range", "is less than 1").into());
        }
        Ok(page)
    }
}

impl Page {
    /// The requested page of `all` at `path`; `shown` is called only for entries on that page.
    pub(super) fn of<T>(self, all: &[T], path: &str, shown: impl Fn(&T) -> Value) -> Reply {
        let Self { page_size: size, page_number: number } = self;
        let pages = all.len().div_ceil(size);
        let uri = |number: usize| format!("{path}?pageSize={size}&pageNumber={number}");
        let entities: Vec<Value> =
            all.iter().skip((number - 1).saturating_mul(size)).take(size).map(shown).collect();
        let mut answer = json!({
            "entities": entities,
            "pageSize": size,
            "pageNumber": number,
            "total": all.len(),
            "pageCount": pages,
            "selfUri": uri(number),
            "firstUri": uri(1),
            "lastUri": uri(pages.max(1)),
        });
        if number < pages {
            answer["nextUri"] = uri(number + 1).into();
        }
        if number > 1 {
            answer["previousUri"] = uri(number - 1).into();
        }
        Reply::ok(&answer, About::default())
    }
}
