//! One request to the API of a running gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::AskOptions;
use crate::config;
use crate::failure::Failure;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The API of one gateway.
pub(super) struct Api {
    url: Url,
    token: Option<String>,
    http: reqwest::Client,
}

impl Api {
    pub(super) fn new(options: &AskOptions) -> Result<Self, Failure> {
        let url = options.url.clone().map_or_else(|| configured(&options.config), Ok)?;
        let url = Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| {
            Failure::configuration("tidegate: --url: write for example http://127.0.0.1:8080")
        })?;
        let token = options.token.clone().or_else(|| std::env::var("TIDEGATE_TOKEN").ok());
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Failure::failed("cannot make HTTP requests", error))?;
        Ok(Self { url, token, http })
    }

    /// Gets `/api/v1/` and these segments.
    pub(super) async fn get(&self, path: &[&str]) -> Result<Value, Failure> {
        self.get_with(path, &[]).await
    }

    /// Gets `/api/v1/` and these segments, with the parameters that have a value.
    pub(super) async fn get_with(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> Result<Value, Failure> {
        self.ask(Method::GET, path, query).await
    }

    /// Posts to `/api/v1/` and these segments, with the parameters that have a value.
    pub(super) async fn post(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> Result<Value, Failure> {
        self.ask(Method::POST, path, query).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> Result<Value, Failure> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let unreached = |error: reqwest::Error| {
            let what = format!(
                "cannot ask the gateway at {}; is it running, and is this its address (--url)",
                self.url
            );
            Failure::failed(what, error.without_url())
        };
        let answer = request.send().await.map_err(unreached)?;
        let (status, body) = (answer.status(), answer.bytes().await.map_err(unreached)?);
        let read = serde_json::from_slice::<Value>(&body);
        match (status, read) {
            (StatusCode::OK | StatusCode::ACCEPTED, Ok(answer)) => Ok(answer),
            (status, read) => {
                let detail = read.ok().and_then(|problem| problem["detail"].as_str().map(shown));
                let what = format!("the gateway at {} answered {}", self.url, status.as_u16());
                let why = match (status, detail) {
                    (StatusCode::UNAUTHORIZED, Some(why)) => {
                        format!("{why}\n  write it as --token, or set TIDEGATE_TOKEN")
                    }
                    (_, Some(why)) => why,
                    (_, None) => "is this a gateway with an API? --url names another".to_owned(),
                };
                Err(Failure::failed(what, why))
            }
        }
    }
}

/// The URL of a gateway with this configuration.
fn configured(file: &Path) -> Result<String, Failure> {
    let address = config::operators_address(file, std::env::vars()).map_err(|errors| {
        Failure::configuration(format!("{errors}\n  or name a gateway with --url"))
    })?;
    Ok(format!("http://{}", reachable(address)))
}

/// A text of another program, for a terminal: without control characters.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(1_000).collect()
}

/// The address to call for an address to listen on.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
