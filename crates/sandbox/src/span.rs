//! Durations as people write them: `"30s"`, `"72h"`, `"500ms"`.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration that is written as text. Not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// A span of `secs` seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let signed = SignedDuration::try_from(self.0).unwrap_or(SignedDuration::MAX);
        serializer.collect_str(&format_args!("{signed:#}"))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong =
            || de::Error::custom("a duration such as \"30s\", \"500ms\" or \"72h\" is wanted");
        let signed: SignedDuration = text.parse().map_err(|_| wrong())?;
        Duration::try_from(signed).map(Self).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written_as_people_do() {
        for (text, secs) in [("72h", 259_200), ("85s", 85), ("5m", 300), ("0s", 0)] {
            let span: Span = serde_json::from_value(text.into()).unwrap();
            assert_eq!(span, Span::secs(secs));
            let again: Span = serde_json::from_value(serde_json::to_value(span).unwrap()).unwrap();
            assert_eq!(again, span);
        }
        for wrong in ["-5s", "fast", "5", ""] {
            assert!(serde_json::from_value::<Span>(wrong.into()).is_err(), "{wrong}");
        }
    }
}
