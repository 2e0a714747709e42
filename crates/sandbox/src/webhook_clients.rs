//! The HTTP clients that make the webhook calls: one leaves redirects alone, one follows them.

use reqwest::redirect::{Attempt, Policy};

/// How many redirects of a call are followed, if any are.
const MAX_REDIRECTS: usize = 5;

/// The clients that make the calls.
#[derive(Debug)]
pub(crate) struct WebhookClients {
    pub(crate) plain: reqwest::Client,
    /// Follows a 307 or 308.
    pub(crate) redirected: reqwest::Client,
}

impl WebhookClients {
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let follow = |attempt: Attempt<'_>| {
            let kept = matches!(attempt.status().as_u16(), 307 | 308);
            if kept && attempt.previous().len() <= MAX_REDIRECTS {
                attempt.follow()
            } else {
                attempt.stop()
            }
        };
        Ok(Self { plain: client(&Policy::none)?, redirected: client(&|| Policy::custom(follow))? })
    }
}

fn client(redirects: &dyn Fn() -> Policy) -> Result<reqwest::Client, reqwest::Error> {
    // Another provider may be installed already; any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || reqwest::Client::builder().redirect(redirects()).no_proxy();
    // A machine without root certificates can still call webhooks on loopback.
    builder().build().or_else(|_| builder().tls_certs_only([]).build())
}
