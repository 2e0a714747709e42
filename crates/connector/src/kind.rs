//! A kind of connector: which keys `[integration.connector]` has for it, and how it is built.
//!
//! The program reads the table by a [`Kind`] of [`crate::registry`]. It knows nothing else about
//! it, so that a new connector changes only its own folder, one line of the registry, and a page of
//! the documentation.

use std::any::Any;
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use conversation::Clock;
use url::Url;

use crate::{Capabilities, Connector, EventSource};

/// A kind of connector. It is the value of `type` in `[integration.connector]` that selects it.
pub trait Kind: Send + Sync {
    /// The value of `type`.
    fn name(&self) -> &'static str;

    /// What people and programs are told about it. `tidegate connector show`, the table of its
    /// settings in the documentation and the JSON Schema are made from this.
    fn description(&self) -> Description;

    /// Reads the settings. Asks for every key, so that all problems are reported at once. Returns
    /// `None` if a key is missing or wrong.
    fn settings(&self, keys: &dyn Keys) -> Option<Arc<dyn Settings>>;
}

/// What people and programs are told about a kind of connector.
///
/// ```
/// use connector::Kind;
/// use connector::http::HttpKind;
///
/// let described = HttpKind.description();
/// let url = described.settings.iter().find(|setting| setting.key == "url").expect("it has a URL");
/// assert_eq!(url.default, None, "it must be written");
/// assert_eq!(url.example, "\"http://127.0.0.1:9000\"");
/// ```
#[derive(Clone, Debug)]
pub struct Description {
    /// One sentence that says which chat services it is for.
    pub summary: &'static str,
    /// The page of the documentation, from the root of the repository.
    pub page: &'static str,
    /// The keys of `[integration.connector]` except `type`, in the order of the documentation.
    pub settings: &'static [Setting],
    /// What the chat service can do if no setting says otherwise.
    pub capabilities: Capabilities,
    /// What it cannot do, or only up to a figure: one sentence each.
    pub limits: Vec<String>,
    /// The chat services and programs that its tests use.
    pub tested_with: &'static [&'static str],
}

/// One key of `[integration.connector]`.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The key.
    pub key: &'static str,
    /// Which values it takes.
    pub value: SettingValue,
    /// What counts if it is not written, as in TOML.
    pub default: Option<SettingDefault>,
    /// What it means, in sentences. Code is in backticks.
    pub meaning: &'static str,
    /// A value to start from, as in TOML.
    pub example: &'static str,
}

/// What counts if a key is not written. A key without this is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingDefault {
    /// This value, as in TOML.
    Is(&'static str),
    /// Nothing: no limit, for example.
    Nothing,
}

/// Which values a key takes: each is read by the method of [`Keys`] with the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// A text that is not empty.
    Text,
    /// A secret, or two while one replaces the other.
    Secrets,
    /// A list of texts.
    List,
    /// True or false.
    Flag,
    /// A whole number.
    Count(RangeInclusive<usize>),
    /// A duration such as `"1m30s"`.
    Duration(RangeInclusive<Duration>),
}

/// What `[integration.connector]` says, once it has been read. Its `Debug` shows no secret.
pub trait Settings: Any + Debug + Send + Sync {
    /// What the chat service can do.
    fn capabilities(&self) -> Capabilities;

    /// Where the chat service is, for people, such as its URL without a password.
    fn address(&self) -> String;

    /// Builds the connector. Makes no call.
    fn build(&self, parts: &BuildParts<'_>) -> Built;
}

/// What the program provides for building a connector.
pub struct BuildParts<'a> {
    /// The HTTP client for this URL. It follows no redirects. Calls to this machine go through no
    /// proxy.
    pub http: &'a dyn Fn(&Url) -> reqwest::Client,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

/// A connector, and the source of its chat service's events.
pub struct Built {
    /// Makes the calls.
    pub connector: Arc<dyn Connector>,
    /// Verifies and parses the events.
    pub events: Arc<dyn EventSource>,
}

/// The keys of `[integration.connector]`.
///
/// Every method makes the key known. A wrong value is reported with its place, its key and the text
/// that `read` returns. The methods return `None` or `false` if the key was not written, or is
/// wrong.
pub trait Keys {
    /// Reports the key if it is missing; `example` is what to write.
    fn require(&self, key: &str, example: &str);

    /// Reads a text that is not empty.
    fn read_text(&self, key: &str, read: &mut Read<'_>) -> bool;

    /// Reads a secret, or two while one replaces the other. `read` is called for each. The texts
    /// that it returns must not quote the secret.
    fn read_secrets(&self, key: &str, read: &mut Read<'_>) -> bool;

    /// Reads a list of texts; `read` is called for each.
    fn read_list(&self, key: &str, read: &mut Read<'_>) -> bool;

    /// Reads true or false.
    fn flag(&self, key: &str) -> Option<bool>;

    /// Reads a whole number.
    fn count(&self, key: &str, limits: RangeInclusive<usize>) -> Option<usize>;

    /// Reads a duration such as `"1m30s"`.
    fn duration(&self, key: &str, limits: RangeInclusive<Duration>) -> Option<Duration>;
}

/// Takes one text. The error says what is wrong with it.
pub type Read<'a> = dyn FnMut(&str) -> Result<(), String> + 'a;

impl dyn Keys + '_ {
    /// What `parse` makes of a text that is not empty.
    pub fn parsed<T>(
        &self,
        key: &str,
        mut parse: impl FnMut(&str) -> Result<T, String>,
    ) -> Option<T> {
        let mut parsed = None;
        let is_read = self.read_text(key, &mut |text| {
            parsed = Some(parse(text)?);
            Ok(())
        });
        parsed.filter(|_| is_read)
    }

    /// What `parse` makes of one secret or two.
    pub fn secrets<T>(
        &self,
        key: &str,
        mut parse: impl FnMut(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let mut parsed = Vec::new();
        let is_read = self.read_secrets(key, &mut |text| {
            parsed.push(parse(text)?);
            Ok(())
        });
        is_read.then_some(parsed)
    }

    /// What `parse` makes of each text of a list.
    pub fn list<T>(
        &self,
        key: &str,
        mut parse: impl FnMut(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let mut parsed = Vec::new();
        let is_read = self.read_list(key, &mut |text| {
            parsed.push(parse(text)?);
            Ok(())
        });
        is_read.then_some(parsed)
    }
}
