//! The chat service, and the connector by which a node talks to it. It is slow, forgets, refuses, closes its sessions and
//! lies as the plan says, knows a message by its idempotency key, and tells the gateway later what became of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector::{
    Capabilities, CheckError, Connector, ContentKinds, Forward, MediaRange, Open, Typing,
};
use conversation::{
    AttemptOutcome, Clock, ConversationId, MessageId, OpenOutcome, Reason, ReasonCode, SessionId,
};
use serde_json::json;

use crate::node::Gate;
use crate::traffic;
use crate::world::World;

/// What the chat service knows.
pub(crate) struct Chat {
    rooms: BTreeMap<ConversationId, Room>,
    events: u64,
}

#[derive(Default)]
struct Room {
    session: Option<SessionId>,
    sessions: u32,
    /// A handshake goes on.
    shaking: bool,
    /// Every message that it ever took, by its key.
    taken: BTreeMap<MessageId, String>,
    last: Option<MessageId>,
}

impl Chat {
    pub(crate) fn new(customers: &[ConversationId]) -> Self {
        let rooms = customers.iter().map(|customer| (customer.clone(), Room::default()));
        Self { rooms: rooms.collect(), events: 0 }
    }

    fn room(&mut self, conversation: &ConversationId) -> &mut Room {
        self.rooms.entry(conversation.clone()).or_default()
    }

    /// An id for an event.
    fn event(&mut self) -> String {
        self.events += 1;
        format!("event-{}", self.events)
    }
}

impl Room {
    fn open(&mut self) -> SessionId {
        self.sessions += 1;
        self.shaking = false;
        let session = SessionId::new(format!("session-{}", self.sessions));
        self.session = Some(session.clone());
        session
    }
}

pub(crate) struct SimConnector {
    world: Arc<World>,
    gate: Gate,
    node: String,
    clock: Arc<dyn Clock>,
    capabilities: Capabilities,
}

impl SimConnector {
    pub(crate) fn new(world: &Arc<World>, gate: &Gate, node: &str, clock: &Arc<dyn Clock>) -> Self {
        let capabilities = Capabilities {
            reports_delivery: world.plan.policy.service_reports,
            idempotent: true,
            typing: true,
            max_text: None,
            media: vec![MediaRange::any()],
            content: ContentKinds::Any,
        };
        let (world, gate, clock) = (Arc::clone(world), gate.clone(), Arc::clone(clock));
        Self { world, gate, node: node.to_owned(), clock, capabilities }
    }

    /// Time on the way, and in the service.
    async fn travel(&self) {
        let world = &self.world;
        if world.fault(world.plan.faults.chat_slow) {
            tokio::time::sleep(world.between(300, 12_000)).await;
        } else {
            tokio::time::sleep(world.between(1, 20)).await;
        }
    }

    fn is_poisoned(&self, conversation: &ConversationId) -> bool {
        self.world.plan.faults.poisoned && self.world.customers.first() == Some(conversation)
    }
}

fn reason(what: &str) -> Reason {
    Reason::new(ReasonCode::GeneralError, what)
}

#[async_trait]
impl Connector for SimConnector {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn open(&self, call: &Open) -> OpenOutcome {
        let (world, conversation) = (&self.world, &call.conversation);
        world.tell(format_args!(
            "{} asks for a session of customer {}",
            self.node,
            world.customer_of(conversation)
        ));
        self.travel().await;
        let faults = &world.plan.faults;
        let outcome = if world.weather().chat_away || world.fault(faults.chat_fails / 2.0) {
            OpenOutcome::Retry { reason: reason("it does not answer"), after: None }
        } else if world.fault(faults.chat_refuses / 2.0) {
            OpenOutcome::Refused(reason("not with her"))
        } else if let Some(session) = world.chat().room(conversation).session.clone() {
            OpenOutcome::Opened(session)
        } else if world.dice(0.5) {
            OpenOutcome::Opened(world.chat().room(conversation).open())
        } else {
            self.shake(conversation);
            OpenOutcome::Pending
        };
        self.gate.pass().await;
        outcome
    }

    async fn forward(&self, message: &Forward) -> AttemptOutcome {
        let (world, conversation, id) = (&self.world, &message.conversation, &message.id);
        world.tell(format_args!("{} forwards {id}", self.node));
        // Its bytes leave now.
        world.leaves(&self.node, conversation, id, self.clock.now());
        let answer = async {
            self.travel().await;
            let outcome = self.serve(message);
            self.travel().await;
            match outcome {
                Some(outcome) => outcome,
                None => std::future::pending().await,
            }
        };
        let outcome = tokio::time::timeout(message.timeout, answer).await;
        self.gate.pass().await;
        outcome.unwrap_or_else(|_| AttemptOutcome::Unknown { reason: reason("no answer in time") })
    }

    async fn typing(&self, _: &ConversationId, _: Typing) {
        self.travel().await;
    }

    async fn close(&self, conversation: &ConversationId, _: &str) {
        self.travel().await;
        self.world.chat().room(conversation).session = None;
    }

    async fn check(&self) -> Result<String, CheckError> {
        Ok("it is there".to_owned())
    }
}

impl SimConnector {
    /// What the service does with a message; none, where its answer never comes.
    fn serve(&self, message: &Forward) -> Option<AttemptOutcome> {
        let (world, conversation, id) = (&self.world, &message.conversation, &message.id);
        if self.is_poisoned(conversation) {
            return None;
        }
        let faults = &world.plan.faults;
        if world.weather().chat_away || world.fault(faults.chat_fails / 3.0) {
            return Some(AttemptOutcome::NotTaken { reason: reason("not now"), after: None });
        }
        let known = world.chat().room(conversation).taken.get(id).cloned();
        if known.is_none() {
            if world.chat().room(conversation).session.as_ref() != Some(&message.session) {
                return Some(AttemptOutcome::SessionGone);
            }
            if world.fault(faults.chat_closes) {
                self.close_session(conversation);
                return Some(AttemptOutcome::SessionGone);
            }
            if world.fault(faults.chat_refuses) {
                return Some(AttemptOutcome::Rejected { reason: reason("not this one") });
            }
            if world.fault(faults.chat_fails / 3.0) {
                // It got lost on the way, and nobody will say so.
                return None;
            }
        }
        let service_id = known.unwrap_or_else(|| self.take(conversation, id));
        if world.fault(faults.chat_fails / 3.0) {
            return None;
        }
        let service_id = Some(service_id.into());
        Some(if self.capabilities.reports_delivery && !world.dice(0.1) {
            AttemptOutcome::Accepted { service_id }
        } else {
            AttemptOutcome::Delivered { service_id }
        })
    }

    fn take(&self, conversation: &ConversationId, id: &MessageId) -> String {
        let world = &self.world;
        world.tell(format_args!("chat      takes {id}"));
        let service_id = format!("x-{id}");
        let last = {
            let mut chat = world.chat();
            let room = chat.room(conversation);
            room.taken.insert(id.clone(), service_id.clone());
            room.last.replace(id.clone())
        };
        world.taken(id, last.as_ref());
        if self.capabilities.reports_delivery {
            self.report(id, &service_id);
        }
        service_id
    }

    /// Tells later, and sometimes before the answer comes, what became of a message.
    fn report(&self, id: &MessageId, service_id: &str) {
        let (world, faults) = (Arc::clone(&self.world), &self.world.plan.faults);
        if world.fault(faults.chat_lies) {
            // It forgets to.
            return;
        }
        let kind =
            if world.fault(faults.chat_refuses) { "message.failed" } else { "message.delivered" };
        let mut reports = vec![(kind, world.between(0, 3_000))];
        if world.fault(faults.chat_lies) {
            reports.push(("message.failed", world.between(0, 5_000)));
        }
        if world.fault(faults.chat_lies) {
            reports.push(("message.read", world.between(0, 5_000)));
        }
        let by_ours = world.dice(0.5);
        for (kind, pause) in reports {
            let event = world.chat().event();
            let mut body = json!({ "type": kind, "id": event });
            body[if by_ours { "message" } else { "message_id" }] =
                if by_ours { id.as_str().into() } else { service_id.into() };
            tokio::spawn(traffic::tell(Arc::clone(&world), event, body, pause));
        }
        if world.fault(faults.chat_lies) {
            let event = world.chat().event();
            let body =
                json!({ "type": "message.delivered", "id": event, "message": "never-heard-of" });
            tokio::spawn(traffic::tell(world, event, body, Duration::ZERO));
        }
    }

    /// A handshake begins, and ends some seconds later.
    fn shake(&self, conversation: &ConversationId) {
        if std::mem::replace(&mut self.world.chat().room(conversation).shaking, true) {
            return;
        }
        let (world, conversation) = (Arc::clone(&self.world), conversation.clone());
        tokio::spawn(async move {
            tokio::time::sleep(world.between(50, 3_000)).await;
            let event = world.chat().event();
            let refused = world.fault(world.plan.faults.chat_refuses);
            let body = if refused {
                world.chat().room(&conversation).shaking = false;
                json!({ "type": "session.refused", "id": event, "conversation": conversation.as_str() })
            } else {
                let session = world.chat().room(&conversation).open();
                json!({ "type": "session.opened", "id": event, "conversation": conversation.as_str(),
                    "session": session.as_str() })
            };
            traffic::tell(world, event, body, Duration::ZERO).await;
        });
    }

    fn close_session(&self, conversation: &ConversationId) {
        let world = Arc::clone(&self.world);
        let Some(session) = world.chat().room(conversation).session.take() else { return };
        world.tell(format_args!(
            "chat      closes {session} of customer {}",
            world.customer_of(conversation)
        ));
        if world.dice(0.5) {
            let event = world.chat().event();
            let body = json!({ "type": "session.closed", "id": event, "conversation": conversation.as_str(),
                "session": session.as_str() });
            let pause = world.between(0, 2_000);
            tokio::spawn(traffic::tell(world, event, body, pause));
        }
    }
}
