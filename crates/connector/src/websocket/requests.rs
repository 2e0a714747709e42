//! The requests for sockets that were granted, so that each is granted once.

use std::collections::BTreeSet;

use http::HeaderMap;
use sha2::{Digest, Sha256};

use crate::http::{WEBHOOK_ID, WEBHOOK_TIMESTAMP};
use crate::protocol::SIGNATURE_TOLERANCE;

/// How many requests are remembered. A service makes as many within five minutes only if it opens
/// more than 200 sockets a second.
const MAX_REMEMBERED: usize = 65_536;

/// Why a request for a socket is refused although its signature is right.
///
/// ```
/// use connector::websocket::RequestRefused;
///
/// assert!(RequestRefused::Repeated.to_string().contains("new webhook-id"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestRefused {
    /// The headers of the signature are missing or cannot be read.
    #[error("the request is not signed")]
    Unsigned,
    /// The same request came before.
    #[error(
        "the same request came before; give each request a new webhook-id and the current time, \
         and sign it"
    )]
    Repeated,
    /// More requests came within five minutes than the gateway remembers.
    #[error("too many requests for sockets came within five minutes; pause longer between them")]
    TooMany,
}

/// The requests that were granted and whose signatures are still valid: the signed time in seconds,
/// and a hash of the id, which may be long.
#[derive(Debug, Default)]
pub(super) struct GrantedRequests(BTreeSet<(i64, [u8; 32])>);

impl GrantedRequests {
    /// Remembers a request whose signature was verified. `now` is the time in seconds.
    pub(super) fn grant(&mut self, headers: &HeaderMap, now: i64) -> Result<(), RequestRefused> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let at = text(WEBHOOK_TIMESTAMP).and_then(|at| at.parse::<i64>().ok());
        let (Some(id), Some(at)) = (text(WEBHOOK_ID), at) else {
            return Err(RequestRefused::Unsigned);
        };
        // The signature of an older request is no longer valid.
        self.0 = self.0.split_off(&(now - SIGNATURE_TOLERANCE, [0; 32]));
        let request = (at, Sha256::digest(id.as_bytes()).into());
        if self.0.contains(&request) {
            return Err(RequestRefused::Repeated);
        }
        if self.0.len() >= MAX_REMEMBERED {
            return Err(RequestRefused::TooMany);
        }
        self.0.insert(request);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str, at: i64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(WEBHOOK_ID, id.parse().unwrap());
        headers.insert(WEBHOOK_TIMESTAMP, at.into());
        headers
    }

    #[test]
    fn a_request_is_granted_once_as_long_as_its_signature_is_valid() {
        let mut granted = GrantedRequests::default();
        let first = request("r-1", 1_000);
        assert_eq!(granted.grant(&first, 900), Ok(()));
        // The last moment in which the signature is valid.
        for now in [900, 1_000, 1_300] {
            assert_eq!(granted.grant(&first, now), Err(RequestRefused::Repeated), "{now}");
        }
        assert_eq!(granted.grant(&request("r-2", 1_000), 1_300), Ok(()));
        assert_eq!(granted.grant(&request("r-1", 1_001), 1_300), Ok(()), "it was signed again");
        assert_eq!(granted.grant(&HeaderMap::new(), 1_300), Err(RequestRefused::Unsigned));
    }

    #[test]
    fn what_is_remembered_has_a_limit_and_ends_with_the_signature() {
        let mut granted = GrantedRequests::default();
        for n in 0..MAX_REMEMBERED {
            assert_eq!(granted.grant(&request(&n.to_string(), 1_000), 1_000), Ok(()));
        }
        let next = request("next", 1_300);
        assert_eq!(granted.grant(&next, 1_300), Err(RequestRefused::TooMany));
        assert_eq!(granted.grant(&next, 1_301), Ok(()));
        assert_eq!(granted.0.len(), 1);
    }
}
