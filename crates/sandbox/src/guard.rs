//! Keeps the pages of other sites away from the paths that need no token.
//!
//! A browser tells where a call comes from, and under which name it found the sandbox. Genesys's
//! own paths are not guarded: a middleware may know the sandbox under any name.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Host;

/// Refuses calls from a page of another site. Programs send no such header and are let through.
pub(crate) async fn own_pages_only(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site").map(|site| site.as_bytes().to_owned());
    match site.as_deref() {
        // Typing the address or following a link is a GET, which changes nothing.
        Some(b"cross-site") if request.method() != axum::http::Method::GET => {
            (StatusCode::FORBIDDEN, "the page of another site may not do this").into_response()
        }
        _ => next.run(request).await,
    }
}

/// Who can reach the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Only programs on this machine, which call it `localhost` or by an address.
    ThisMachine,
    /// Other machines and containers as well, under names that the sandbox cannot know.
    Network,
}

impl Reach {
    /// The reach of a sandbox that listens on `address`.
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.to_canonical().is_loopback() { Self::ThisMachine } else { Self::Network }
    }

    /// Whether a call with this `Host` may have found the sandbox in an honest way.
    ///
    /// A web page can point its own name at 127.0.0.1 (DNS rebinding), and then counts as a page of
    /// the sandbox. It can do this with neither `localhost` nor an IP address. Every browser sends
    /// the header.
    fn admits(self, host: Option<&HeaderValue>) -> bool {
        match (self, host) {
            (Self::Network, _) | (Self::ThisMachine, None) => true,
            (Self::ThisMachine, Some(host)) => is_this_machine(host),
        }
    }
}

/// Whether a `Host` is `localhost` or an IP address, with any port.
fn is_this_machine(host: &HeaderValue) -> bool {
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    match Host::parse(authority.host().trim_end_matches('.')) {
        Ok(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        Err(_) => false,
    }
}

/// Refuses calls under another name than that of this machine, if no one else can reach the
/// sandbox.
pub(crate) async fn own_names_only(
    State(reach): State<Reach>,
    request: Request,
    next: Next,
) -> Response {
    if reach.admits(request.headers().get(header::HOST)) {
        return next.run(request).await;
    }
    let told = "this sandbox listens on this machine only, and is not known by that name: call it \
                localhost or 127.0.0.1, or let it listen on an address that is not loopback";
    (StatusCode::MISDIRECTED_REQUEST, told).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_no_page_can_have_are_known() {
        let admits =
            |host: &'static str| Reach::ThisMachine.admits(Some(&HeaderValue::from_static(host)));
        for host in [
            "localhost",
            "LOCALHOST:8082",
            "localhost.:8082",
            "desk.localhost:1",
            "127.0.0.1:8082",
            "127.8.9.1",
            "[::1]:8082",
            "[::1]",
            "192.168.0.7:8082",
        ] {
            assert!(admits(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8082",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8082",
            "notlocalhost",
            "localhost@evil.example",
            "a b",
            "::1",
        ] {
            assert!(!admits(host), "{host}");
        }
        assert!(Reach::ThisMachine.admits(None), "a program without the header is no browser");
    }

    #[test]
    fn a_sandbox_for_other_machines_has_any_name() {
        let reach = |address: &str| Reach::of(address.parse().unwrap());
        for address in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(reach(address), Reach::ThisMachine, "{address}");
        }
        for address in ["0.0.0.0", "::", "192.168.0.7"] {
            assert_eq!(reach(address), Reach::Network, "{address}");
        }
        assert!(Reach::Network.admits(Some(&HeaderValue::from_static("sandbox:8082"))));
    }
}
