//! The gateway itself with a store in memory, the simulation's, and without its log: what Tidegate has less than this is the
//! price of its file. A crash loses everything.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use connector::http::Inbound;
use conversation::{Clock, IntegrationName, Policy};
use gateway::{DetectEnd, Inside, Integration, Limits, NoticeTexts, SystemClock};
use genesys::{Budget, BudgetConfig};
use store::memory::{Database, Direct, MemoryStore};
use url::Url;

use super::relay::{chat_service, chat_service_secrets, genesys};
use crate::webhook;

pub(super) fn router(chat: Url, genesys_url: Url) -> Router {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut policy = Policy::default();
    // As `measures::accept::HELD` says it; in the whole loop nothing waits so long.
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
        notices: NoticeTexts::default(),
        detect_end: DetectEnd::Off,
        connector: Arc::new(chat_service(chat)),
        events: Inbound::new(chat_service_secrets(), Arc::clone(&clock)),
    };
    let store = MemoryStore::alone(&Database::new(None), Arc::new(Direct));
    Inside::start(vec![Arc::new(integration)], Arc::new(store), clock, Limits::default()).router()
}
