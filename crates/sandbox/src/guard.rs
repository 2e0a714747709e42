//! Keeps the pages of other origins away from the paths that need no token.
//!
//! A page of another port is such a page, also on `localhost`, where any program may serve one. A
//! browser tells where a call comes from, and under which name it found the sandbox. Genesys's
//! own paths are not guarded: a middleware may know the sandbox under any name.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Host;

/// Refuses calls that may change something, if they come from a page of another origin.
pub(crate) async fn own_pages_only(request: Request, next: Next) -> Response {
    // Typing the address or following a link is a GET, which changes nothing.
    if request.method().is_safe() || is_from_here(request.headers()) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "the page of another origin may not do this").into_response()
}

/// Whether a call comes from a program, from a page of this origin, or from the person at the
/// browser. Programs send neither header. A browser leaves out `Sec-Fetch-Site` if it does not
/// trust the address, for example that of another machine over HTTP. It then sends `Origin`.
fn is_from_here(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    origin.is_some_and(|(_, authority)| Some(authority) == host)
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
    fn only_programs_and_pages_of_this_origin_are_from_here() {
        let from_here = |named: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static("localhost:8082"));
            for (name, value) in named {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            is_from_here(&headers)
        };
        for named in [
            &[][..],
            &[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8082")],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://localhost:8082")],
            // A proxy may have changed `Host`; the browser still compares what it sees.
            &[("sec-fetch-site", "same-origin"), ("origin", "https://sandbox.example")],
        ] {
            assert!(from_here(named), "{named:?}");
        }
        for named in [
            &[("sec-fetch-site", "same-site"), ("origin", "http://localhost:3000")][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "something-new")],
            &[("origin", "http://localhost:3000")],
            &[("origin", "http://127.0.0.1:8082")],
            &[("origin", "null")],
            &[("origin", "")],
        ] {
            assert!(!from_here(named), "{named:?}");
        }
    }

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
