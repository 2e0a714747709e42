//! What is behind a [`CallError`](crate::CallError).

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The error behind a [`CallError`](crate::CallError). It is cheap to clone.
///
/// It derefs to the error, which [`Error::source`] of the `CallError` returns. It contains no
/// secret, no part of a message, and no URL.
///
/// ```
/// use std::error::Error;
///
/// use genesys::CallError;
///
/// let error = CallError::NotSent { cause: "the process was stopped".into() };
/// assert_eq!(error.to_string(), "the call did not leave");
/// let source = error.source().map(ToString::to_string);
/// assert_eq!(source.as_deref(), Some("the process was stopped"));
/// ```
#[derive(Clone)]
pub struct Cause(Kind);

#[derive(Clone)]
enum Kind {
    Other(Arc<dyn Error + Send + Sync>),
    /// reqwest's own texts say only that a request failed, and where it went.
    Request(Arc<reqwest::Error>),
}

impl Cause {
    /// An error whose text, with those of its sources, contains nothing that must not be logged.
    pub(crate) fn of(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Kind::Other(Arc::new(error)))
    }

    /// `cause`, and in front of it `what` it prevented.
    pub(crate) fn within(what: &'static str, cause: Self) -> Self {
        Self::of(Context { what, cause })
    }

    /// The innermost source of a request's failure, such as the system's `Connection refused`.
    pub(crate) fn of_request(error: reqwest::Error) -> Self {
        if error.is_timeout() && !error.is_connect() {
            return "no answer in time".into();
        }
        if error.source().is_none() {
            return "the request cannot be made".into();
        }
        Self(Kind::Request(Arc::new(error.without_url())))
    }
}

impl Deref for Cause {
    type Target = dyn Error;

    fn deref(&self) -> &Self::Target {
        match &self.0 {
            Kind::Other(error) => &**error,
            Kind::Request(error) => {
                let mut cause: &dyn Error = &**error;
                while let Some(deeper) = cause.source() {
                    cause = deeper;
                }
                cause
            }
        }
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl From<&'static str> for Cause {
    fn from(words: &'static str) -> Self {
        Self::of(Words(words.into()))
    }
}

impl From<String> for Cause {
    fn from(words: String) -> Self {
        Self::of(Words(words.into()))
    }
}

/// A cause that no other error is behind.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Words(Cow<'static, str>);

#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct Context {
    what: &'static str,
    #[source]
    cause: Cause,
}
