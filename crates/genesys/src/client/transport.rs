//! The interface for programs that carry requests themselves, such as a simulation.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};

use super::CallError;

/// The body of an answer, or a text for logs that says why it was lost on the way.
pub type Body = Result<Vec<u8>, String>;

/// The future that [`Transport::exchange`] returns.
pub type Exchange<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Body>, CallError>> + Send + 'a>>;

/// The last check before a call leaves.
///
/// DNS, connecting and TLS may take seconds. In that time another process may take over, or this
/// one may be told to stop. So the check is made when the connection is ready, immediately before
/// the first byte. The default has no condition.
///
/// ```
/// use genesys::{CallError, MayLeave};
///
/// assert!(MayLeave::default().ask().is_ok(), "no condition");
/// let stopped = MayLeave::only_while(|| false);
/// assert!(matches!(stopped.ask(), Err(CallError::NotSent { .. })));
/// ```
#[derive(Clone, Default)]
pub struct MayLeave(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl MayLeave {
    /// Lets a call leave only if `condition` holds at the time of the check. `condition` must not
    /// block.
    pub fn only_while(condition: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(condition)))
    }

    /// Runs the check.
    ///
    /// # Errors
    /// [`CallError::NotSent`] if the condition does not hold. Then no byte may leave.
    pub fn ask(&self) -> Result<(), CallError> {
        match &self.0 {
            Some(condition) if !condition() => Err(CallError::NotSent { cause: CALLED_OFF.into() }),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for MayLeave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MayLeave").field(&self.0.is_some()).finish()
    }
}

/// Why a call did not leave although it could have.
pub(super) const CALLED_OFF: &str = "it is not this caller's to make any more";

/// Carries a client's requests in place of reqwest: see [`Client::over`](super::Client::over).
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use genesys::{CallError, Client, Credentials, Exchange, Hosts, MayLeave, Transport};
///
/// /// Gives a token to everyone, and answers every other call with an id.
/// struct Canned;
///
/// impl Transport for Canned {
///     fn exchange<'a>(
///         &'a self,
///         request: http::Request<Vec<u8>>,
///         _timeout: Duration,
///         may_leave: &'a MayLeave,
///     ) -> Exchange<'a> {
///         Box::pin(async move {
///             may_leave.ask()?;
///             let token = request.uri().path() == "/oauth/token";
///             let body = if token { r#"{"access_token":"t"}"# } else { r#"{"id":"an id"}"# };
///             Ok(http::Response::new(Ok(body.into())))
///         })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), CallError> {
/// let hosts = Hosts::of_region("mypurecloud.com").expect("the region is known");
/// let credentials = Credentials { id: "client".to_owned(), secret: "hush".into() };
/// let client = Client::over(Arc::new(Canned), hosts, credentials);
/// assert_eq!(client.conversation("c").await?.value.id.as_deref(), Some("an id"));
/// # Ok(())
/// # }
/// ```
pub trait Transport: Send + Sync + 'static {
    /// Makes one request and returns its answer, within `timeout`. It must call [`MayLeave::ask`]
    /// when it is connected, and send nothing if that fails.
    ///
    /// # Errors
    /// The future must return [`CallError::NotSent`] only if nothing left, and
    /// [`CallError::Unknown`] if something may have left and no answer came.
    fn exchange<'a>(
        &'a self,
        request: Request<Vec<u8>>,
        timeout: Duration,
        may_leave: &'a MayLeave,
    ) -> Exchange<'a>;
}
