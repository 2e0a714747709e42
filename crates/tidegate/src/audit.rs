//! `tidegate audit`.

use store::{SqliteStore, audit};

use crate::failure::Failure;
use crate::wiring;

/// Reads the store beside whoever writes it, and says which invariants hold.
pub(crate) async fn run(url: &str) -> Result<(), Failure> {
    wiring::refuse_postgres(url)?;
    let store = SqliteStore::open_read_only(url)
        .map_err(|error| Failure::configuration(format!("tidegate: {error}\n  --store says where it is")))?;
    let found = audit(&store).await.map_err(|error| Failure::failed("the store cannot be audited", error))?;
    print!("{found}");
    if found.passed() {
        println!("passed");
        Ok(())
    } else {
        Err(Failure::found("the audit found breaches"))
    }
}
