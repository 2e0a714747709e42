//! The addresses of the pages.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a path segment and in a query.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The page of a message.
pub fn message(id: &str) -> String {
    format!("/console/messages/{}", segment(id))
}

/// The page of a conversation.
pub(crate) fn conversation(id: &str) -> String {
    format!("/console/conversations/{}", segment(id))
}

/// Where the form for an action on a dead letter is sent: `retry` or `discard`.
pub(crate) fn dead_letter(id: &str, action: &str) -> String {
    format!("/console/dead-letters/{}/{action}", segment(id))
}

/// The page of an integration.
pub(crate) fn integration(name: &str) -> String {
    format!("/console/integrations/{}", segment(name))
}

/// A page of a list of an integration: the one that `cursor` names, or the first.
pub(crate) fn list(integration_name: &str, list: &str, cursor: Option<&str>) -> String {
    let page = cursor.map(|cursor| format!("?cursor={}", segment(cursor))).unwrap_or_default();
    format!("{}/{list}{page}", integration(integration_name))
}

/// An id as one segment of a path.
fn segment(id: &str) -> String {
    utf8_percent_encode(id, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment() {
        assert_eq!(message("a/b?c#d e&f"), "/console/messages/a%2Fb%3Fc%23d%20e%26f");
        assert_eq!(conversation("ü.1-_~"), "/console/conversations/%C3%BC.1-_~");
    }
}
