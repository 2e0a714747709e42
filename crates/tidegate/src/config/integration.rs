//! `[[integration]]`: its identity at Genesys, and its policies.
//!
//! Each table asks for all of its keys before it returns because of one, so that all problems are
//! found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use connector::{Fallback, Settings};
use conversation::{
    AfterFailure, CustomerLeft, DeliveredOn, DeliveryPolicy, HandshakeStart, HoldPolicy,
    InboundLimits, InboundPolicy, IntegrationName, NoticeKind, OnUnknown, Policy, ReceiptPolicy,
    SendReceipts,
};
use gateway::{DetectEnd, NoticeTexts};
use genesys::region::REGIONS;
use genesys::{Credentials, Hosts, Secret};
use url::Url;

use super::connector_table;
use super::report::{nearest, quoted};
use super::secrets;
use super::values::{choose, shown};
use super::walk::{Field, Table};

/// An Open Messaging integration and the chat service behind it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "Genesys calls it the integration id")]
pub(crate) struct Integration {
    /// Its name in URLs, logs and metrics.
    pub(crate) name: IntegrationName,
    /// The hosts of its Genesys org.
    pub(crate) hosts: Hosts,
    /// Its id at Genesys.
    pub(crate) integration_id: String,
    /// The OAuth clients that share its load: at least one.
    pub(crate) clients: Vec<Credentials>,
    /// The secrets that sign its webhooks: one, or two while they are rotated.
    pub(crate) webhook_secrets: Vec<Secret>,
    /// The policy of its conversations.
    pub(crate) policy: Policy,
    /// What becomes of content that the chat service cannot show.
    pub(crate) fallback: Fallback,
    /// The texts of notices to the agent.
    pub(crate) notices: NoticeTexts,
    /// How the end of a chat is detected.
    pub(crate) detect_end: DetectEnd,
    /// The chat service.
    pub(crate) connector: Arc<dyn Settings>,
}

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_hours(24);

/// Reads one integration. `seen` has the names so far, each with the index of its integration.
pub(super) fn integration(
    table: &Table<'_>,
    index: usize,
    seen: &mut BTreeMap<String, usize>,
) -> Option<Integration> {
    let name = name(&table.field("name").required("name = \"acme\""), index, seen);
    let hosts = hosts(table);
    let integration_id =
        table.field("integration_id").required("integration_id = \"b3f0…\", as Genesys shows it");
    let integration_id = integration_id.parsed(|id| {
        let plain = id.len() <= 128 && id.chars().all(|c| c.is_ascii_graphic());
        if plain {
            Ok(id.to_owned())
        } else {
            Err(format!("{} is not an id of Genesys's", quoted(id)))
        }
    });
    let clients = clients(
        &table.field("clients").required("clients = [{ id = \"…\", secret = { env = \"NAME\" } }]"),
    );
    let webhook_secrets =
        table.field("webhook_secret").required("webhook_secret = { env = \"NAME\" }");
    let webhook_secrets = webhook_secrets.secrets(secrets::of_webhook);

    let (delivery, auto) = table.field("delivery").table(delivery);
    let mut policy = Policy {
        hold: table.field("hold").table(hold),
        delivery,
        receipts: table.field("receipts").table(receipts),
        inbound: table.field("inbound").table(inbound),
        ..Policy::default()
    };
    let fallback;
    (fallback, policy.answer_within) = table.field("content").table(content);
    let notices;
    (policy.notices, notices) = table.field("agent_notice").table(agent_notice);
    let detect_end;
    (detect_end, policy.on_customer_left) = table.field("end").table(end);
    let connector =
        table.field("connector").required("[integration.connector] with type, url and secret");
    let connector = connector_table::connector(&connector);

    let connector = connector?;
    policy.service_reports = connector.capabilities().reports_delivery;
    if auto && !connector.capabilities().idempotent {
        // A repetition might reach the customer twice.
        policy.delivery.on_unknown = OnUnknown::Fail;
    }
    Some(Integration {
        name: name?,
        hosts: hosts?,
        integration_id: integration_id?,
        clients: clients?,
        webhook_secrets: webhook_secrets?,
        policy,
        fallback,
        notices,
        detect_end,
        connector,
    })
}

fn name(
    field: &Field<'_>,
    index: usize,
    seen: &mut BTreeMap<String, usize>,
) -> Option<IntegrationName> {
    let name = field.parsed(|name| {
        let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = name.len() <= 63
            && name.starts_with(first)
            && name.chars().all(|c| first(c) || c == '_' || c == '-');
        if fits {
            Ok(name.to_owned())
        } else {
            Err(format!(
                "{} does not fit into URLs: at most 63 of a-z, 0-9, '-' and '_', beginning with a \
                 letter or digit",
                quoted(name)
            ))
        }
    })?;
    if let Some(other) = seen.get(&name) {
        field.problem(format!(
            "integration[{other}] is called {name:?} too: give each a name of its own"
        ));
        return None;
    }
    seen.insert(name.clone(), index);
    Some(IntegrationName::new(name))
}

fn hosts(table: &Table<'_>) -> Option<Hosts> {
    let (region, api, login) =
        (table.field("region"), table.field("api_url"), table.field("login_url"));
    let hosts_of_region =
        region.parsed(|region| Hosts::of_region(region).ok_or_else(|| unknown_region(region)));
    let urls = (
        api.http_url("https://api.mypurecloud.com").map(|url| without(url, &["api", "v2"])),
        login
            .http_url("https://login.mypurecloud.com")
            .map(|url| without(url, &["oauth", "token"])),
    );
    match (region.is_given(), api.is_given(), login.is_given()) {
        (true, false, false) => hosts_of_region,
        (true, ..) => {
            region
                .problem("is given beside api_url or login_url: keep the region, or the two URLs");
            None
        }
        (false, true, true) => Some(Hosts { api: urls.0?, login: urls.1? }),
        (false, true, false) => {
            login.problem(
                "is missing: api_url and login_url go together, or write region instead of both",
            );
            None
        }
        (false, false, true) => {
            api.problem(
                "is missing: api_url and login_url go together, or write region instead of both",
            );
            None
        }
        (false, false, false) => {
            region.problem(
                "is missing: write for example region = \"mypurecloud.com\", or \
                api_url and login_url",
            );
            None
        }
    }
}

/// Removes a path that each call adds, because operators may write the whole URL of a call.
fn without(mut url: Url, path: &[&str]) -> Url {
    let segments: Vec<_> = url.path_segments().into_iter().flatten().collect();
    let segments = segments.strip_suffix(&[""]).unwrap_or(&segments);
    if let Some(rest) = segments.strip_suffix(path) {
        let rest = rest.join("/");
        url.set_path(&rest);
    }
    url
}

fn unknown_region(region: &str) -> String {
    let known = || REGIONS.iter().flat_map(|region| [region.domain, region.aws_region]);
    if let Some(near) = nearest(&region.to_ascii_lowercase(), known()) {
        return format!(
            "{} is not a region of Genesys Cloud; did you mean {near:?}?",
            quoted(region)
        );
    }
    let domains: Vec<_> = REGIONS.iter().map(|region| region.domain).collect();
    format!(
        "{} is not a region of Genesys Cloud: write one of {}",
        quoted(region),
        domains.join(", ")
    )
}

fn clients(field: &Field<'_>) -> Option<Vec<Credentials>> {
    let elements = field.elements()?;
    if elements.is_empty() {
        field.problem("is empty: write at least one { id = \"…\", secret = { env = \"NAME\" } }");
        return None;
    }
    let mut seen = BTreeMap::new();
    let mut read = Vec::new();
    for (index, element) in elements.iter().enumerate() {
        read.push(element.table(|table| {
            let id = table.field("id").required("id = \"…\", the OAuth client's id");
            let known = id.text();
            if let Some(other) = known.clone().and_then(|known| seen.insert(known, index)) {
                id.problem(format!(
                    "clients[{other}] is the same client: listing a client twice adds no capacity"
                ));
            }
            let secret = table
                .field("secret")
                .required("secret = { env = \"NAME\" }")
                .secret(|text| Ok(Secret::new(text)));
            Some(Credentials { id: known?, secret: secret? })
        }));
    }
    read.into_iter().collect()
}

fn hold(table: &Table<'_>) -> HoldPolicy {
    let default = HoldPolicy::default();
    let start = [
        ("first-inbound", HandshakeStart::FirstInbound),
        ("first-outbound", HandshakeStart::FirstOutbound),
    ];
    let inbound =
        [("forward", InboundPolicy::Forward), ("after-handshake", InboundPolicy::AfterHandshake)];
    HoldPolicy {
        limit: table.field("for").duration(MILLISECOND..=DAY).unwrap_or(default.limit),
        max_messages: table.field("max_messages").count(1..=10_000).unwrap_or(default.max_messages),
        start: table.field("start").choice(&start).unwrap_or(default.start),
        inbound: table.field("inbound").choice(&inbound).unwrap_or(default.inbound),
    }
}

/// The policy, and whether an unknown outcome is the connector's matter (`on_unknown = "auto"`).
fn delivery(table: &Table<'_>) -> (DeliveryPolicy, bool) {
    let default = DeliveryPolicy::default();
    let on_unknown =
        [("auto", None), ("retry", Some(OnUnknown::Retry)), ("fail", Some(OnUnknown::Fail))];
    let chosen = table.field("on_unknown").choice(&on_unknown).flatten();
    let after_failure = [
        ("continue", AfterFailure::Continue),
        ("fail-rest", AfterFailure::FailRest),
        ("pause", AfterFailure::Pause),
    ];
    let hour = Duration::from_hours(1);
    let (initial, max) = (table.field("retry_initial"), table.field("retry_max"));
    let policy = DeliveryPolicy {
        give_up_after: table
            .field("give_up_after")
            .duration(MILLISECOND..=7 * DAY)
            .unwrap_or(default.give_up_after),
        retry_initial: initial.duration(MILLISECOND..=hour).unwrap_or(default.retry_initial),
        retry_max: max.duration(MILLISECOND..=hour).unwrap_or(default.retry_max),
        timeout: table.field("timeout").duration(MILLISECOND..=hour).unwrap_or(default.timeout),
        on_unknown: chosen.unwrap_or(default.on_unknown),
        after_failure: table
            .field("after_failure")
            .choice(&after_failure)
            .unwrap_or(default.after_failure),
    };
    if policy.retry_initial > policy.retry_max {
        let wrong = if initial.is_given() { initial } else { max };
        wrong.problem(format!(
            "retry_initial ({}) is longer than retry_max ({}): the pauses grow from the first to \
             the second",
            shown(policy.retry_initial),
            shown(policy.retry_max)
        ));
    }
    (policy, chosen.is_none())
}

fn inbound(table: &Table<'_>) -> InboundLimits {
    let default = InboundLimits::default();
    let tries = table.field("give_up_tries").count(1..=10_000);
    InboundLimits {
        give_up_after: table
            .field("give_up_after")
            .duration(MILLISECOND..=7 * DAY)
            .unwrap_or(default.give_up_after),
        give_up_tries: tries
            .and_then(|tries| u32::try_from(tries).ok())
            .unwrap_or(default.give_up_tries),
    }
}

fn receipts(table: &Table<'_>) -> ReceiptPolicy {
    let default = ReceiptPolicy::default();
    let send = [
        ("final", SendReceipts::Final),
        ("all", SendReceipts::All),
        ("failures", SendReceipts::Failures),
    ];
    let delivered_on = [
        ("auto", DeliveredOn::Auto),
        ("accepted", DeliveredOn::Accepted),
        ("reported", DeliveredOn::Reported),
    ];
    ReceiptPolicy {
        send: table.field("send").choice(&send).unwrap_or(default.send),
        delivered_on: table
            .field("delivered_on")
            .choice(&delivered_on)
            .unwrap_or(default.delivered_on),
        report_timeout: table
            .field("report_timeout")
            .duration(MILLISECOND..=7 * DAY)
            .unwrap_or(default.report_timeout),
    }
}

fn content(table: &Table<'_>) -> (Fallback, Duration) {
    let degrade = table.field("degrade").flag().unwrap_or(true);
    let default = Policy::default().answer_within;
    (
        if degrade { Fallback::Text } else { Fallback::Fail },
        table.field("answer_within").duration(MILLISECOND..=30 * DAY).unwrap_or(default),
    )
}

fn agent_notice(table: &Table<'_>) -> (BTreeSet<NoticeKind>, NoticeTexts) {
    let kinds = [
        ("held", NoticeKind::Held),
        ("expired", NoticeKind::Expired),
        ("failed", NoticeKind::Failed),
    ];
    let on = table.field("on").list(|kind| choose(kind, &kinds)).unwrap_or_default();
    let text = |key: &str| {
        table.field(key).parsed(|text| match text.chars().count() {
            ..=1_000 => Ok(text.to_owned()),
            length => Err(format!("has {length} characters: the maximum is 1000")),
        })
    };
    let default = NoticeTexts::default();
    let texts = NoticeTexts {
        held: text("held").unwrap_or(default.held),
        expired: text("expired").unwrap_or(default.expired),
        failed: text("failed").unwrap_or(default.failed),
    };
    (on.into_iter().collect(), texts)
}

fn end(table: &Table<'_>) -> (DetectEnd, CustomerLeft) {
    let poll = table.field("poll").duration(MILLISECOND..=DAY).unwrap_or(Duration::from_mins(1));
    let notifications = DetectEnd::Notifications { poll };
    let detect = [
        ("notifications", notifications),
        ("poll", DetectEnd::Poll { every: poll }),
        ("off", DetectEnd::Off),
    ];
    let left = [("disconnect", CustomerLeft::Disconnect), ("ignore", CustomerLeft::Ignore)];
    (
        table.field("detect").choice(&detect).unwrap_or(notifications),
        table.field("on_customer_left").choice(&left).unwrap_or_default(),
    )
}
