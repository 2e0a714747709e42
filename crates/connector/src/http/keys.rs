//! The keys of `[integration.connector]` that every kind with a signed protocol has.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Secret, Secrets};
use crate::{Keys, Setting, SettingDefault, SettingValue};

/// How long a call that opens a session may take.
const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(1);

/// The timeout of a call that opens a session, if the configuration has none.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) const TIMEOUT: Setting = Setting {
    key: "timeout",
    value: SettingValue::Duration(TIMEOUT_RANGE),
    default: Some(SettingDefault::Is("\"10s\"")),
    meaning: "The timeout of a call that opens a session. Messages use the `timeout` of \
              `[integration.delivery]`. At most `\"1h\"`.",
    example: "\"10s\"",
};

/// Reads the secrets of the signatures. The key is required.
pub(crate) fn secret(keys: &dyn Keys) -> Option<Secrets> {
    keys.require("secret", "secret = { env = \"NAME\" }");
    let parse = |text: &str| text.parse::<Secret>().map_err(|error| error.to_string());
    keys.secrets("secret", parse).and_then(Secrets::new)
}

/// Reads how long a call that opens a session may take: [`DEFAULT_TIMEOUT`] if nothing is set.
pub(crate) fn timeout(keys: &dyn Keys) -> Duration {
    keys.duration("timeout", TIMEOUT_RANGE).unwrap_or(DEFAULT_TIMEOUT)
}
