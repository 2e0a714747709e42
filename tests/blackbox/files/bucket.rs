//! Files in a bucket, by the variables that AWS's programs read.

use std::time::Duration;

use super::{PNG, Stage, fetched, said};
use crate::ports::free_port;
use crate::s3::Moto;
use serde_json::json;

#[tokio::test]
async fn files_lie_in_a_bucket_and_links_outlive_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let moto = Moto::start(free_port(), "files", &dir.path().join("moto.log")).await;
    let variables = moto.variables();
    let mut all = Stage::start_with(dir, Duration::ZERO, "s3://files/acme", "", &variables).await;
    all.customer_writes(&said("c-1", &[])).await;
    let file = json!({ "mediaType": "Image", "mime": "image/png", "url": all.chat.link("a.png") });
    let message = all.agent_sends(Some("Your label."), &[file]).await;
    let got = all.chat.message(&message).await;
    let link = got["content"][0]["attachment"]["url"].as_str().unwrap_or_else(|| panic!("{got}"));
    assert_eq!(fetched(link).await.2.as_ref(), PNG);
    all.gateway.stop().await;
    let mut command = crate::support::tidegate();
    command.envs(moto.variables());
    all.gateway.restart_as(command).await;
    assert_eq!(fetched(link).await.2.as_ref(), PNG);
    let listed = crate::support::client().get(format!("{}/files?list-type=2", moto.url));
    let listed = listed.send().await.expect("an answer").text().await.expect("a body");
    assert_eq!(listed.matches("<Key>acme/").count(), 3, "file, note and secret: {listed}");
}
