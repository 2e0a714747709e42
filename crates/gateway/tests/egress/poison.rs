//! A message that Genesys never accepts does not block its customer forever, and an outage loses
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use conversation::{Policy, ReasonCode};
use serde_json::json;
use store::memory::Database;
use tokio::time::Instant;

use crate::stage::{Said, Stage, lock};

const TAKEOVER: Duration = Duration::from_mins(1);

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.inbound.give_up_after = Duration::from_mins(1);
    policy.inbound.give_up_tries = 5;
    policy
}

fn taken() -> Said {
    Said::Json(202, json!({ "id": "x", "conversationId": "g" }))
}

fn integration() -> Said {
    Said::Json(200, json!({ "id": "b3f0", "name": "acme" }))
}

/// Genesys gives this answer to each post that contains the poison; all other calls succeed.
async fn one_is_poisoned(said: Said, others: bool) {
    let stage = Stage::new(policy());
    let poisoned = said.clone();
    stage.genesys.answer(move |call| match call.what.as_str() {
        "POST message" if call.text == "poison" => poisoned.clone(),
        "POST message" if call.elsewhere => Said::Json(404, json!({ "code": "not.found" })),
        "POST message" => taken(),
        _ => integration(),
    });
    let began = Instant::now();
    stage.says("noor", "poison").await;
    stage.says("noor", "are you there?").await;
    let mut count = 0;
    while !stage.database.is_done() {
        assert!(
            began.elapsed() < Duration::from_mins(10),
            "noor is blocked although only one is poisoned: {said:?}"
        );
        if others {
            count += 1;
            stage.says("omar", &format!("hello {count}")).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(began.elapsed() >= Duration::from_mins(1), "given up too early: {said:?}");
    assert!(stage.genesys.texts().contains(&"are you there?".to_owned()));
    stage
        .until("the chat service is told, at the second try", |stage| {
            !lock(&stage.refusals).is_empty()
        })
        .await;
    let refusals = lock(&stage.refusals).clone();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert_eq!(
        (refusals[0].message_id.as_str(), refusals[0].reason.code),
        ("poison", ReasonCode::ServerError)
    );
    stage.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_genesys_never_takes_is_given_up_and_the_next_one_goes() {
    for said in
        [Said::Json(500, json!({})), Said::Json(503, json!({})), Said::Nothing, Said::Broken]
    {
        one_is_poisoned(said, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn so_is_one_that_meets_a_refusal_that_others_do_not_meet() {
    for said in
        [Said::Json(500, json!({})), Said::Json(403, json!({})), Said::Text(404, "<html>no</html>")]
    {
        one_is_poisoned(said, true).await;
    }
}

/// Genesys gives this answer to every post for three hours, and then works.
async fn an_outage(posts: Said, questions: Said) {
    let stage = Stage::new(policy());
    let during = (posts.clone(), questions.clone());
    stage.genesys.answer(move |call| match call.what.as_str() {
        "POST message" => during.0.clone(),
        _ => during.1.clone(),
    });
    for id in ["n1", "n2"] {
        stage.says("noor", id).await;
    }
    for id in ["o1", "o2"] {
        stage.says("omar", id).await;
    }
    tokio::time::sleep(Duration::from_hours(3)).await;
    stage.genesys.answer(|call| match call.what.as_str() {
        "POST message" => taken(),
        _ => integration(),
    });
    stage.until_done().await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(
        lock(&stage.refusals).is_empty(),
        "given up during an outage: {posts:?}, {questions:?}"
    );
    let mut texts = stage.genesys.texts();
    texts.sort();
    assert_eq!(texts, ["n1", "n2", "o1", "o2"]);
    stage.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_loses_nothing_however_long_it_lasts() {
    let failing =
        [Said::Json(503, json!({})), Said::Nothing, Said::Broken, Said::Json(401, json!({}))];
    for said in failing {
        an_outage(said.clone(), said).await;
    }
    // It answers queries, and accepts no message.
    an_outage(Said::Json(500, json!({})), integration()).await;
    // A permission is missing.
    an_outage(Said::Json(403, json!({})), integration()).await;
}

/// Genesys refuses every text that begins with the poison.
fn poison(stage: &Stage, said: Said) {
    stage.genesys.answer(move |call| match call.what.as_str() {
        "POST message" if call.elsewhere => Said::Json(404, json!({ "code": "not.found" })),
        "POST message" if call.text.starts_with("poison") => said.clone(),
        "POST message" => taken(),
        _ => integration(),
    });
}

/// This many customers each have a message that Genesys never accepts, and no other customer
/// writes.
async fn all_are_poisoned(customers: usize, said: Said) -> Stage {
    let stage = Stage::new(policy());
    poison(&stage, said);
    for number in 0..customers {
        stage.says(&format!("customer-{number}"), &format!("poison {number}")).await;
        stage.says(&format!("customer-{number}"), &format!("after {number}")).await;
    }
    stage
}

#[tokio::test(start_paused = true)]
async fn a_few_poisoned_customers_do_not_wait_for_each_other() {
    for customers in [2, 4] {
        for said in [Said::Json(500, json!({})), Said::Nothing, Said::Broken] {
            let stage = all_are_poisoned(customers, said.clone()).await;
            let began = Instant::now();
            while !stage.database.is_done() {
                assert!(
                    began.elapsed() < Duration::from_mins(30),
                    "{customers} wait for each other: {said:?}"
                );
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            assert!(began.elapsed() >= Duration::from_mins(1), "given up too early");
            stage.shutdown().await;
        }
    }
}

/// If many messages fail and none gets through, an answer to a question does not prove that Genesys
/// works.
#[tokio::test(start_paused = true)]
async fn many_are_an_outage() {
    let stage = all_are_poisoned(5, Said::Json(500, json!({}))).await;
    tokio::time::sleep(Duration::from_hours(3)).await;
    assert!(lock(&stage.refusals).is_empty());
    stage.shutdown().await;
}

/// Three nodes, each with a Genesys that refuses the poison. They have divided the conversations
/// among themselves.
async fn three_nodes(database: &Arc<Database>) -> [Stage; 3] {
    let nodes = ["a", "b", "c"].map(|name| Stage::node(database, name, TAKEOVER, policy()));
    for node in &nodes {
        poison(node, Said::Json(500, json!({})));
    }
    tokio::time::sleep(TAKEOVER * 2).await;
    nodes
}

/// Many poisoned messages, of which each of several nodes drives a few.
#[tokio::test(start_paused = true)]
async fn many_on_several_nodes_are_an_outage_too() {
    let database = Database::new(None);
    let nodes = three_nodes(&database).await;
    for number in 0..6 {
        nodes[0].says(&format!("customer-{number}"), &format!("poison {number}")).await;
    }
    tokio::time::sleep(Duration::from_mins(15)).await;
    for node in nodes {
        assert!(
            (1..=4).contains(&node.genesys.texts().len()),
            "each has a few: {:?}",
            node.genesys.texts()
        );
        assert_eq!(lock(&node.refusals).len(), 0, "given up during an outage");
        node.shutdown().await;
    }
}

/// On a shared store, a conversation that may not be current is loaded again. An attempt that
/// changes nothing must not start an endless loop of loads.
#[tokio::test(start_paused = true)]
async fn few_on_several_nodes_are_given_up_and_meanwhile_nothing_is_read_without_end() {
    let database = Database::new(None);
    let nodes = three_nodes(&database).await;
    let requests = || nodes.iter().map(Stage::requests).sum::<u64>();
    let (before, began) = (requests(), Instant::now());
    for number in 0..2 {
        nodes[0].says(&format!("customer-{number}"), &format!("poison {number}")).await;
    }
    while !database.is_done() {
        assert!(began.elapsed() < Duration::from_mins(30), "they wait for each other");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (requests, seconds) = (requests() - before, began.elapsed().as_secs());
    println!("{requests} requests to the store in {seconds} s");
    assert!(requests < 20 * seconds, "{requests} requests to the store in {seconds} s");
    for node in nodes {
        node.shutdown().await;
    }
}
