//! The console's lists: the newest on the page of the integration, and all of them page by page.

use std::collections::BTreeSet;

use crate::support::{Loop, eventually};

/// More than a page of the list has.
const FAILED: usize = 105;

/// The ids of the messages to which the page has links.
fn linked(page: &str) -> Vec<String> {
    let links = page.split("href=\"/console/messages/").skip(1);
    links.map(|rest| rest.split('"').next().expect("an end").to_owned()).collect()
}

/// Where the link with this text leads.
fn target(page: &str, text: &str) -> Option<String> {
    let before = page.split(&format!("\">{text}</a>")).next().filter(|before| *before != page)?;
    Some(before.rsplit("href=\"").next()?.replace("&amp;", "&"))
}

#[tokio::test]
async fn all_messages_that_failed_are_listed_page_by_page() {
    let stage = Loop::start("[integration.hold]\nfor = \"1s\"\n", &["--handshake", "600"]).await;
    stage.chat.says("noor", "hello").await;
    let texts: Vec<_> = (0..FAILED).map(|number| format!("answer {number}")).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let sent: BTreeSet<_> = stage.agent_types("noor", &texts).await.into_iter().collect();
    assert_eq!(sent.len(), FAILED);

    // Of the integration's page, only the list of failed messages has entries in the end.
    let first = eventually("all have failed", async || {
        let (_, page) = stage.gateway.get("/console/integrations/acme/failed").await;
        let older = target(&page, "Older ones")?;
        let (_, rest) = stage.gateway.get(&older).await;
        (linked(&page).len() + linked(&rest).len() == FAILED).then_some((page, rest))
    })
    .await;
    let listed: Vec<_> = [&first.0, &first.1].into_iter().flat_map(|page| linked(page)).collect();
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), sent, "each of them, and once");
    assert_eq!(target(&first.1, "Older ones"), None, "the second page is the last one");
    let newest = target(&first.1, "The newest ones");
    assert_eq!(newest.as_deref(), Some("/console/integrations/acme/failed"));

    let (_, page) = stage.gateway.get("/console/integrations/acme").await;
    assert_eq!(linked(&page), listed[..20], "the newest");
    assert_eq!(target(&page, "All of them").as_deref(), Some("/console/integrations/acme/failed"));
}

#[tokio::test]
async fn a_wrong_list_or_cursor_is_answered_by_a_page() {
    let stage = Loop::start("", &["--handshake", "0"]).await;
    for (path, status, part) in [
        ("acme/lost", 404, "held, failing, failed, dead-letters"),
        ("other/failed", 404, "no integration of this name"),
        ("acme/failed?cursor=x", 400, "of an earlier page"),
        ("acme/held?cursor=1.%00", 400, "of an earlier page"),
    ] {
        let (got, page) = stage.gateway.get(&format!("/console/integrations/{path}")).await;
        assert_eq!(got, status, "{path}: {page}");
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains(part), "{path}: {page}");
    }
}
