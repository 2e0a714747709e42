//! The configuration of a connector of the type `http`: its `[integration.connector]` table.
//!
//! The program resolves references to secrets before it reads the table here. Every mistake in the
//! table is an error at startup.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use url::Url;

use super::Secrets;
use crate::{Capabilities, ContentKinds, MediaRange, capability_keys};

/// The address of a chat service that speaks the connector protocol, and what it can do.
///
/// ```
/// use std::time::Duration;
///
/// use connector::http::HttpConfig;
///
/// let config: HttpConfig = serde_json::from_str(
///     r#"{"url": "http://127.0.0.1:9000", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
///         "timeout": "2500ms", "media": ["image/*"]}"#,
/// )?;
/// assert_eq!(config.timeout, Duration::from_millis(2_500));
/// assert!(config.capabilities().media[0].contains("image/png"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// The base URL, to which the paths of the calls are added.
    pub url: BaseUrl,
    /// The secrets that sign calls and verify events: a text, or a list during a rotation.
    pub secret: Secrets,
    /// How long a request for a session may take; `10s` by default. The timeout of messages is part
    /// of the delivery policy.
    #[serde(
        default = "ten_seconds",
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required"
    )]
    pub timeout: Duration,
    /// Whether it sends `message.delivered` for messages that it accepted; `false` by default.
    #[serde(default)]
    pub reports_delivery: bool,
    /// Whether it honours the header `Idempotency-Key`; `true` by default.
    #[serde(default = "yes")]
    pub idempotent: bool,
    /// Whether it wants typing events; `true` by default.
    #[serde(default = "yes")]
    pub typing: bool,
    /// The longest text that it takes, in characters; no limit by default.
    #[serde(default)]
    pub max_text: Option<usize>,
    /// The media types that it takes as attachments; none by default. A connector that ignores
    /// `content` and answers 200 would report a picture as delivered that the customer never saw.
    #[serde(default)]
    pub media: Vec<MediaRange>,
    /// The other types of content elements that it takes; none by default, for the same reason.
    #[serde(default)]
    pub content: ContentKinds,
}

impl HttpConfig {
    /// Creates a configuration with the defaults for everything except these two.
    pub fn new(url: BaseUrl, secret: Secrets) -> Self {
        let Capabilities { reports_delivery, idempotent, typing, max_text, media, content } =
            capability_keys::default();
        let timeout = ten_seconds();
        Self {
            url,
            secret,
            timeout,
            reports_delivery,
            idempotent,
            typing,
            max_text,
            media,
            content,
        }
    }

    /// The chat service's capabilities, according to the table.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities {
            reports_delivery: self.reports_delivery,
            idempotent: self.idempotent,
            typing: self.typing,
            max_text: self.max_text,
            media: self.media.clone(),
            content: self.content.clone(),
        }
    }
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn yes() -> bool {
    true
}

/// An `http` or `https` URL to which paths can be added. `Display` and `Debug` leave out its user
/// name, password and query.
///
/// ```
/// use connector::http::BaseUrl;
///
/// let url: BaseUrl = "https://user:hunter2@chat.example.com/tidegate?key=hunter2".parse()?;
/// assert_eq!(url.to_string(), "https://chat.example.com/tidegate");
/// assert_eq!(url.as_url().password(), Some("hunter2"));
/// # Ok::<(), connector::http::NotABaseUrl>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// Checks and wraps a URL. Its scheme must be `http` or `https`, and it must not have a
    /// fragment.
    ///
    /// # Errors
    /// [`NotABaseUrl`] if the URL has another scheme, no host, or a fragment.
    pub fn new(url: Url) -> Result<Self, NotABaseUrl> {
        let fits =
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.fragment().is_none();
        if fits { Ok(Self(url)) } else { Err(NotABaseUrl { no_url: None }) }
    }

    /// The whole URL. It may contain a password: do not log it.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// A copy of the URL, for a call without a path of its own.
    pub(crate) fn whole(&self) -> Url {
        self.0.clone()
    }

    /// The URL with these segments added, each percent-encoded.
    pub(crate) fn join(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.0.host_str().unwrap_or_default();
        let port = self.0.port().map(|port| format!(":{port}")).unwrap_or_default();
        write!(f, "{}://{authority}{port}{}", self.0.scheme(), self.0.path())
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for BaseUrl {
    type Err = NotABaseUrl;

    fn from_str(url: &str) -> Result<Self, NotABaseUrl> {
        Self::new(url.parse().map_err(|error| NotABaseUrl { no_url: Some(error) })?)
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// The error for a text or a URL that cannot be a [`BaseUrl`].
///
/// ```
/// use std::error::Error;
///
/// use connector::http::BaseUrl;
///
/// let error = "chat.example.com".parse::<BaseUrl>().unwrap_err();
/// let why = error.source().map(ToString::to_string);
/// assert_eq!(why.as_deref(), Some("relative URL without a base"));
/// assert!("ftp://chat.example.com".parse::<BaseUrl>().is_err(), "another scheme");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a connector's url is an http or https URL without a fragment, such as \
     \"http://127.0.0.1:9000\""
)]
pub struct NotABaseUrl {
    /// Why the text is no URL at all; `None` if it is a URL, but not one of a connector.
    #[source]
    no_url: Option<url::ParseError>,
}

#[cfg(test)]
mod tests {
    use conversation::ReasonCode;
    use serde_json::{Value, json};

    use super::*;
    use crate::Fallback;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn read(table: Value) -> Result<HttpConfig, serde_json::Error> {
        serde_json::from_value(table)
    }

    #[test]
    fn two_keys_are_enough_and_the_others_have_the_documented_defaults() {
        let config = read(json!({"url": "http://127.0.0.1:9000", "secret": SECRET})).unwrap();
        assert_eq!(config, HttpConfig::new(config.url.clone(), config.secret.clone()));
        assert_eq!(config.timeout, Duration::from_secs(10));
        let can = config.capabilities();
        assert!(!can.reports_delivery && can.idempotent && can.typing && can.max_text.is_none());
        assert!(can.render(Some(&"x".repeat(100_000)), &[], Fallback::Fail).is_ok());
        let video = json!({"contentType": "Attachment", "attachment": {"mime": "video/mp4"}});
        let reason = can.render(Some("look"), &[video], Fallback::Fail).unwrap_err();
        assert_eq!(
            reason.code,
            ReasonCode::MediaTypeNotAllowed,
            "what is not listed may be ignored and lost"
        );
        let reason = can
            .render(Some("look"), &[json!({"contentType": "Novelty"})], Fallback::Fail)
            .unwrap_err();
        assert_eq!(reason.code, ReasonCode::UnsupportedMessage);
    }

    #[test]
    fn every_key_is_read_and_others_are_errors() {
        let config = read(json!({"url": "https://chat.example.com/tidegate/", "secret": [SECRET],
            "timeout": "2500ms", "reports_delivery": true, "idempotent": false, "typing": false,
            "max_text": 4000, "media": ["image/*"], "content": ["QuickReply"]}))
        .unwrap();
        assert_eq!(config.timeout, Duration::from_millis(2_500));
        let can = config.capabilities();
        assert!(
            can.reports_delivery && !can.idempotent && !can.typing && can.max_text == Some(4_000)
        );
        assert!(read(json!({"url": "http://x", "secret": SECRET, "idempotence": true})).is_err());
        assert!(read(json!({"url": "http://x"})).is_err());
    }

    #[test]
    fn paths_are_added_to_the_base_however_it_ends() {
        for base in ["http://h/base", "http://h/base/"] {
            let base: BaseUrl = base.parse().unwrap();
            assert_eq!(
                base.join(&["conversations", "a/b?", "open"]).as_str(),
                "http://h/base/conversations/a%2Fb%3F/open"
            );
        }
        let base: BaseUrl = "http://h?key=1".parse().unwrap();
        assert_eq!(base.join(&["x"]).as_str(), "http://h/x?key=1");
        for bad in ["", "127.0.0.1:9000", "ftp://h", "unix:/x", "http://h#f"] {
            assert!(bad.parse::<BaseUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_url_at_all_has_the_parsers_error_as_its_source() {
        let source = |url: &str| {
            let error = url.parse::<BaseUrl>().unwrap_err();
            std::error::Error::source(&error).map(ToString::to_string)
        };
        let none = url::ParseError::RelativeUrlWithoutBase.to_string();
        assert_eq!(source("chat.example.com"), Some(none));
        assert_eq!(source("ftp://chat.example.com"), None);
    }

    #[test]
    fn a_password_in_the_url_is_not_shown() {
        let base: BaseUrl = "https://user:hunter2@h:1/p?token=hunter2".parse().unwrap();
        assert_eq!(format!("{base} {base:?}"), "https://h:1/p https://h:1/p");
    }
}
