//! Genesys Cloud: its API, behind the transport of a node.

use std::sync::Arc;
use std::time::Duration;

use conversation::MessageId;
use genesys::{Body, CallError, Exchange, MayLeave, Transport};
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::process::Gate;
use crate::spells::{Endpoint, GenesysFault};
use crate::world::{World, number_of};

/// Carries a node's calls to Genesys.
pub(crate) struct SimTransport {
    pub(crate) world: Arc<World>,
    pub(crate) gate: Gate,
    pub(crate) node: String,
}

impl Transport for SimTransport {
    fn exchange<'a>(
        &'a self,
        request: Request<Vec<u8>>,
        timeout: Duration,
        may_leave: &'a MayLeave,
    ) -> Exchange<'a> {
        Box::pin(async move {
            if self.gate.is_stopped() {
                // The simulation runs timers of a stopped process, but a real one does not. In a
                // real process this call would begin after the process continued, and check its
                // lease then. So the call fails without being sent.
                self.gate.pass().await;
                return Err(CallError::NotSent { cause: "the process was stopped".into() });
            }
            self.gate.pass().await;
            let question = asked_about(&request);
            let exchanged = tokio::time::timeout(timeout, self.travel(request, may_leave)).await;
            self.gate.pass().await;
            let lost = |_| Err(CallError::Unknown { cause: "no answer in time".into() });
            let exchanged = exchanged.unwrap_or_else(lost);
            // From here on, the node has the answer.
            if let (Some(id), Ok(answer)) = (question, &exchanged) {
                self.world.answered(&id, answer);
            }
            exchanged
        })
    }
}

impl SimTransport {
    async fn travel(
        &self,
        request: Request<Vec<u8>>,
        may_leave: &MayLeave,
    ) -> Result<Response<Body>, CallError> {
        let world = &self.world;
        let chance = world.plan.faults.genesys_fails / 5.0;
        self.connect(chance).await;
        may_leave.ask()?;
        let left = world.passed();
        self.leaves(&request);
        if world.fault(chance) {
            tokio::time::sleep(world.between(1, 2_000)).await;
            return Err(CallError::NotSent { cause: "nobody there".into() });
        }
        let slow = world.fault(chance);
        tokio::time::sleep(world.between(1, if slow { 12_000 } else { 40 })).await;
        if world.weather().genesys_away || world.fault(chance) {
            return Ok(answer(StatusCode::SERVICE_UNAVAILABLE, &json!({})));
        }
        if world.is_poison(&request) || world.is_down_for(&request) {
            return Ok(answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({})));
        }
        if let Some(trouble) = world.trouble(Endpoint::of(&request)) {
            return self.trouble(trouble, &request, left).await;
        }
        if world.fault(chance / 2.0) {
            let mut answer = answer(StatusCode::TOO_MANY_REQUESTS, &json!({}));
            answer.headers_mut().insert("retry-after", http::HeaderValue::from_static("2"));
            return Ok(answer);
        }
        if world.fault(chance / 4.0) {
            // Genesys revokes the token early.
            world.genesys().token += 1;
        }
        let answered = serve(world, &request, left);
        if world.fault(chance) {
            // The call was done, and the answer gets lost, or an intermediary answers 502.
            if world.dice(0.5) {
                return Ok(answer(StatusCode::BAD_GATEWAY, &json!({})));
            }
            return Err(CallError::Unknown { cause: "the connection broke".into() });
        }
        tokio::time::sleep(world.between(1, 40)).await;
        Ok(answered)
    }
}

impl SimTransport {
    /// Name resolution, connection and TLS take no time, or some seconds.
    async fn connect(&self, chance: f64) {
        let world = &self.world;
        if world.fault(chance) {
            tokio::time::sleep(world.between(300, 12_000)).await;
            // A process that was stopped meanwhile connects when it continues.
            self.gate.pass().await;
        }
    }

    /// Called when the first byte of a request leaves. A receipt or a message may leave only the
    /// node that drives the conversation.
    fn leaves(&self, request: &Request<Vec<u8>>) {
        if !matches!(Endpoint::of(request), Endpoint::Receipt | Endpoint::Message) {
            return;
        }
        let world = &self.world;
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let receipt = Endpoint::of(request) == Endpoint::Receipt;
        let party = if receipt { &body["channel"]["to"] } else { &body["channel"]["from"] };
        let Some(customer) = party["id"].as_str().and_then(number_of) else { return };
        if let Some(wrong) = world.stranger(&self.node, &world.customers[customer]) {
            world.breach(format!("a post about customer {customer} leaves {}: {wrong}", self.node));
        }
    }

    /// The outcome of a call during a lasting fault.
    async fn trouble(
        &self,
        trouble: GenesysFault,
        request: &Request<Vec<u8>>,
        left: Duration,
    ) -> Result<Response<Body>, CallError> {
        let world = &self.world;
        match trouble {
            GenesysFault::Away => Ok(answer(StatusCode::SERVICE_UNAVAILABLE, &json!({}))),
            GenesysFault::Hangs => std::future::pending().await,
            GenesysFault::Forgets => {
                serve(world, request, left);
                std::future::pending().await
            }
            GenesysFault::Breaks => {
                if world.dice(0.5) {
                    serve(world, request, left);
                }
                Err(CallError::Unknown { cause: "the connection broke".into() })
            }
            GenesysFault::Forbidden => {
                let body = json!({ "code": "missing.any.permissions", "status": 403 });
                Ok(answer(StatusCode::FORBIDDEN, &body))
            }
            GenesysFault::Page => {
                Ok(Response::new(Ok(b"<html>We are working on it.</html>".to_vec())))
            }
            GenesysFault::Empty => Ok(answer(StatusCode::OK, &json!({}))),
            GenesysFault::Limits => {
                let mut answer = answer(StatusCode::TOO_MANY_REQUESTS, &json!({}));
                let seconds = world.between(1_000, 60_000).as_secs();
                answer.headers_mut().insert("retry-after", seconds.into());
                Ok(answer)
            }
        }
    }
}

impl World {
    /// Whether this is the customer's message that Genesys never takes, calm or not.
    fn is_poison(&self, request: &Request<Vec<u8>>) -> bool {
        let Some(id) = self.poison() else { return false };
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        Endpoint::of(request) == Endpoint::Message && body["channel"]["messageId"] == id
    }

    /// Whether Genesys takes no customer's message at this time.
    pub(crate) fn messages_are_down(&self) -> bool {
        let now = self.passed();
        let outage = self
            .plan
            .faults
            .messages_down
            .is_some_and(|(begins, ends)| (begins..ends).contains(&now));
        outage && !self.weather().calm
    }

    /// Whether Genesys does not take this request, because it is a customer's message.
    fn is_down_for(&self, request: &Request<Vec<u8>>) -> bool {
        self.messages_are_down()
            && Endpoint::of(request) == Endpoint::Message
            && request.uri().path().contains("/integration/")
    }

    /// The fault of this kind of call now; `None` once it is calm.
    fn trouble(&self, endpoint: Endpoint) -> Option<GenesysFault> {
        let trouble = self.genesys().spells.at(endpoint, self.passed());
        trouble.filter(|_| !self.weather().calm)
    }

    /// A node has Genesys's answer to the question whether a message has a final receipt. An answer
    /// without receipts does not count.
    fn answered(&self, id: &MessageId, answer: &Response<Body>) {
        if answer.status() != StatusCode::OK {
            return;
        }
        let body: Value = match answer.body() {
            Ok(body) => serde_json::from_slice(body).unwrap_or_default(),
            Err(_) => return,
        };
        if let Some(receipts) = body["normalizedReceipts"].as_array() {
            let last = receipts.iter().any(|receipt| receipt["isFinalReceipt"] == true);
            self.told_of(id, last);
        }
    }
}

/// The message whose details are requested, if it is such a request.
fn asked_about(request: &Request<Vec<u8>>) -> Option<MessageId> {
    let path = request.uri().path().strip_suffix("/details")?;
    path.rsplit('/').next().map(MessageId::new)
}

fn answer(status: StatusCode, body: &Value) -> Response<Body> {
    let mut answer = Response::new(Ok(body.to_string().into_bytes()));
    *answer.status_mut() = status;
    answer
}

fn serve(world: &World, request: &Request<Vec<u8>>, left: Duration) -> Response<Body> {
    let path: Vec<&str> = request.uri().path().trim_start_matches('/').split('/').collect();
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    if path == ["oauth", "token"] {
        let token = format!("token-{}", world.genesys().token);
        return answer(
            StatusCode::OK,
            &json!({ "access_token": token, "token_type": "bearer", "expires_in": 3600 }),
        );
    }
    let bearer = format!("Bearer token-{}", world.genesys().token);
    if request.headers().get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok())
        != Some(&bearer)
    {
        return answer(StatusCode::UNAUTHORIZED, &json!({}));
    }
    let accepted = |body: Value| answer(StatusCode::ACCEPTED, &body);
    match (request.method(), path.as_slice()) {
        (&Method::POST, [.., "inbound", "open", "receipt"]) => {
            receipt(world, &body, left);
            accepted(json!({ "id": "receipt" }))
        }
        // No integration has this id. A gateway calls this to find out whether Genesys reads
        // messages.
        (
            &Method::POST,
            [.., "00000000-0000-0000-0000-000000000000", "inbound", "open", "message"],
        ) => {
            world.shows_life(None);
            answer(StatusCode::NOT_FOUND, &json!({}))
        }
        (&Method::POST, [.., "inbound", "open", "message"]) => {
            let conversation = inbound(world, &body);
            accepted(json!({ "id": "message", "conversationId": conversation }))
        }
        (&Method::POST, [.., "inbound", "open", "structured", "response"]) => {
            world.answers_offer(&body);
            inbound(world, &body);
            accepted(json!({ "id": "response" }))
        }
        (&Method::POST, [.., "inbound", "open", "event"]) => accepted(json!({ "id": "event" })),
        (&Method::GET, [.., "integrations", "open", id]) => {
            world.shows_life(None);
            answer(StatusCode::OK, &json!({ "id": id, "name": "acme" }))
        }
        (&Method::GET, [.., "messages", id, "details"]) => {
            let receipts = world.genesys().receipts.get(*id).cloned().unwrap_or_default();
            answer(StatusCode::OK, &json!({ "id": id, "normalizedReceipts": receipts }))
        }
        (&Method::GET, [.., "messages", id]) => {
            let state =
                if world.genesys().gone.contains(*id) { "disconnected" } else { "connected" };
            let participant = |purpose: &str| {
                let id = format!("{id}-{purpose}");
                json!({ "id": id, "purpose": purpose, "state": state })
            };
            let participants = [participant("customer"), participant("agent")];
            answer(StatusCode::OK, &json!({ "id": id, "participants": participants }))
        }
        (&Method::PATCH, [.., "messages", id, "participants", _]) => {
            world.genesys().gone.insert((*id).to_owned());
            accepted(json!({}))
        }
        _ => answer(StatusCode::NOT_FOUND, &json!({})),
    }
}

fn receipt(world: &World, body: &Value, left: Duration) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (id, status) = (text(&body["id"]), text(&body["status"]));
    let last = body["isFinalReceipt"].as_bool().unwrap_or(false);
    let reason = body["reasons"][0]["code"].as_str();
    world.tell(format_args!("genesys   receipt about {id}: {status}, final {last}, {reason:?}"));
    world.receipted(&MessageId::new(&id), &status, last, reason, left);
    world.genesys().receipts.entry(id).or_default().push(body.clone());
}

/// Takes a customer's message, or a notice. Returns Genesys's conversation id.
fn inbound(world: &World, body: &Value) -> String {
    let from = body["channel"]["from"]["id"].as_str().unwrap_or_default();
    let id = body["channel"]["messageId"].as_str().unwrap_or_default();
    let Some(customer) = number_of(from).filter(|number| *number < world.customers.len()) else {
        world.breach(format!("I11: Genesys gets {id} of somebody unknown, {from:?}"));
        return String::new();
    };
    world.tell(format_args!("genesys   gets {id} of customer {customer}"));
    let genesys = world.genesys();
    let conversation = genesys.conversation(customer);
    drop(genesys);
    world.shows_life(Some(customer));
    let number: Option<u64> = id.rsplit_once("-said-").and_then(|(_, number)| number.parse().ok());
    let known = |number: &u64| world.genesys().inbound[customer].contains(number);
    if let Some(number) = number.filter(|number| !known(number)) {
        // All messages before it must be there, or given up. One that an operator had posted again
        // may come later.
        let said = |number: u64| MessageId::new(format!("{customer}-said-{number}"));
        let gone = |number: &u64| known(number) || world.ledger().was_refused(&said(*number));
        let expected = (0..number).find(|earlier| !gone(earlier));
        world.genesys().inbound[customer].push(number);
        if let Some(expected) = expected {
            world.breach(format!("I11: Genesys gets {id}, and number {expected} was to be next"));
        }
    }
    conversation
}
