//! What all endpoints share, those for the public and those for operators.

use std::sync::Arc;

use super::body::BodyAdmission;
use super::readiness::Readiness;
use crate::engine::Engine;

/// Capacity for bodies, in KiB.
const BODIES: usize = 256 << 10;

/// The state of the endpoints.
pub(crate) struct HttpState {
    pub(crate) engine: Arc<Engine>,
    /// Capacity for requests, because a caller without authorization uses memory until its
    /// signature is checked.
    pub(crate) bodies: BodyAdmission,
    pub(crate) readiness: Readiness,
}

impl HttpState {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, bodies: BodyAdmission::new(BODIES), readiness: Readiness::default() }
    }
}
