//! `tidegate audit`.

use store::{Chain, audit};

use crate::failure::Failure;
use crate::wiring;

/// Reads the store, even while a gateway writes it, and reports which invariants hold.
pub(crate) async fn run(url: &str) -> Result<(), Failure> {
    let store = wiring::store_to_read(url).await.map_err(|error| {
        let error = Chain(&error);
        Failure::configuration(format!("tidegate: {error}\n  --store says where it is"))
    })?;
    let found = audit(store.as_ref())
        .await
        .map_err(|error| Failure::failed("the store cannot be audited", error))?;
    print!("{found}");
    if found.passed() {
        println!("passed");
        Ok(())
    } else {
        Err(Failure::found("the audit found breaches"))
    }
}
