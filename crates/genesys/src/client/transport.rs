//! What carries a request to Genesys: HTTP, or whatever a simulation puts in its place.

use std::pin::Pin;
use std::time::Duration;

use http::{Request, Response};

use super::CallError;

/// An answer's body, or why it was lost on the way.
pub type Body = Result<Vec<u8>, String>;

/// An exchange that is under way.
pub type Exchange<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Body>, CallError>> + Send + 'a>>;

/// Carries requests in place of HTTP.
pub trait Transport: Send + Sync + 'static {
    /// One request and its answer, within `timeout`. [`CallError::NotSent`] where nothing left, [`CallError::Unknown`]
    /// where no answer came.
    fn exchange(&self, request: Request<Vec<u8>>, timeout: Duration) -> Exchange<'_>;
}
