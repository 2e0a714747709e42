//! What all endpoints share, those for the public and those for operators.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::body::BodyAdmission;
use super::readiness::Readiness;
use super::tokens::TokenTable;
use super::users::ConsoleUsers;
use crate::engine::Engine;
use crate::settings::Operators;

/// How many requests may read conversations at once. A conversation is read as a whole, and a long
/// one takes memory and time.
const READERS: usize = 2;
/// Capacity for bodies, in KiB.
const BODIES: usize = 256 << 10;

/// The state of the endpoints.
pub(crate) struct HttpState {
    pub(crate) engine: Arc<Engine>,
    /// Capacity for requests, because a caller without authorization uses memory until its
    /// signature is checked.
    pub(crate) bodies: BodyAdmission,
    pub(crate) readiness: Readiness,
    /// The tokens of the operators' API.
    pub(crate) tokens: TokenTable,
    pub(crate) console: ConsoleUsers,
    /// Permits for requests of the API that read whole conversations.
    pub(crate) conversation_readers: Arc<Semaphore>,
    /// Distinguishes this process from other gateways, for chat services that open sockets to
    /// several.
    pub(crate) node: String,
}

impl HttpState {
    pub(crate) fn new(engine: Arc<Engine>, operators: &Operators) -> Self {
        // The gauge is 0 before the first socket opens: an operator should see that none is there.
        for name in engine.integrations() {
            if engine.integration(name).is_some_and(|one| one.connector.sockets().is_some()) {
                engine.metrics.sockets(name.as_str());
            }
        }
        let started = engine.clock.now().as_microsecond();
        let node = format!("{started:x}-{:x}", std::process::id());
        let bodies = BodyAdmission::new(BODIES);
        let conversation_readers = Arc::new(Semaphore::new(READERS));
        let readiness = Readiness::default();
        let tokens = TokenTable::new(&operators.tokens);
        let console = ConsoleUsers::new(&operators.users, &engine);
        Self { engine, bodies, readiness, tokens, console, conversation_readers, node }
    }
}
