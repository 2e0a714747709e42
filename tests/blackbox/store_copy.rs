//! `tidegate store`: from a file into a database and back, with no more than a restart between.

use crate::postgres::{customers, heard, taken, talk};
use crate::postgres_cluster::Cluster;
use crate::support::{Nodes, output, tidegate};

fn store(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = tidegate();
    command.arg("store").args(arguments);
    let output = output(command);
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    (output.status.code(), said.concat())
}

fn copies(from: &str, to: &str) -> String {
    let (code, said) = store(&["copy", "--from", from, "--to", to]);
    assert_eq!(code, Some(0), "{said}");
    said
}

#[tokio::test]
async fn a_gateway_moves_from_a_file_to_a_database_and_back_with_no_more_than_a_restart() {
    let cluster = Cluster::start();
    let dir = tempfile::tempdir().expect("a folder");
    let (file, database) =
        (format!("sqlite:{}", dir.path().join("tidegate.db").display()), cluster.url());
    let mut all = Nodes::start(&file, 1, "", &["--handshake", "3", "--delay", "0.05"]).await;
    let customers = customers(6);
    for customer in &customers {
        all.chat.says(customer, "Where is my parcel?").await;
    }
    let mut typed = talk(&all, &customers, 1, 2).await;

    // Most of it is copied while the gateway runs, but not what happens meanwhile.
    let said = copies(&file, &database);
    assert!(said.contains("a gateway is working on --from"), "{said}");
    taken(&all, &typed).await;
    // A customer whose handshake has only just begun when the gateway stops.
    all.chat.says("late", "Where is mine?").await;
    typed.extend(talk(&all, &["late".to_owned()], 1, 2).await);
    all.stop(0).await;
    let said = copies(&file, &database);
    assert!(said.contains("both hold the same"), "{said}");
    let again = copies(&file, &database);
    assert!(
        again.contains("copied 0 conversations with 0 messages"),
        "nothing has changed: {again}"
    );

    all.move_to(0, &database);
    all.restart(0).await;
    typed.extend(talk(&all, &customers, 3, 2).await);
    taken(&all, &typed).await;
    assert_eq!(all.chat.taken().len(), typed.len(), "what was told before is not told again");
    all.stop(0).await;
    let said = copies(&database, &file);
    assert!(said.contains("both hold the same"), "{said}");
    let (code, said) = store(&["compact", "--store", &file]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = store(&["compact", "--store", &database]);
    assert_eq!(code, Some(0), "{said}");

    all.move_to(0, &file);
    all.restart(0).await;
    typed.extend(talk(&all, &customers, 5, 2).await);
    let everybody: Vec<String> = customers.iter().cloned().chain(["late".to_owned()]).collect();
    heard(&all, &typed, &everybody, false).await;
}

#[test]
fn it_says_what_is_in_the_way() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = format!("sqlite:{}", dir.path().join("tidegate.db").display());
    let (code, said) = store(&["copy", "--from", &file, "--to", &file]);
    assert_eq!((code, said.contains("the same store")), (Some(2), true), "{said}");
    let (code, said) = store(&["copy", "--from", &file, "--to", "sqlite:/nowhere/at/all.db"]);
    assert_eq!((code, said.contains("there is no store at")), (Some(2), true), "{said}");
    let (code, said) = store(&["compact", "--store", &file]);
    assert_eq!((code, said.contains("there is no store at")), (Some(2), true), "{said}");
    let (code, said) = store(&["migrate", "--store", &file]);
    assert_eq!((code, said.contains("has the schema of this version")), (Some(0), true), "{said}");
    let (code, said) = store(&["compact", "--store", &file]);
    assert_eq!(code, Some(0), "{said}");
}
