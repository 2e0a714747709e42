//! Who is signed in. A session is a random token in a cookie. The store keeps only its hash: every
//! node knows the session, and a copy of the store opens none.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use conversation::Clock;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use store::{ConsoleSession, Store, StoreError};

/// How long a user stays signed in.
pub(in crate::http) const LIFE: Duration = Duration::from_hours(12);
const COOKIE: &str = "tidegate_session";
/// The length of a token, in bytes.
const TOKEN: usize = 32;

/// The sessions of the console.
pub(crate) struct Sessions {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Sessions {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Begins a session. Returns the token for the cookie.
    pub(super) async fn begin(&self, user: &str, password: String) -> Result<String, StoreError> {
        let mut token = [0; TOKEN];
        // Linux has random bytes as soon as it has started.
        getrandom::fill(&mut token).expect("the system has random bytes");
        let token = hex::encode(token);
        let now = self.clock.now();
        let until = SignedDuration::try_from(LIFE).ok().and_then(|life| now.checked_add(life).ok());
        let until = until.unwrap_or(Timestamp::MAX);
        let session = ConsoleSession { hash: hash(&token), user: user.to_owned(), password, until };
        self.store.keep_console_session(&session, now).await?;
        Ok(token)
    }

    /// The session of this token, unless it has ended.
    pub(super) async fn find(&self, token: &str) -> Result<Option<ConsoleSession>, StoreError> {
        self.store.console_session(&hash(token), self.clock.now()).await
    }

    /// Ends the session of this token. Anyone can send a token, so a write is made only for one
    /// that exists.
    pub(super) async fn end(&self, token: &str) -> Result<(), StoreError> {
        if self.find(token).await?.is_none() {
            return Ok(());
        }
        self.store.end_console_session(&hash(token)).await
    }
}

/// A token is random, so that a hash without salt is enough.
fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// The token that a browser sends. Other cookies of this name, such as one of another program on
/// this host, are passed over.
pub(in crate::http) fn cookie_of(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
    let is_token = |token: &str| {
        token.len() == 2 * TOKEN && token.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let ours = pairs.find(|(name, token)| name.trim() == COOKIE && is_token(token.trim()));
    ours.map(|(_, token)| token.trim())
}

/// The header that gives a browser the token. A link from another site may lead to a page of the
/// console, but no form of another site is sent with the cookie.
pub(in crate::http) fn cookie(token: &str, life: Duration, headers: &HeaderMap) -> String {
    let by_tls = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let secure = if by_tls { "; Secure" } else { "" };
    let seconds = life.as_secs();
    format!("{COOKIE}={token}; Path=/console; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        assert_eq!(cookie_of(&headers), None);
        let token = "0123456789abcdef".repeat(4);
        let mut sent = |text: String| {
            headers.insert(header::COOKIE, text.parse::<HeaderValue>().expect("a value"));
            cookie_of(&headers).map(str::to_owned)
        };
        let found = Some(token.clone());
        assert_eq!(sent(format!("a=b; tidegate_session={token}; c=d")), found);
        assert_eq!(sent(format!("tidegate_session=x; tidegate_session={token}")), found);
        assert_eq!(sent(format!("x_tidegate_session={token}; session")), None);
        assert_eq!(sent("tidegate_session=../../x".to_owned()), None);
    }

    #[test]
    fn a_browser_keeps_the_cookie_from_scripts_and_from_plain_connections() {
        let mut headers = HeaderMap::new();
        let plain = cookie("t", LIFE, &headers);
        assert!(plain.contains("; HttpOnly; SameSite=Lax; Max-Age=43200"), "{plain}");
        assert!(!plain.contains("Secure"), "{plain}");
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert!(cookie("t", LIFE, &headers).ends_with("; Secure"));
    }
}
