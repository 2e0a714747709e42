//! `[integration.connector]`: the chat service.
//!
//! The code that reads an integration calls this. A new connector adds its type and its keys here.

use std::time::Duration;

use connector::http::{BaseUrl, HttpConfig, Secret, Secrets};
use connector::{ContentKinds, MediaRange};

use super::report::quoted;
use super::values::because;
use super::walk::{Field, Table};

pub(super) fn connector(field: &Field<'_>) -> Option<HttpConfig> {
    field.table(|table| {
        if !field.is_given() {
            // It is enough to report that the whole table is missing.
            table.leave();
        }
        let kind = table.field("type").required("type = \"http\"").parsed(|kind| match kind {
            "http" => Ok(()),
            other => Err(format!(
                "{} is no connector of this version, which knows only \"http\"",
                quoted(other)
            )),
        });
        if kind.is_none() && table.field("type").is_given() {
            // The other keys belong to an unknown connector.
            table.leave();
            return None;
        }
        let http = http(table);
        kind.and(http)
    })
}

fn http(table: &Table<'_>) -> Option<HttpConfig> {
    let url = table.field("url").required("url = \"http://127.0.0.1:9000\"");
    let url = url.parsed(|text| text.parse::<BaseUrl>().map_err(because));
    let secret = table.field("secret").required("secret = { env = \"NAME\" }");
    let secret = secret.secrets(|text| text.parse::<Secret>().map_err(because));
    let timeout =
        table.field("timeout").duration(Duration::from_millis(1)..=Duration::from_hours(1));
    let (reports_delivery, idempotent) =
        (table.field("reports_delivery").flag(), table.field("idempotent").flag());
    let typing = table.field("typing").flag();
    let max_text = table.field("max_text").count(1..=1_000_000);
    let media = table.field("media").list(|range| range.parse::<MediaRange>().map_err(because));
    let content = table.field("content").list(|kind| Ok(kind.to_owned()));
    let content = content.map(|kinds| {
        if kinds.iter().any(|kind| kind == "*") {
            ContentKinds::Any
        } else {
            ContentKinds::Only(kinds.into_iter().collect())
        }
    });

    let default = HttpConfig::new(url?, Secrets::new(secret?)?);
    Some(HttpConfig {
        timeout: timeout.unwrap_or(default.timeout),
        reports_delivery: reports_delivery.unwrap_or(default.reports_delivery),
        idempotent: idempotent.unwrap_or(default.idempotent),
        typing: typing.unwrap_or(default.typing),
        max_text: max_text.or(default.max_text),
        media: media.unwrap_or(default.media),
        content: content.unwrap_or(default.content),
        url: default.url,
        secret: default.secret,
    })
}
