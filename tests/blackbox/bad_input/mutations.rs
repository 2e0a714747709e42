//! Five hundred webhooks that were valid before random mutations: bits flipped, and parts cut,
//! repeated and replaced.

use std::collections::HashMap;

use fastrand::Rng;
use genesys::{Envelope, WebhookMessage};
use rusqlite::Connection;
use serde_json::json;

use super::webhooks::goes_on;
use super::{MARKER, Memory, QUICK};
use crate::support::{Loop, eventually, webhook};

const MUTANTS: usize = 500;

/// A valid body: words, an attachment, buttons, a receipt, or typing.
fn valid(rng: &mut Rng) -> Vec<u8> {
    let id = format!("{:032x}", rng.u128(..));
    let mut body =
        webhook(&id, "noor", &format!("{MARKER} {id} ünïcödé \u{1f69a} \"quoted\" \\ / \n"));
    match rng.u8(0..6) {
        0 => {
            let attachment = json!({ "mediaType": "Image", "mime": "image/png", "url": "https://example.invalid/a" });
            body["content"] = json!([{ "contentType": "Attachment", "attachment": attachment }]);
        }
        1 => {
            body["type"] = json!("Structured");
            let reply = json!({ "text": "Yes", "payload": "yes", "action": "Message" });
            body["content"] = json!([{ "contentType": "QuickReply", "quickReply": reply }]);
        }
        2 => {
            body["type"] = json!("Receipt");
            body["status"] = json!("Failed");
            body["reasons"] = json!([{ "code": "GeneralError", "message": "no" }]);
        }
        3 => {
            body["type"] = json!("Event");
            body["events"] =
                json!([{ "eventType": "Typing", "typing": { "type": "On", "duration": 5000 } }]);
        }
        _ => {}
    }
    body.to_string().into_bytes()
}

fn mutate(rng: &mut Rng, body: &mut Vec<u8>) {
    for _ in 0..rng.usize(1..=3) {
        let length = body.len();
        if length < 2 {
            return;
        }
        let at = rng.usize(..length);
        let until = (at + rng.usize(1..40)).min(length);
        match rng.u8(0..8) {
            0..=2 => body[at] ^= 1 << rng.u8(..8),
            3 => body.truncate(at),
            4 => drop(body.drain(at..until)),
            5 => {
                let part = body[at..until].repeat(rng.usize(1..20));
                body.splice(at..at, part);
            }
            6 => body[at..until].fill_with(|| rng.u8(..)),
            _ => {
                let token =
                    ["{", "}", "[", "]", ",", ":", "\"", "null", "-1e999", "\\u0000", "\\ud800"];
                let token = *rng.choice(&token).expect("there are some");
                body.splice(at..at, token.bytes());
            }
        }
    }
}

#[tokio::test]
async fn five_hundred_mutants_are_answered_200_and_each_comes_to_its_end() {
    let mut all = Loop::start("media = [\"*/*\"]\ncontent = [\"*\"]", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    let mut rng = Rng::with_seed(20_261_124);
    let mutants: Vec<_> = (0..MUTANTS)
        .map(|_| {
            let mut body = valid(&mut rng);
            mutate(&mut rng, &mut body);
            body
        })
        .collect();
    let memory = Memory::of(&all.gateway);
    for body in &mutants {
        assert_eq!(all.gateway.webhook(body).await, 200, "{}", String::from_utf8_lossy(body));
    }

    let path = all.dir.path().join("tidegate.db");
    eventually("every mutant has come to its end", async || {
        let store = Connection::open(&path).expect("the store");
        let open = "select count(*) from message where direction = 'outbound' and state <> 'kept' \
            and receipt is null";
        (store.query_row(open, [], |row| row.get::<_, u32>(0)).expect("a number") == 0)
            .then_some(())
    })
    .await;
    let kept = rows(&path);
    let receipts = final_receipts(&all).await;
    let (mut delivered, mut failed, mut silent) = (0, 0, 0);
    for body in &mutants {
        let read = WebhookMessage::read(body);
        if read.as_ref().is_ok_and(WebhookMessage::is_typing) {
            continue;
        }
        let shown = String::from_utf8_lossy(body);
        let (id, state, receipt) =
            kept.get(body).unwrap_or_else(|| panic!("nothing is lost: {shown}"));
        let told = receipts.get(id).copied().unwrap_or_default();
        if state == "kept" {
            let id = Envelope::read(body)
                .ok()
                .and_then(|envelope| envelope.id)
                .filter(|id| !id.is_empty());
            let asks = read.ok().and_then(|message| message.r#type).is_none_or(|kind| {
                !matches!(
                    kind,
                    genesys::message::MessageType::Event | genesys::message::MessageType::Receipt
                )
            });
            assert!(
                id.is_none() || !asks,
                "it has an id, so somebody waits for its receipt: {shown}"
            );
            assert_eq!(told, 0, "{shown}");
            silent += 1;
        } else {
            assert_eq!(
                (receipt.as_deref(), told),
                (Some("posted"), 1),
                "one final receipt that Genesys takes: {shown}"
            );
            if state == "delivered" { delivered += 1 } else { failed += 1 }
        }
    }
    println!("{MUTANTS} mutants: {delivered} delivered, {failed} failed, {silent} kept");
    assert!(
        delivered > 50 && failed > 5 && silent > 50,
        "{delivered} delivered, {failed} failed, {silent} kept"
    );
    goes_on(&mut all).await;
    memory.stayed_small(&all.gateway);
}

/// Every body in the store, with its id, its state and its receipt's.
fn rows(path: &std::path::Path) -> HashMap<Vec<u8>, (String, String, Option<String>)> {
    let store = Connection::open(path).expect("the store");
    let all = "select body, foreign_id, state, receipt from message join body using (seq) where \
        direction = 'outbound'";
    let mut statement = store.prepare(all).expect("a query");
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?)));
    statement.query_map([], row).expect("rows").collect::<Result<_, _>>().expect("rows")
}

/// How many final receipts Genesys accepted for each id.
async fn final_receipts(all: &Loop) -> HashMap<String, u32> {
    let mut found = HashMap::new();
    for entry in all.sandbox.transcript().await {
        let is_receipt =
            entry["path"].as_str().is_some_and(|path| path.ends_with("/inbound/open/receipt"));
        let taken = entry["status"].as_u64().is_some_and(|status| status < 300);
        if is_receipt && taken && entry["body"]["isFinalReceipt"] == true {
            *found.entry(entry["body"]["id"].as_str().expect("an id").to_owned()).or_default() += 1;
        }
    }
    found
}
