//! The access token. It is requested once for all callers, renewed before it ends, and replaced if
//! Genesys refuses it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, StatusCode, header};
use tokio::time::Instant;

use super::exchange::Reply;
use super::{CallError, Client, MayLeave};
use crate::cause::Cause;
use crate::oauth::{OAuthError, TokenResponse};
use crate::secret::Secret;

/// Genesys's longest token lifetime: 48 hours. Longer ones are not believed.
const LONGEST_LIFE: Duration = Duration::from_hours(48);
/// Genesys's shortest token lifetime, used if the answer names none.
const SHORTEST_LIFE: Duration = Duration::from_mins(5);
/// How long before its end a token is renewed, unless a tenth of its life is shorter.
const AHEAD: Duration = Duration::from_mins(5);
/// If a renewal fails and the old token is still valid, the pause before the next renewal.
const GRACE: Duration = Duration::from_secs(10);

/// The token of one OAuth client.
#[derive(Default)]
pub(super) struct Tokens {
    current: Mutex<Current>,
    /// Held while a token is requested, so that all other callers wait for that token.
    minting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Current {
    token: Option<Token>,
    /// When the last request failed, and how. Callers that were waiting at that time share it.
    failure: Option<(Instant, CallError)>,
}

#[derive(Clone)]
struct Token {
    text: Secret,
    renew: Instant,
    ends: Instant,
}

impl Tokens {
    /// Returns a token that is valid now and is not `refused`. Requests one if necessary.
    pub(super) async fn get(
        &self,
        client: &Client,
        refused: Option<&Secret>,
    ) -> Result<Secret, CallError> {
        let asked = Instant::now();
        if let Some(token) = self.good(refused) {
            return Ok(token);
        }
        let _minting = self.minting.lock().await;
        if let Some(token) = self.good(refused) {
            return Ok(token);
        }
        if let Some((failed, error)) = &self.current().failure
            && *failed >= asked
        {
            return Err(error.clone());
        }
        let minted = mint(client).await;
        let mut current = self.current();
        match minted {
            Ok(token) => {
                let text = token.text.clone();
                *current = Current { token: Some(token), failure: None };
                Ok(text)
            }
            Err(error) => {
                let now = Instant::now();
                let still_good = current
                    .token
                    .as_mut()
                    .filter(|token| token.ends > now && refused != Some(&token.text));
                if let Some(token) = still_good {
                    token.renew = now + GRACE;
                    return Ok(token.text.clone());
                }
                current.failure = Some((now, error.clone()));
                Err(error)
            }
        }
    }

    fn good(&self, refused: Option<&Secret>) -> Option<Secret> {
        let current = self.current();
        let token = current.token.as_ref()?;
        let good = Instant::now() < token.renew.min(token.ends) && refused != Some(&token.text);
        good.then(|| token.text.clone())
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        // Nothing panics while the lock is held, so the data is consistent.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn mint(client: &Client) -> Result<Token, CallError> {
    let asked = Instant::now();
    let url = super::url(&client.inner.hosts.login, &["oauth", "token"])?;
    let credentials = &client.inner.credentials;
    let basic = STANDARD.encode(format!("{}:{}", credentials.id, credentials.secret.expose()));
    let request = Request::post(url.as_str())
        .header(header::AUTHORIZATION, super::authorization(&format!("Basic {basic}"))?)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(b"grant_type=client_credentials".to_vec())
        .map_err(super::unwritable)?;
    client.last_call.note(&Method::POST, &url);
    // A token request changes nothing at Genesys, so no condition applies.
    let reply = client
        .inner
        .way
        .exchange(request, client.inner.timeout, &MayLeave::default())
        .await
        .map_err(unsent)?;
    // A time-out, or a proxy's page, says nothing about the credentials.
    let is_refusal = reply.status.is_client_error()
        && !matches!(reply.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        && !reply.is_page();
    if is_refusal {
        return Err(refusal(&reply));
    }
    let reply = reply.success().map_err(unsent)?;
    let answer: TokenResponse =
        reply.json().map_err(|cause| CallError::NotSent { cause: no_token(cause) })?;
    let life = answer.expires_in.map_or(SHORTEST_LIFE, Duration::from_secs).min(LONGEST_LIFE);
    tracing::debug!(life_s = life.as_secs(), "minted a Genesys token");
    Ok(Token {
        text: answer.access_token,
        renew: asked + life - (life / 10).min(AHEAD),
        ends: asked + life,
    })
}

/// Converts a failure to get a token. The call that needs the token did not leave, so a failure
/// whose outcome is unknown becomes [`CallError::NotSent`].
fn unsent(error: CallError) -> CallError {
    match error {
        CallError::NotSent { cause } | CallError::Unknown { cause } => {
            CallError::NotSent { cause: no_token(cause) }
        }
        error @ CallError::Refused { .. } => {
            CallError::NotSent { cause: no_token(Cause::of(error)) }
        }
        error @ (CallError::Unavailable { .. }
        | CallError::RateLimited { .. }
        | CallError::Unauthorized { .. }) => error,
    }
}

fn no_token(cause: Cause) -> Cause {
    Cause::within("no token", cause)
}

fn refusal(reply: &Reply) -> CallError {
    let said = reply.json::<OAuthError>().ok().and_then(|body| body.error).unwrap_or_default();
    let word: String = said.chars().filter(char::is_ascii_graphic).take(80).collect();
    let word = if word.is_empty() { "no further word" } else { &word };
    let cause = format!(
        "the token endpoint refuses the credentials (status {}, {word})",
        reply.status.as_u16()
    );
    CallError::Unauthorized { cause: cause.into() }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::client::Credentials;
    use crate::region::Hosts;

    /// A client whose token endpoint is a closed port, with a token that is due for renewal.
    fn due_for_renewal(good_for: Duration) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let hosts = Hosts { api: closed.clone(), login: closed };
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let client =
            Client::new(http, hosts, Credentials { id: "client".to_owned(), secret: "s".into() });
        let now = Instant::now();
        client.inner.tokens.current().token =
            Some(Token { text: "old".into(), renew: now, ends: now + good_for });
        client
    }

    #[tokio::test]
    async fn a_token_that_is_still_good_serves_on_when_it_cannot_be_renewed() {
        let client = due_for_renewal(Duration::from_mins(1));
        for _ in 0..2 {
            assert_eq!(client.inner.tokens.get(&client, None).await.unwrap(), Secret::new("old"));
        }
        assert!(client.inner.tokens.current().token.as_ref().unwrap().renew > Instant::now());
    }

    #[tokio::test]
    async fn one_that_ended_or_was_refused_does_not() {
        let ended = due_for_renewal(Duration::ZERO);
        assert!(matches!(
            ended.inner.tokens.get(&ended, None).await,
            Err(CallError::NotSent { .. })
        ));
        let refused = due_for_renewal(Duration::from_mins(1));
        let old = Secret::new("old");
        assert!(matches!(
            refused.inner.tokens.get(&refused, Some(&old)).await,
            Err(CallError::NotSent { .. })
        ));
    }
}
