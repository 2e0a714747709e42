//! `type = "http"`: its keys, and how it is built.

use std::sync::Arc;

use super::{BaseUrl, HttpConfig, HttpConnector, Inbound, keys};
use crate::protocol::answer::LONGEST_ANSWER;
use crate::protocol::{MAX_CONTENT, MAX_EVENTS, MAX_ID, MAX_SESSION};
use crate::{
    BuildParts, Built, Capabilities, Description, Keys, Kind, Setting, SettingValue, Settings,
    capability_keys,
};

/// The keys, also as in docs/configuration.md.
const SETTINGS: &[Setting] = &[
    Setting {
        key: "url",
        value: SettingValue::Text,
        default: None,
        meaning: "The URL of the connector. The paths of the calls are appended to it.",
        example: "\"http://127.0.0.1:9000\"",
    },
    Setting {
        key: "secret",
        value: SettingValue::Secrets,
        default: None,
        meaning: "The secret that signs calls and verifies events: `whsec_` and at least 24 bytes \
                  in base64. `echo whsec_$(openssl rand -base64 32)` creates one.",
        example: "{ env = \"ACME_CONNECTOR_SECRET\" }",
    },
    keys::TIMEOUT,
    capability_keys::REPORTS_DELIVERY,
    capability_keys::IDEMPOTENT,
    capability_keys::TYPING,
    capability_keys::LONGEST_TEXT,
    capability_keys::MEDIA,
    capability_keys::CONTENT,
];

/// The kind `http`: any chat service behind the connector protocol.
#[derive(Clone, Copy, Debug)]
pub struct HttpKind;

impl Kind for HttpKind {
    fn name(&self) -> &'static str {
        "http"
    }

    fn description(&self) -> Description {
        Description {
            summary: "Any chat service that speaks the connector protocol over HTTP.",
            page: "docs/connectors.md",
            settings: SETTINGS,
            capabilities: capability_keys::default(),
            limits: vec![
                format!("An answer is read up to {} KiB.", LONGEST_ANSWER / 1024),
                format!("A session has up to {MAX_SESSION} bytes, any other id up to {MAX_ID}."),
                format!("A body has up to {MAX_EVENTS} events."),
                format!("A customer's message has up to {MAX_CONTENT} content elements."),
                "A redirect is not followed.".to_owned(),
            ],
            tested_with: &[
                "examples/python-chat, by its own tests and by `tidegate connector test`",
                "the connectors of docs/first-message.md, in Python and in Node",
                "scripted servers that answer with any status, hang, or break off",
            ],
        }
    }

    fn settings(&self, keys: &dyn Keys) -> Option<Arc<dyn Settings>> {
        keys.require("url", "url = \"http://127.0.0.1:9000\"");
        let url =
            keys.parsed("url", |text| text.parse::<BaseUrl>().map_err(|error| error.to_string()));
        let secret = keys::secret(keys);
        let timeout = keys::timeout(keys);
        let Capabilities { reports_delivery, idempotent, typing, max_text, media, content } =
            capability_keys::read(keys);

        let default = HttpConfig::new(url?, secret?);
        Some(Arc::new(HttpConfig {
            timeout,
            reports_delivery,
            idempotent,
            typing,
            max_text,
            media,
            content,
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::ops::RangeInclusive;
    use std::time::Duration;

    use super::*;
    use crate::Read;
    use crate::registry::KINDS;

    /// What a kind asks for: whether each key is required, and its values.
    #[derive(Default)]
    struct AskedKeys {
        required: RefCell<Vec<String>>,
        values: RefCell<Vec<(String, SettingValue)>>,
    }

    impl AskedKeys {
        fn note(&self, key: &str, value: SettingValue) {
            self.values.borrow_mut().push((key.to_owned(), value));
        }
    }

    impl Keys for AskedKeys {
        fn require(&self, key: &str, _: &str) {
            self.required.borrow_mut().push(key.to_owned());
        }

        fn read_text(&self, key: &str, _: &mut Read<'_>) -> bool {
            self.note(key, SettingValue::Text);
            false
        }

        fn read_secrets(&self, key: &str, _: &mut Read<'_>) -> bool {
            self.note(key, SettingValue::Secrets);
            false
        }

        fn read_list(&self, key: &str, _: &mut Read<'_>) -> bool {
            self.note(key, SettingValue::List);
            false
        }

        fn flag(&self, key: &str) -> Option<bool> {
            self.note(key, SettingValue::Flag);
            None
        }

        fn count(&self, key: &str, limits: RangeInclusive<usize>) -> Option<usize> {
            self.note(key, SettingValue::Count(limits));
            None
        }

        fn duration(&self, key: &str, limits: RangeInclusive<Duration>) -> Option<Duration> {
            self.note(key, SettingValue::Duration(limits));
            None
        }
    }

    #[test]
    fn each_kind_declares_the_keys_that_it_reads() {
        for kind in KINDS {
            let asked = AskedKeys::default();
            assert!(kind.settings(&asked).is_none());
            let described = kind.description();
            let required = described.settings.iter().filter(|setting| setting.default.is_none());
            let required: Vec<_> = required.map(|setting| setting.key).collect();
            assert_eq!(*asked.required.borrow(), required, "{}", kind.name());
            let declared = described.settings.iter();
            let declared: Vec<_> =
                declared.map(|setting| (setting.key.to_owned(), setting.value.clone())).collect();
            assert_eq!(*asked.values.borrow(), declared, "{}", kind.name());
        }
    }
}
