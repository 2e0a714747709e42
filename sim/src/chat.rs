//! The chat service, and the connector with which a node calls it. As the plan says, it is slow,
//! loses messages, refuses, closes sessions, and sends false reports. It recognizes a message by
//! its idempotency key, and reports its fate to the gateway later.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector::{
    Capabilities, CheckError, Connector, ContentKinds, Departure, Forward, MediaRange, Obstacle,
    Open, Refusal, Typing,
};
use conversation::{AttemptOutcome, ConversationId, MessageId, OpenOutcome, Reason, ReasonCode};
use serde_json::json;

use crate::process::Gate;
use crate::traffic;
use crate::world::World;

pub(crate) struct SimConnector {
    world: Arc<World>,
    gate: Gate,
    node: String,
    capabilities: Capabilities,
}

impl SimConnector {
    pub(crate) fn new(world: &Arc<World>, gate: &Gate, node: &str) -> Self {
        let capabilities = Capabilities {
            reports_delivery: world.plan.policy.service_reports,
            idempotent: true,
            typing: true,
            max_text: None,
            media: vec![MediaRange::any()],
            // Options become text, which customers answer by number.
            content: ContentKinds::default(),
        };
        Self { world: Arc::clone(world), gate: gate.clone(), node: node.to_owned(), capabilities }
    }

    /// Waits for the travel time and the time in the service.
    async fn travel(&self) {
        let world = &self.world;
        if world.fault(world.plan.faults.chat_slow) {
            tokio::time::sleep(world.between(300, 12_000)).await;
        } else {
            tokio::time::sleep(world.between(1, 20)).await;
        }
    }

    /// Name resolution, connection and TLS, which may fail, hang, or take seconds. Afterwards, as
    /// in the HTTP connector, comes the last check before departure.
    async fn connect(&self, departure: &Departure) -> Result<(), Reason> {
        let world = &self.world;
        if world.fault(world.plan.faults.connect) {
            match world.below(4) {
                0 => return Err(reason("connection refused")),
                1 => {
                    tokio::time::sleep(CONNECT).await;
                    return Err(reason("no connection in time"));
                }
                _ => tokio::time::sleep(world.between(300, 4_900)).await,
            }
        }
        self.gate.pass().await;
        departure.leave().map_err(|Obstacle(why)| reason(why))
    }

    fn is_poisoned(&self, conversation: &ConversationId) -> bool {
        self.world.plan.faults.poisoned && self.world.customers.first() == Some(conversation)
    }
}

/// How long an event may take, as with the HTTP connector.
const EVENT: Duration = Duration::from_secs(5);

/// How long a connection may take, as with the HTTP connector.
const CONNECT: Duration = Duration::from_secs(5);

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
        if let Err(reason) = self.connect(&call.departure).await {
            return OpenOutcome::Retry { reason, after: None };
        }
        world.asks(&self.node, conversation);
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
        } else if faults.comings_every > 0 && world.fault(0.3) {
            // The service crashes after its answer, so nothing follows.
            OpenOutcome::Pending
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
        let answer = async {
            if let Err(reason) = self.connect(&message.departure).await {
                return AttemptOutcome::NotTaken { reason, after: None };
            }
            // Its bytes leave now.
            world.leaves(&self.node, conversation, id);
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
        outcome.unwrap_or_else(|_| {
            match message.departure.call_off(Obstacle("no connection in time")) {
                Some(Obstacle(why)) => {
                    AttemptOutcome::NotTaken { reason: reason(why), after: None }
                }
                None => AttemptOutcome::Unknown { reason: reason("no answer in time") },
            }
        })
    }

    async fn typing(&self, _: &ConversationId, _: Typing) -> Result<(), String> {
        self.travel().await;
        Ok(())
    }

    async fn close(&self, conversation: &ConversationId, _: &str) -> Result<(), String> {
        self.travel().await;
        self.world.chat().room(conversation).session = None;
        Ok(())
    }

    async fn message_refused(&self, refusal: &Refusal) -> Result<(), String> {
        let world = &self.world;
        let answer = async {
            self.connect(&refusal.departure).await.map_err(|reason| reason.message)?;
            // Its bytes leave now.
            if let Some(wrong) = world.stranger(&self.node, &refusal.conversation) {
                world.breach(format!(
                    "that {} was refused leaves {}: {wrong}",
                    refusal.message_id, self.node
                ));
            }
            self.travel().await;
            let chance = world.plan.faults.chat_fails / 4.0;
            if world.fault(chance) {
                return Err("not now".to_owned());
            }
            if world.fault(chance) {
                std::future::pending::<()>().await;
            }
            world.told_refused(&refusal.message_id);
            if world.fault(chance) {
                // The service has received it, and its answer gets lost.
                std::future::pending::<()>().await;
            }
            Ok(())
        };
        let answer = tokio::time::timeout(EVENT, answer).await;
        self.gate.pass().await;
        answer.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    async fn check(&self) -> Result<String, CheckError> {
        Ok("it is there".to_owned())
    }
}

impl SimConnector {
    /// The service's answer to a message; `None` if it never answers.
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
                // The message gets lost on the way, without an error.
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

    /// Reports the fate of a message later, or sometimes before the answer comes.
    fn report(&self, id: &MessageId, service_id: &str) {
        let (world, faults) = (Arc::clone(&self.world), &self.world.plan.faults);
        if world.fault(faults.chat_lies) {
            // The service never reports.
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

    /// Starts a handshake, which ends some seconds later.
    fn shake(&self, conversation: &ConversationId) {
        if std::mem::replace(&mut self.world.chat().room(conversation).shaking, true) {
            return;
        }
        let (world, conversation) = (Arc::clone(&self.world), conversation.clone());
        let ends = world.chat().room(&conversation).ends;
        tokio::spawn(async move {
            tokio::time::sleep(world.between(50, 3_000)).await;
            if world.chat().room(&conversation).ends != ends {
                return;
            }
            let event = world.chat().event();
            let refused = world.fault(world.plan.faults.chat_refuses);
            let body = if refused {
                world.chat().room(&conversation).shaking = false;
                json!({
                    "type": "session.refused", "id": event,
                    "conversation": conversation.as_str(),
                })
            } else {
                let session = world.chat().room(&conversation).open();
                json!({
                    "type": "session.opened", "id": event,
                    "conversation": conversation.as_str(), "session": session.as_str(),
                })
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
            let body = json!({
                "type": "session.closed", "id": event,
                "conversation": conversation.as_str(), "session": session.as_str(),
            });
            let pause = world.between(0, 2_000);
            tokio::spawn(traffic::tell(world, event, body, pause));
        }
    }
}

/// Makes customers leave, and the service lose one or all of its sessions, until it is aborted.
pub(crate) async fn comings(world: Arc<World>) {
    let every = world.plan.faults.comings_every;
    if every == 0 {
        return;
    }
    loop {
        tokio::time::sleep(world.between(1, 2 * every)).await;
        let customer = world.below(world.plan.customers);
        let conversation = world.customers[customer].clone();
        let event = world.chat().event();
        match world.below(4) {
            0 | 1 => {
                world.tell(format_args!("chat      customer {customer} leaves"));
                world.chat().room(&conversation).forget();
                let sent = world.told().0;
                let body = json!({
                    "type": "session.closed", "id": event,
                    "conversation": conversation.as_str(),
                });
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    traffic::tell(Arc::clone(&world), event, body, Duration::ZERO).await;
                    world.leaves_chat(&conversation, sent);
                });
            }
            2 => {
                world.tell(format_args!("chat      loses the session of customer {customer}"));
                world.chat().room(&conversation).forget();
                let body = json!({
                    "type": "session.lost", "id": event,
                    "conversation": conversation.as_str(),
                });
                tokio::spawn(traffic::tell(Arc::clone(&world), event, body, Duration::ZERO));
            }
            _ => {
                world.tell("chat      restarts, and knows no session");
                world.chat().forget();
                let body = json!({ "type": "session.lost", "id": event });
                tokio::spawn(traffic::tell(Arc::clone(&world), event, body, Duration::ZERO));
            }
        }
    }
}
