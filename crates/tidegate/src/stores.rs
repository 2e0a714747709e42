//! `tidegate store`: store maintenance.

use std::sync::Arc;

use store::{Chain, OpenError, Portable, PostgresStore, SqliteStore, audit, copy};

use crate::cli::StoreCommand;
use crate::failure::Failure;
use crate::wiring::is_postgres;

pub(crate) async fn run(what: StoreCommand) -> Result<(), Failure> {
    match what {
        StoreCommand::Migrate { store } => {
            let opened = open_to_fill(&store).await.map_err(|error| unusable("--store", &error))?;
            opened.close().await;
            println!("the store has the schema of this version");
            Ok(())
        }
        StoreCommand::Copy { from, to } => copy_all(&from, &to).await,
        StoreCommand::Compact { store } => compact(&store).await,
    }
}

async fn copy_all(from: &str, to: &str) -> Result<(), Failure> {
    if from == to {
        return Err(Failure::configuration("tidegate: --from and --to are the same store"));
    }
    let source = open_to_read(from).await.map_err(|error| unusable("--from", &error))?;
    let target = open_to_fill(to).await.map_err(|error| unusable("--to", &error))?;
    let failed = |error| Failure::failed("the copy is not complete", error);
    if target.is_in_use().await.map_err(failed)? {
        return Err(Failure::configuration(
            "tidegate: nodes are using the store of --to: stop them first",
        ));
    }
    // This is checked before and after the copy, because a gateway that works meanwhile may write
    // something that is not copied.
    let mut in_use = source.is_in_use().await.map_err(failed)?;
    let copied = copy(source.as_ref(), target.as_ref()).await.map_err(failed)?;
    in_use |= source.is_in_use().await.map_err(failed)?;
    println!(
        "copied {} conversations with {} messages; {} had not changed, {} are gone",
        copied.conversations, copied.messages, copied.unchanged, copied.removed
    );
    for (name, store) in [("--from", &source), ("--to", &target)] {
        let found = audit(store.as_ref())
            .await
            .map_err(|error| Failure::failed("the store cannot be audited", error))?;
        println!("\n{name}\n{found}");
        // If a gateway wrote to `--from` while it was read, only `--to` is one consistent state.
        let is_one_state = !in_use || name == "--to";
        if is_one_state && !found.passed() {
            return Err(Failure::found(format!("the audit of {name} found breaches")));
        }
    }
    target.close().await;
    if in_use {
        println!(
            "a gateway is working on --from: stop it, copy once more, and start it with the other \
             store"
        );
    } else {
        println!("both hold the same: start the gateway with the other store");
    }
    Ok(())
}

async fn compact(url: &str) -> Result<(), Failure> {
    if is_postgres(url) {
        let store = PostgresStore::open_read_only(url)
            .await
            .map_err(|error| unusable("--store", &error))?;
        let failed = |error| Failure::failed("the store cannot be compacted", error);
        if store.is_in_use().await.map_err(failed)? {
            return Err(Failure::configuration(
                "tidegate: nodes are using the store: stop them first",
            ));
        }
        store.compact().await.map_err(failed)?;
    } else {
        SqliteStore::compact(url).map_err(|error| unusable("--store", &error))?;
    }
    println!("compacted");
    Ok(())
}

async fn open_to_read(url: &str) -> Result<Arc<dyn Portable>, OpenError> {
    Ok(if is_postgres(url) {
        Arc::new(PostgresStore::open_read_only(url).await?)
    } else {
        Arc::new(SqliteStore::open_read_only(url)?)
    })
}

async fn open_to_fill(url: &str) -> Result<Arc<dyn Portable>, OpenError> {
    Ok(if is_postgres(url) {
        Arc::new(PostgresStore::open_to_fill(url).await?)
    } else {
        Arc::new(SqliteStore::open(url)?)
    })
}

fn unusable(option: &str, error: &OpenError) -> Failure {
    Failure::configuration(format!(
        "tidegate: {}\n  {option} says where the store is; of a file, only one process may \
         have it for writing",
        Chain(error)
    ))
}
