//! Fetches a file from a URL that a stranger may have chosen.
//!
//! The address is checked where it is dialled: the client connects only to addresses that its
//! resolver returns, and the resolver returns only addresses that may be dialled. A name that
//! points elsewhere the next time it is asked (DNS rebinding) gains nothing. Each redirect is a new
//! request with the same checks. No proxy is used, because it would choose the address.

use std::collections::HashMap;
use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::StatusCode;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::LOCATION;
use url::{Host, Url};

use crate::address::AddressPolicy;
use crate::outcome::{Loss, LossCode};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a server may send nothing.
const STALL: Duration = Duration::from_secs(10);
/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;
/// The longest URL, in bytes.
const MAX_URL: usize = 8 << 10;

/// Looks up names. Tests replace it by one whose answers change.
#[async_trait]
pub(crate) trait Lookup: Send + Sync + 'static {
    /// The addresses of a name.
    async fn lookup(&self, name: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
pub(crate) struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Why a file was not fetched.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// Another try may succeed.
    Temporary(Loss),
    /// No other try can.
    Final(Loss),
}

/// Makes requests to addresses that may be dialled.
pub(crate) struct Fetcher {
    policy: Arc<AddressPolicy>,
    /// The client for ports that no entry of the policy names.
    client: reqwest::Client,
    /// The clients for those that one names: a resolver does not learn the port.
    by_port: HashMap<u16, reqwest::Client>,
}

impl Fetcher {
    pub(crate) fn new(policy: AddressPolicy, lookup: &Arc<dyn Lookup>) -> reqwest::Result<Self> {
        let policy = Arc::new(policy);
        let client = |port| {
            let resolver =
                CheckedResolver { policy: Arc::clone(&policy), lookup: Arc::clone(lookup), port };
            reqwest::Client::builder()
                .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .connect_timeout(CONNECT)
                .read_timeout(STALL)
                // A connection is used once: where it leads was checked when it was made.
                .pool_max_idle_per_host(0)
                .dns_resolver(Arc::new(resolver))
                .build()
        };
        let mut by_port = HashMap::new();
        for port in policy.ports() {
            by_port.insert(port, client(port)?);
        }
        // No entry names port 0.
        Ok(Self { client: client(0)?, by_port, policy })
    }

    /// Requests the file, and follows redirects. The response has status 200, and its body has not
    /// been read.
    pub(crate) async fn get(&self, url: &str) -> Result<reqwest::Response, FetchError> {
        let mut url = parse(url)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.get_one(&url).await?;
            let status = response.status();
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return checked(status).map(|()| response);
            }
            let target = response.headers().get(LOCATION).and_then(|target| target.to_str().ok());
            let target = target.and_then(|target| url.join(target).ok());
            let Some(target) = target else {
                return Err(refused(LossCode::Gone, "the link redirects to nowhere"));
            };
            url = parse(target.as_str())?;
        }
        Err(refused(LossCode::Gone, "the link redirects too often"))
    }

    async fn get_one(&self, url: &Url) -> Result<reqwest::Response, FetchError> {
        let port = url.port_or_known_default().unwrap_or_default();
        // A literal address never reaches a resolver.
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            _ => None,
        };
        if literal.is_some_and(|address| !self.policy.admits(address, port)) {
            return Err(closed());
        }
        let client = self.by_port.get(&port).unwrap_or(&self.client);
        let response = client.get(url.clone()).send().await.map_err(|error| unsent(&error))?;
        // The same check again, by what the system says: it must never find anything.
        match response.remote_addr() {
            Some(peer) if !self.policy.admits(peer.ip(), port) => Err(closed()),
            _ => Ok(response),
        }
    }
}

/// Returns only addresses that may be dialled.
struct CheckedResolver {
    policy: Arc<AddressPolicy>,
    lookup: Arc<dyn Lookup>,
    port: u16,
}

/// A name has no address that may be dialled.
#[derive(Debug, thiserror::Error)]
#[error("the address is not public")]
struct NotPublic;

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, lookup, port) =
            (Arc::clone(&self.policy), Arc::clone(&self.lookup), self.port);
        Box::pin(async move {
            let found = lookup.lookup(name.as_str()).await?;
            let open: Vec<_> = found
                .into_iter()
                .filter(|address| policy.admits(*address, port))
                // Port 0 stands for the URL's port.
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if open.is_empty() {
                return Err(NotPublic.into());
            }
            let addresses: Addrs = Box::new(open.into_iter());
            Ok(addresses)
        })
    }
}

fn parse(url: &str) -> Result<Url, FetchError> {
    let odd = |why| refused(LossCode::Address, why);
    if url.len() > MAX_URL {
        return Err(odd("the link is too long"));
    }
    let url = Url::parse(url.trim()).map_err(|_| odd("the link is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(odd("the link is not a URL of http or https"));
    }
    Ok(url)
}

fn checked(status: StatusCode) -> Result<(), FetchError> {
    if status == StatusCode::OK {
        return Ok(());
    }
    let why = format!("the link answered {}", status.as_u16());
    if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
        return Err(FetchError::Temporary(Loss::new(LossCode::Unreachable, why)));
    }
    let denied = matches!(status.as_u16(), 401 | 403);
    Err(refused(if denied { LossCode::Denied } else { LossCode::Gone }, why))
}

/// Why there is no response. The URL, which may contain a secret, is not repeated.
fn unsent(error: &reqwest::Error) -> FetchError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        if source.is::<NotPublic>() {
            return closed();
        }
        cause = source;
    }
    let what = if error.is_timeout() {
        "the file's server did not answer in time".to_owned()
    } else if error.source().is_some() {
        format!("the file's server cannot be reached: {cause}")
    } else {
        "the file's server cannot be reached".to_owned()
    };
    FetchError::Temporary(Loss::new(LossCode::Unreachable, what))
}

fn closed() -> FetchError {
    refused(LossCode::Address, "the link leads to an address that is not public")
}

pub(crate) fn refused(code: LossCode, why: impl Into<String>) -> FetchError {
    FetchError::Final(Loss::new(code, why))
}
