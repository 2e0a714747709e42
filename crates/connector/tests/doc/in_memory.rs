use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use connector::{
    Capabilities, CheckError, Connector, ContentKinds, Departure, Forward, Open, Typing,
};
use conversation::{AttemptOutcome, ConversationId, OpenOutcome, Reason, ReasonCode, SessionId};

/// A connector to a chat service in memory, or to none.
struct InMemory(Option<Arc<Mutex<Vec<Forward>>>>);

static CAPABILITIES: Capabilities = Capabilities {
    reports_delivery: false,
    idempotent: false,
    typing: false,
    max_text: None,
    media: Vec::new(),
    content: ContentKinds::Any,
};

impl InMemory {
    /// Connects, and takes the last look before anything leaves.
    fn reach(&self, departure: &Departure) -> Result<&Mutex<Vec<Forward>>, Reason> {
        let error = |why: &str| Reason::new(ReasonCode::ServerError, why);
        let service = self.0.as_ref().ok_or_else(|| error("there is no chat service"))?;
        departure.leave().map_err(|obstacle| error(obstacle.0))?;
        Ok(service)
    }
}

#[async_trait]
impl Connector for InMemory {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    async fn open(&self, call: &Open) -> OpenOutcome {
        match self.reach(&call.departure) {
            Ok(_) => OpenOutcome::Opened(SessionId::new(&call.customer.id)),
            Err(reason) => OpenOutcome::Retry { reason, after: None },
        }
    }

    async fn forward(&self, message: &Forward) -> AttemptOutcome {
        match self.reach(&message.departure) {
            Ok(service) => {
                service.lock().unwrap().push(message.clone());
                AttemptOutcome::Accepted { service_id: None }
            }
            Err(reason) => AttemptOutcome::NotTaken { reason, after: None },
        }
    }

    async fn typing(&self, _: &ConversationId, _: Typing) -> Result<(), String> {
        Ok(())
    }

    async fn close(&self, _: &ConversationId, _: &str) -> Result<(), String> {
        Ok(())
    }

    async fn check(&self) -> Result<String, CheckError> {
        let there = self.0.as_ref().map(|_| "is in memory".to_owned());
        there.ok_or_else(|| CheckError::Unreachable("there is no chat service".to_owned()))
    }
}
