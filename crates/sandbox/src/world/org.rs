//! The fixed ids of the simulated organisation: who creates, who answers, and where conversations
//! wait.

/// The user that creates everything in the sandbox.
pub(super) const CREATOR: &str = "f2c1d0e9-8b7a-4695-8473-62514f3e2d1c";
/// The agent who answers everything in the sandbox.
pub(super) const AGENT: &str = "44444444-aaaa-4bbb-8ccc-000000000007";
/// The name of the agent who answers at first.
pub(crate) const FIRST_AGENT: &str = "Agent One";
/// The queue that every conversation waits in.
pub(super) const QUEUE: &str = "33333333-aaaa-4bbb-8ccc-000000000009";
