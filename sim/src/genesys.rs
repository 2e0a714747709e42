//! Genesys Cloud's side: the API behind the transport, and what it remembers of messages and receipts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use conversation::MessageId;
use genesys::{Body, CallError, Exchange, Transport};
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::node::Gate;
use crate::world::World;

/// What Genesys knows.
pub(crate) struct Genesys {
    token: u64,
    /// Receipts of each message, as details show them.
    receipts: BTreeMap<String, Vec<Value>>,
    /// Each customer's messages in the order in which they came for the first time.
    inbound: Vec<Vec<u64>>,
    /// How often each customer's conversation has ended.
    ended: Vec<u32>,
    gone: BTreeSet<String>,
}

impl Genesys {
    pub(crate) fn new(customers: usize) -> Self {
        Self {
            token: 1,
            receipts: BTreeMap::new(),
            inbound: vec![Vec::new(); customers],
            ended: vec![0; customers],
            gone: BTreeSet::new(),
        }
    }

    /// What Genesys calls the customer's conversation now.
    pub(crate) fn conversation(&self, customer: usize) -> String {
        format!("g-{customer}-{}", self.ended[customer])
    }

    /// The agent ends it.
    pub(crate) fn end(&mut self, customer: usize) {
        self.gone.insert(self.conversation(customer));
        self.ended[customer] += 1;
    }

    /// How many of a customer's messages have come.
    pub(crate) fn heard(&self, customer: usize) -> usize {
        self.inbound[customer].len()
    }
}

/// Carries a node's calls to Genesys.
pub(crate) struct SimTransport {
    pub(crate) world: Arc<World>,
    pub(crate) gate: Gate,
}

impl Transport for SimTransport {
    fn exchange(&self, request: Request<Vec<u8>>, timeout: Duration) -> Exchange<'_> {
        Box::pin(async move {
            if self.gate.is_stopped() {
                // Time goes on here where in a stopped process it does not: what a timer began there would have looked at its
                // right to after the process went on.
                self.gate.pass().await;
                return Err(CallError::NotSent { cause: "the process was stopped".to_owned() });
            }
            self.gate.pass().await;
            let exchanged = tokio::time::timeout(timeout, self.travel(request)).await;
            self.gate.pass().await;
            exchanged.unwrap_or_else(|_| {
                Err(CallError::Unknown { cause: "no answer in time".to_owned() })
            })
        })
    }
}

impl SimTransport {
    async fn travel(&self, request: Request<Vec<u8>>) -> Result<Response<Body>, CallError> {
        let world = &self.world;
        let chance = world.plan.faults.genesys_fails / 5.0;
        let left = world.passed();
        if let Some(id) =
            request.uri().path().strip_suffix("/details").and_then(|path| path.rsplit('/').next())
        {
            // Whatever comes of it.
            world.asked(&MessageId::new(id));
        }
        if world.fault(chance) {
            tokio::time::sleep(world.between(1, 2_000)).await;
            return Err(CallError::NotSent { cause: "nobody there".to_owned() });
        }
        let slow = world.fault(chance);
        tokio::time::sleep(world.between(1, if slow { 12_000 } else { 40 })).await;
        if world.weather().genesys_away || world.fault(chance) {
            return Ok(answer(StatusCode::SERVICE_UNAVAILABLE, &json!({})));
        }
        if world.fault(chance / 2.0) {
            let mut answer = answer(StatusCode::TOO_MANY_REQUESTS, &json!({}));
            answer.headers_mut().insert("retry-after", http::HeaderValue::from_static("2"));
            return Ok(answer);
        }
        if world.fault(chance / 4.0) {
            // The token is taken back before its time.
            world.genesys().token += 1;
        }
        let answered = serve(world, &request, left);
        if world.fault(chance) {
            // It was done, and the answer gets lost, or something between says that it was not.
            if world.dice(0.5) {
                return Ok(answer(StatusCode::BAD_GATEWAY, &json!({})));
            }
            return Err(CallError::Unknown { cause: "the connection broke".to_owned() });
        }
        tokio::time::sleep(world.between(1, 40)).await;
        Ok(answered)
    }
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
        (&Method::POST, [.., "inbound", "open", "message"]) => {
            let conversation = inbound(world, &body);
            accepted(json!({ "id": "message", "conversationId": conversation }))
        }
        (&Method::POST, [.., "inbound", "open", "event"]) => accepted(json!({ "id": "event" })),
        (&Method::GET, [.., "integrations", "open", id]) => {
            answer(StatusCode::OK, &json!({ "id": id, "name": "acme" }))
        }
        (&Method::GET, [.., "messages", id, "details"]) => {
            let receipts = world.genesys().receipts.get(*id).cloned().unwrap_or_default();
            answer(StatusCode::OK, &json!({ "id": id, "normalizedReceipts": receipts }))
        }
        (&Method::GET, [.., "messages", id]) => {
            let state =
                if world.genesys().gone.contains(*id) { "disconnected" } else { "connected" };
            let participant = |purpose: &str| json!({ "id": format!("{id}-{purpose}"), "purpose": purpose, "state": state });
            answer(
                StatusCode::OK,
                &json!({ "id": id, "participants": [participant("customer"), participant("agent")] }),
            )
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

/// A customer's message, or a note about one. Returns Genesys's conversation.
fn inbound(world: &World, body: &Value) -> String {
    let from = body["channel"]["from"]["id"].as_str().unwrap_or_default();
    let customer = from.trim_start_matches("customer-").parse().unwrap_or(0);
    let id = body["channel"]["messageId"].as_str().unwrap_or_default();
    world.tell(format_args!("genesys   gets {id} of customer {customer}"));
    let mut genesys = world.genesys();
    let conversation = genesys.conversation(customer);
    let number = id.rsplit_once("-said-").and_then(|(_, number)| number.parse().ok());
    if let Some(number) = number
        && !genesys.inbound[customer].contains(&number)
    {
        let expected = genesys.inbound[customer].len() as u64;
        genesys.inbound[customer].push(number);
        drop(genesys);
        if number != expected {
            world.breach(format!("I11: Genesys gets {id}, and number {expected} was to be next"));
        }
    }
    conversation
}
