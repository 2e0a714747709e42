//! The password of a database.

use serde_json::json;

use super::stage::Stage;
use super::{LOUDEST, Told};
use crate::postgres_cluster::{Cluster, succeeds};
use crate::support::{Gateway, eventually, free_port, webhook};

const PASSWORD: &str = "planted-database-password-e04c";

/// A database that accepts no connection without the password.
fn locked() -> Cluster {
    let mut cluster = Cluster::start();
    let sql = format!("alter user tidegate password '{PASSWORD}'");
    let mut psql = cluster.command("psql");
    succeeds(psql.args([
        "-h",
        "127.0.0.1",
        "-p",
        &cluster.port().to_string(),
        "-U",
        "tidegate",
        "-c",
        &sql,
        "postgres",
    ]));
    let rules = "host all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(cluster.data().join("pg_hba.conf"), rules).expect("written");
    cluster.stop("INT");
    cluster.run();
    cluster
}

fn url(cluster: &Cluster, password: &str) -> String {
    cluster.url().replacen("tidegate@", &format!("tidegate:{password}@"), 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_a_database_is_told_neither_while_it_serves_nor_when_it_is_away() {
    let mut cluster = locked();
    let stage = Stage::set(Some(&url(&cluster, PASSWORD)), Some(LOUDEST)).await;
    let mut told = Told::default();
    let event = json!({ "type": "message.created", "id": "first", "customer": { "id": "noor" }, "text": "Hello?" });
    assert_eq!(stage.gateway.events(event.to_string().as_bytes()).await.0, 202);
    let send = async || stage.sandbox.agent_sends("noor", "Good morning.").await;
    let message = eventually("the agent has the conversation", send).await;
    assert_eq!(stage.sandbox.final_receipt(&message).await.0, "Delivered");
    stage.collect(&mut told).await;
    cluster.stop("INT");
    assert_eq!(
        stage
            .gateway
            .webhook(webhook("away", "noor", "Nobody takes this.").to_string().as_bytes())
            .await,
        503
    );
    stage.collect(&mut told).await;
    assert!(told.size() > 100_000, "at this level the log says a lot");
    told.lacks(&[PASSWORD.to_owned()]);
}

#[tokio::test]
async fn a_wrong_password_is_not_repeated() {
    let cluster = locked();
    let dir = tempfile::tempdir().expect("a folder");
    let wrong = "planted-wrong-password-77aa";
    std::fs::write(dir.path().join("store.url"), url(&cluster, wrong)).expect("written");
    let nobody = "http://127.0.0.1:1";
    let file = Gateway::configure(dir.path(), free_port(), nobody, "b3f0", nobody, "");
    let mut told = Told::default();
    for command in ["serve", "check"] {
        told.command(&[command, "--config"], Some(&file), LOUDEST);
    }
    told.command(&["audit", "--store", &url(&cluster, wrong)], None, LOUDEST);
    assert!(told.0.iter().any(|(_, bytes)| {
        String::from_utf8_lossy(bytes).contains("password authentication failed")
    }));
    told.lacks(&[wrong.to_owned(), PASSWORD.to_owned()]);
}
