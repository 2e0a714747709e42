//! `type = "http"`: its keys, and how it is built.

use std::sync::Arc;
use std::time::Duration;

use super::{BaseUrl, HttpConfig, HttpConnector, Inbound, Secret, Secrets};
use crate::{BuildParts, Built, Capabilities, ContentKinds, Keys, Kind, MediaRange, Settings};

/// The kind `http`: any chat service behind the connector protocol.
#[derive(Clone, Copy, Debug)]
pub struct HttpKind;

impl Kind for HttpKind {
    fn name(&self) -> &'static str {
        "http"
    }

    fn settings(&self, keys: &dyn Keys) -> Option<Arc<dyn Settings>> {
        keys.require("url", "url = \"http://127.0.0.1:9000\"");
        let url = keys.parsed("url", |text| text.parse::<BaseUrl>().map_err(because));
        keys.require("secret", "secret = { env = \"NAME\" }");
        let secret = keys.secrets("secret", |text| text.parse::<Secret>().map_err(because));
        let timeout = keys.duration("timeout", Duration::from_millis(1)..=Duration::from_hours(1));
        let (reports_delivery, idempotent) =
            (keys.flag("reports_delivery"), keys.flag("idempotent"));
        let typing = keys.flag("typing");
        let max_text = keys.count("max_text", 1..=1_000_000);
        let media = keys.list("media", |range| range.parse::<MediaRange>().map_err(because));
        let content = keys.list("content", |kind| Ok(kind.to_owned()));
        let content = content.map(|kinds| {
            if kinds.iter().any(|kind| kind == "*") {
                ContentKinds::Any
            } else {
                ContentKinds::Only(kinds.into_iter().collect())
            }
        });

        let default = HttpConfig::new(url?, Secrets::new(secret?)?);
        Some(Arc::new(HttpConfig {
            timeout: timeout.unwrap_or(default.timeout),
            reports_delivery: reports_delivery.unwrap_or(default.reports_delivery),
            idempotent: idempotent.unwrap_or(default.idempotent),
            typing: typing.unwrap_or(default.typing),
            max_text: max_text.or(default.max_text),
            media: media.unwrap_or(default.media),
            content: content.unwrap_or(default.content),
            url: default.url,
            secret: default.secret,
        }))
    }
}

impl Settings for HttpConfig {
    fn capabilities(&self) -> Capabilities {
        self.capabilities()
    }

    fn address(&self) -> String {
        self.url.to_string()
    }

    fn build(&self, parts: &BuildParts<'_>) -> Built {
        let client = (parts.http)(self.url.as_url());
        let (secret, clock) = (self.secret.clone(), &parts.clock);
        Built {
            connector: Arc::new(HttpConnector::new(self.clone(), client, Arc::clone(clock))),
            events: Arc::new(Inbound::new(secret, Arc::clone(clock))),
        }
    }
}

fn because(error: impl std::fmt::Display) -> String {
    error.to_string()
}
