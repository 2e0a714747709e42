//! Runs the cases.

use std::sync::Arc;
use std::time::Duration;

use conversation::Clock;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use super::arrivals::Arrivals;
use super::caller::{Caller, Reply, Signing};
use super::case::{Case, Phase};
use super::cases;
use super::claims::Claims;
use super::process::{ConnectorProcess, until_it_answers};
use super::stage::Stage;
use super::verdict::{CaseReport, Stop, SuiteReport, Verdict};
use crate::http::{BaseUrl, Inbound, Secret};

/// What the suite needs to know.
pub struct SuiteSetup {
    /// The URL of the connector, as in `[integration.connector]`.
    pub url: BaseUrl,
    /// The secret that both sides sign with.
    pub secret: Secret,
    /// The name of the integration in the URL for events, `/connectors/{integration}/events`.
    pub integration: String,
    /// Where the suite listens for events.
    pub listener: TcpListener,
    /// The client for the calls, built with [`client_settings`](crate::http::client_settings).
    pub client: reqwest::Client,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// How long the connector may take for an answer.
    pub timeout: Duration,
    /// How long the suite waits for an event, or for a message on the customer's screen.
    pub wait: Duration,
    /// The connector's process, if the suite may kill it.
    pub process: Option<Arc<dyn ConnectorProcess>>,
}

/// Runs all cases. Calls `told` for each one as soon as it and all cases before it have ended.
///
/// # Errors
/// A clause that says why the connector does not answer at all.
pub async fn run(
    setup: SuiteSetup,
    mut told: impl FnMut(&CaseReport),
) -> Result<SuiteReport, String> {
    let stage = Arc::new(prepare(setup).await?);
    let mut reports = Vec::new();
    for phase in Phase::ALL {
        let cases: Vec<_> = cases::all().filter(|case| case.phase == phase).collect();
        let at_once = if phase == Phase::Away { 1 } else { cases.len() };
        for cases in cases.chunks(at_once) {
            let running: Vec<_> = cases.iter().map(|case| (case, start(case, &stage))).collect();
            for (case, verdict) in running {
                let verdict = verdict.await.unwrap_or_else(|error| Verdict::Failed {
                    what: format!("the suite itself failed: {error}"),
                    expected: "a result".to_owned(),
                    why: "this is a defect of the suite",
                });
                let report = CaseReport { name: case.name, verdict };
                told(&report);
                reports.push(report);
            }
        }
    }
    Ok(SuiteReport { cases: reports, claims: stage.claims.json() })
}

fn start(case: &'static Case, stage: &Arc<Stage>) -> JoinHandle<Verdict> {
    let stage = Arc::clone(stage);
    tokio::spawn(async move { judge(case, &stage).await })
}

async fn judge(case: &Case, stage: &Stage) -> Verdict {
    if let Some(reason) = case.needs.iter().find_map(|need| need.missing(stage)) {
        return Verdict::NotClaimed { reason };
    }
    match (case.run)(stage).await {
        Ok(()) => Verdict::Passed,
        Err(Stop::Failed { what, expected }) => Verdict::Failed { what, expected, why: case.why },
        Err(Stop::NotClaimed(reason)) => Verdict::NotClaimed { reason },
    }
}

/// Why the answer is no view of the customer. Some connectors answer 200 to every `GET`.
fn no_view(answer: &Reply) -> Option<String> {
    let told = match (answer.status(), answer.json()) {
        (Some(200), Some(json)) if json["messages"].is_array() => return None,
        (Some(200), _) => "the answer had no `messages`".to_owned(),
        _ => answer.told(),
    };
    Some(format!("it offers no view of the customer: asked for one, {told}"))
}

async fn prepare(setup: SuiteSetup) -> Result<Stage, String> {
    let SuiteSetup { url, secret, integration, listener, client, clock, timeout, wait, process } =
        setup;
    let inbound = Inbound::new(secret.clone().into(), Arc::clone(&clock));
    let arrivals = Arrivals::listen(listener, &integration, inbound);
    let caller = Caller::new(url, secret, client, clock, timeout);
    until_it_answers(&caller, process.as_deref()).await?;
    let said: Option<Value> = caller.get(&[], Signing::Right).await.json();
    let claims = Claims::read(said.as_ref());
    let nobody = caller.new_id("c");
    let view = caller.get(&["conversations", &nobody], Signing::Right).await;
    let no_view = no_view(&view);
    let before_kill = OnceCell::new();
    Ok(Stage { caller, arrivals, claims, no_view, process, wait, before_kill })
}
