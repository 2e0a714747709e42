//! A suite for connectors that speak the connector protocol over HTTP, in any language. It plays
//! the gateway, and knows nothing of the connector but its URL and its secret.
//!
//! `tidegate connector test` runs it. `cases` has the table of all cases. What a connector can do,
//! it says itself; what the customer sees, it may show (docs/connectors.md, "Test your connector").

mod arrivals;
mod caller;
mod case;
mod cases;
mod claims;
mod process;
mod run;
mod stage;
mod verdict;
mod view;

pub use process::ConnectorProcess;
pub use run::{SuiteSetup, run};
pub use verdict::{CaseReport, SuiteReport, Verdict};
