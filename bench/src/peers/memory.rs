//! The gateway itself, without log lines and with the simulation's store in memory. The difference
//! from Tidegate is the cost of its file. A crash loses everything.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use connector::http::Inbound;
use conversation::{Clock, IntegrationName, Policy};
use gateway::{DetectEnd, GatewayCore, Integration, Limits, NoticeTexts, SystemClock};
use genesys::{Budget, BudgetConfig};
use store::memory::{Database, Direct, MemoryStore};
use url::Url;

use super::relay::{chat_service, chat_service_secrets, genesys};
use crate::webhook;

pub(super) fn router(chat: Url, genesys_url: Url) -> Router {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut policy = Policy::default();
    // The same as in `measures::accept::HELD`. In the whole loop, no message waits that long.
    policy.hold.limit = Duration::from_hours(1);
    policy.hold.max_messages = 10_000;
    policy.delivery.give_up_after = Duration::from_hours(2);
    let integration = Integration {
        name: IntegrationName::new("acme"),
        genesys_id: "b3f0".to_owned(),
        webhook_secrets: vec![webhook::SECRET.into()],
        budget: Budget::new(
            vec![genesys(genesys_url)],
            BudgetConfig::default(),
            fastrand::Rng::new(),
        ),
        policy,
        fallback: connector::Fallback::default(),
        notices: NoticeTexts::default(),
        detect_end: DetectEnd::Off,
        media: None,
        lost_file: gateway::LOST_FILE.to_owned(),
        connector: Arc::new(chat_service(chat)),
        events: Arc::new(Inbound::new(chat_service_secrets(), Arc::clone(&clock))),
    };
    let store = MemoryStore::alone(&Database::new(None), Arc::new(Direct));
    GatewayCore::start(vec![Arc::new(integration)], Arc::new(store), clock, Limits::default())
        .router()
}
