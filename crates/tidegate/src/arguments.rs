//! Values on the command line that more than one command takes.

use std::time::Duration;

/// Reads a duration such as `90s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let signed: Option<jiff::SignedDuration> = text.parse().ok();
    signed
        .and_then(|signed| signed.try_into().ok())
        .ok_or_else(|| "write a duration such as 90s or 5m".to_owned())
}
