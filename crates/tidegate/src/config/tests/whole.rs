//! Whole files: the minimal one, and one full of mistakes.

use std::time::Duration;

use connector::http::HttpConfig;
use conversation::{NoticeKind, Policy};
use genesys::Hosts;

use gateway::{DetectEnd, NoticeTexts, Role};

use super::super::{Config, MediaSection};
use super::{CONNECTOR, CONNECTOR_SECRET, HASH, INTEGRATION, http, load, report, with};

/// A token that was written before there were roles may read, and nothing else.
#[test]
fn a_token_is_a_viewers_unless_it_says_otherwise() {
    let console = |tokens: &str| with(&format!("[console]\ntokens = [{tokens}]\n"));
    let three = console(
        "{ name = \"old\", token = \"0123456789abcdef0123456789\" },
         { name = \"night\", role = \"operator\", token = \"1123456789abcdef0123456789\" },
         { name = \"wall\", role = \"viewer\", token = \"2123456789abcdef0123456789\" }",
    );
    let token = "token = \"0123456789abcdef0123456789\"";
    let tokens = load(&three, &[]).unwrap().console.tokens;
    let roles: Vec<_> = tokens.iter().map(|token| (token.name.as_str(), token.role)).collect();
    let expected = [("old", Role::Viewer), ("night", Role::Operator), ("wall", Role::Viewer)];
    assert_eq!(roles, expected);
    let admin = console(&format!("{{ name = \"ops\", role = \"admin\", {token} }}"));
    assert!(report(&admin, &[]).contains("\"admin\" is none of \"operator\", \"viewer\""));
    for name in ["x".repeat(65), "a\\nb".to_owned()] {
        let named = console(&format!("{{ name = \"{name}\", {token} }}"));
        let told = report(&named, &[]);
        assert!(told.contains("tokens[0].name: has more than 64 characters"), "{told}");
    }
}

/// The journal names the token, so each has a name, and a request has one owner.
#[test]
fn tokens_share_neither_names_nor_secrets() {
    let console = |tokens: &str| with(&format!("[console]\ntokens = [{tokens}]\n"));
    let token = |name: &str, first: u8| {
        format!("{{ name = \"{name}\", token = \"{first}123456789abcdef0123456789\" }}")
    };
    for name in ["", "  "] {
        let told = report(&console(&token(name, 0)), &[]);
        assert!(told.contains("console.tokens[0].name: is empty"), "{told}");
    }
    let three = [token("ops", 0), token("wall", 1), token("ops", 2)].join(", ");
    let told = report(&console(&three), &[]);
    assert!(told.contains("tokens[2].name: console.tokens[0] has this name too"), "{told}");
    let three = [token("ops", 0), token("wall", 1), token("night", 1)].join(", ");
    let told = report(&console(&three), &[]);
    assert!(told.contains("tokens[2].token: console.tokens[1] has the same token"), "{told}");
    assert!(!told.contains("123456789abcdef"), "no secret is repeated: {told}");
}

#[test]
fn the_least_has_the_documented_defaults() {
    let config = load(&with(""), &[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!((config.server.public_url, config.server.max_body), (None, 1_048_576));
    assert_eq!(config.store.url, "sqlite:tidegate.db");
    assert_eq!(config.store.retention, Duration::from_hours(30 * 24));
    assert_eq!(config.store.takeover, Duration::from_secs(10));
    assert!(config.console.users.is_empty() && config.console.tokens.is_empty());
    assert_eq!(config.media, None);
    let media = load(&with("[media]\nurl = \"file:media\"\n"), &[]).unwrap().media.unwrap();
    assert_eq!((media.link_life, media.max_size), (Duration::from_hours(24), 26_214_400));
    assert_eq!((media.fetch_timeout, media.allow), (Duration::from_secs(30), Vec::new()));
    assert_eq!(media.lost, "[File not available: {name}]");

    let [acme] = &config.integrations[..] else { panic!("one integration") };
    assert_eq!(acme.name.as_str(), "acme");
    assert_eq!(Some(&acme.hosts), Hosts::of_region("mypurecloud.com").as_ref());
    assert_eq!(acme.integration_id, "b3f0");
    assert_eq!(
        (acme.clients[0].id.as_str(), acme.clients[0].secret.expose()),
        ("5d2f", "hunter2-client")
    );
    assert_eq!(acme.webhook_secrets, ["hunter2-webhook-secret".into()]);
    assert_eq!(acme.policy, Policy::default());
    assert_eq!(acme.notices, NoticeTexts::default());
    assert_eq!(acme.detect_end, DetectEnd::Notifications { poll: Duration::from_mins(1) });
    let secret: connector::http::Secret = CONNECTOR_SECRET.parse().unwrap();
    assert_eq!(
        *http(&acme.connector),
        HttpConfig::new("http://127.0.0.1:9000".parse().unwrap(), secret.into())
    );
}

/// The figures of the contract as literals, because the defaults above come from `conversation`.
#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = load(&with(""), &[]).unwrap();
    let policy = &config.integrations[0].policy;
    let written = load(
        &with(
            r#"
            [integration.hold]
            for = "30s"
            max_messages = 100
            start = "first-inbound"
            inbound = "forward"
            [integration.delivery]
            give_up_after = "5m"
            retry_initial = "500ms"
            retry_max = "30s"
            timeout = "10s"
            on_unknown = "retry"
            after_failure = "continue"
            [integration.receipts]
            send = "final"
            delivered_on = "auto"
            report_timeout = "1h"
            [integration.agent_notice]
            on = []
            [integration.end]
            detect = "notifications"
            poll = "1m"
            on_customer_left = "disconnect"
            "#,
        ),
        &[],
    );
    assert_eq!(written.unwrap().integrations[0].policy, *policy);
}

#[test]
fn every_key_is_heard() {
    let config = load(
        r#"
        [server]
        listen = "[::1]:81"
        public_url = "https://gateway.example.com/tide"
        max_body = "512KiB"
        [store]
        url = "postgres://user:hunter2@host/db"
        retention = "1d12h"
        [media]
        url = "s3://files/acme"
        link_life = "2h"
        max_size = "5MB"
        fetch_timeout = "12s"
        allow = ["10.1.0.0/16", "127.0.0.1:8090"]
        lost = "[Datei fehlt: {name}]"
        [console]
        users = [{ name = "ops", password_hash = { env = "OPS_HASH" }, role = "operator" }]
        [[integration]]
        name = "a-1_b"
        api_url = "http://127.0.0.1:7070"
        login_url = "http://127.0.0.1:7071"
        integration_id = "x"
        clients = [{ id = "1", secret = "a" }, { id = "2", secret = "b" }]
        webhook_secret = ["0123456789abcdef", "fedcba9876543210"]
        [integration.hold]
        for = "1s"
        max_messages = 2
        start = "first-outbound"
        inbound = "after-handshake"
        [integration.delivery]
        give_up_after = "3s"
        retry_initial = "4ms"
        retry_max = "5s"
        timeout = "6s"
        on_unknown = "fail"
        after_failure = "pause"
        [integration.receipts]
        send = "all"
        delivered_on = "reported"
        report_timeout = "7s"
        [integration.inbound]
        give_up_after = "2h"
        give_up_tries = 7
        [integration.content]
        degrade = false
        answer_within = "10m"
        [integration.agent_notice]
        on = ["held", "failed", "held"]
        held = "H"
        expired = "E"
        failed = "F"
        [integration.end]
        detect = "poll"
        poll = "9s"
        on_customer_left = "ignore"
        [integration.connector]
        type = "http"
        url = "https://chat.example.com/tidegate/"
        secret = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
        timeout = "8s"
        reports_delivery = true
        idempotent = false
        typing = false
        max_text = 4000
        media = ["image/*"]
        content = ["QuickReply"]
        "#,
        &[("OPS_HASH", HASH)],
    )
    .unwrap();
    assert_eq!(config.server.listen.to_string(), "[::1]:81");
    assert_eq!(config.server.public_url.unwrap().as_str(), "https://gateway.example.com/tide");
    assert_eq!(config.server.max_body, 524_288);
    assert_eq!(config.store.url, "postgres://user:hunter2@host/db");
    assert_eq!(config.store.retention, Duration::from_hours(36));
    let media = MediaSection {
        url: "s3://files/acme".to_owned(),
        link_life: Duration::from_hours(2),
        max_size: 5_000_000,
        fetch_timeout: Duration::from_secs(12),
        allow: vec!["10.1.0.0/16".parse().unwrap(), "127.0.0.1:8090".parse().unwrap()],
        lost: "[Datei fehlt: {name}]".to_owned(),
    };
    assert_eq!(config.media, Some(media));
    let ops = &config.console.users[0];
    assert_eq!(
        (ops.name.as_str(), ops.password_hash.expose(), ops.role),
        ("ops", HASH, Role::Operator)
    );
    let acme = &config.integrations[0];
    assert_eq!(acme.fallback, connector::Fallback::Fail);
    assert_eq!((acme.name.as_str(), acme.integration_id.as_str()), ("a-1_b", "x"));
    assert_eq!((acme.hosts.api.port(), acme.hosts.login.port()), (Some(7070), Some(7071)));
    let clients: Vec<_> =
        acme.clients.iter().map(|client| (client.id.as_str(), client.secret.expose())).collect();
    assert_eq!(clients, [("1", "a"), ("2", "b")]);
    assert_eq!(acme.webhook_secrets, ["0123456789abcdef".into(), "fedcba9876543210".into()]);
    insta::assert_debug_snapshot!((&acme.policy, &acme.notices, acme.detect_end, &acme.connector), @r#"
    (
        Policy {
            hold: HoldPolicy {
                limit: 1s,
                max_messages: 2,
                start: FirstOutbound,
                inbound: AfterHandshake,
            },
            delivery: DeliveryPolicy {
                give_up_after: 3s,
                retry_initial: 4ms,
                retry_max: 5s,
                timeout: 6s,
                on_unknown: Fail,
                after_failure: Pause,
            },
            receipts: ReceiptPolicy {
                send: All,
                delivered_on: Reported,
                report_timeout: 7s,
            },
            notices: {
                Held,
                Failed,
            },
            inbound: InboundLimits {
                give_up_after: 7200s,
                give_up_tries: 7,
            },
            on_customer_left: Ignore,
            answer_within: 600s,
            service_reports: true,
        },
        NoticeTexts {
            held: "H",
            expired: "E",
            failed: "F",
        },
        Poll {
            every: 9s,
        },
        HttpConfig {
            url: https://chat.example.com/tidegate/,
            secret: Secrets(
                [
                    whsec_…,
                    whsec_…,
                ],
            ),
            timeout: 8s,
            reports_delivery: true,
            idempotent: false,
            typing: false,
            max_text: Some(
                4000,
            ),
            media: [
                MediaRange {
                    class: "image",
                    kind: "*",
                },
            ],
            content: Only(
                {
                    "QuickReply",
                },
            ),
        },
    )
    "#);
}

#[test]
fn a_file_full_of_mistakes_is_reported_at_once() {
    let text = r#"
integration_id = "x"

[server]
listn = "127.0.0.1:80"
listen = "localhost"
max_body = "1 banana"
public_url = "https://ops:hunter2@gateway.example.com"

[storage]
url = "sqlite:x.db"

[console]
users = [{ name = "ops", password_hash = "hunter2", role = "admin" }, { name = "ops" }]

[[integration]]
name = "Acme Ltd"
region = "mypurecloud.co"
clients = []
webhook_secret = "hunter2"
timeout = "3s"

[integration.hold]
for = "30x"
max_messages = "many"
start = "first-inbond"

[integration.delivery]
retry_initial = "1m"
give_up_after = "300d"
timeout = 10
on_unkown = "fail"

[integration.connector]
type = "matrix"
homeserver = "https://matrix.org"

[[integration]]
name = "beta"
api_url = "ftp://api.example.com"
clients = [
  { id = "one", secret = { env = "NOT_SET" } },
  { id = "one", secrt = "hunter2" },
]
webhook_secret = ["0123456789abcdef", { file = "missing" }]

[integration.agent_notice]
on = ["held", "expird"]

[integration.connector]
type = "http"
url = "localhost:9000"
secret = ["hunter2", { env = "A", file = "b" }]
idempotent = "yes"
media = ["image"]

[[integration]]
name = "beta"
region = "eu-central-1"
integration_id = "y"
clients = [{ id = "z", secret = "z" }]
webhook_secret = {}
"#;
    let report = report(text, &[]);
    insta::assert_snapshot!(report, @r#"
    42 things are wrong with the configuration:
    tidegate.toml:2: integration_id: there is no such key here; it belongs to its own section, as integration.integration_id
    tidegate.toml:5: server.listn: there is no such key; did you mean "listen"?
    tidegate.toml:6: server.listen: "localhost" is not an address with a port: write for example "127.0.0.1:8080" or "[::1]:8080"
    tidegate.toml:7: server.max_body: "1 banana" is not a size: write for example "1MiB", "512KiB", "64kB", or a number of bytes
    tidegate.toml:8: server.public_url: has a user or a password in it: leave them out
    tidegate.toml:10: storage: there is no such key; did you mean "store"?
    tidegate.toml:14: console.users[0].password_hash: is not the whole hash of a password, which begins with `$argon2id$`: `tidegate hash-password` makes one
    tidegate.toml:14: console.users[0].role: "admin" is none of "operator", "viewer"
    tidegate.toml:14: console.users[1].name: console.users[0] has this name too: give each user a name of their own
    tidegate.toml:14: console.users[1].password_hash: is missing: write for example password_hash = { env = "OPS_HASH" }
    tidegate.toml:14: console.users[1].role: is missing: write for example role = "viewer", or "operator"
    tidegate.toml:16: integration[0].integration_id: is missing: write for example integration_id = "b3f0…", as Genesys shows it
    tidegate.toml:17: integration[0].name: "Acme Ltd" does not fit into URLs: at most 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit
    tidegate.toml:18: integration[0].region: "mypurecloud.co" is not a region of Genesys Cloud; did you mean "mypurecloud.com"?
    tidegate.toml:19: integration[0].clients: is empty: write at least one { id = "…", secret = { env = "NAME" } }
    tidegate.toml:20: integration[0].webhook_secret: the secret has 7 characters, and Genesys requires at least 16: `openssl rand -hex 32` makes one
    tidegate.toml:21: integration[0].timeout: there is no such key here; it belongs to its own section, as integration.connector.timeout or integration.delivery.timeout
    tidegate.toml:24: integration[0].hold.for: "30x" is not a duration: write for example "30s", "500ms", "5m" or "1h"
    tidegate.toml:25: integration[0].hold.max_messages: must be a number without quotes, not a text
    tidegate.toml:26: integration[0].hold.start: "first-inbond" is none of "first-inbound", "first-outbound"; did you mean "first-inbound"?
    tidegate.toml:29: integration[0].delivery.retry_initial: retry_initial (1m) is longer than retry_max (30s): the pauses grow from the first to the second
    tidegate.toml:30: integration[0].delivery.give_up_after: "300d" is too large: the maximum is 7d
    tidegate.toml:31: integration[0].delivery.timeout: 10 is not a duration: write for example "30s", "500ms", "5m" or "1h"
    tidegate.toml:32: integration[0].delivery.on_unkown: there is no such key; did you mean "on_unknown"?
    tidegate.toml:35: integration[0].connector.type: "matrix" is not a connector of this version, which knows only "http" and "websocket"
    tidegate.toml:38: integration[1].login_url: is missing: api_url and login_url go together, or write region instead of both
    tidegate.toml:38: integration[1].integration_id: is missing: write for example integration_id = "b3f0…", as Genesys shows it
    tidegate.toml:40: integration[1].api_url: is not a URL of http or https: write for example "https://api.mypurecloud.com"
    tidegate.toml:42: integration[1].clients[0].secret.env: the environment variable NOT_SET is not set: set it, or name another
    tidegate.toml:43: integration[1].clients[1].id: clients[0] is the same client: listing a client twice adds no capacity
    tidegate.toml:43: integration[1].clients[1].secret: is missing: write for example secret = { env = "NAME" }
    tidegate.toml:43: integration[1].clients[1].secrt: there is no such key; did you mean "secret"?
    tidegate.toml:45: integration[1].webhook_secret[1].file: the file /etc/tidegate/missing cannot be read (No such file or directory (os error 2)): make it readable, or name another
    tidegate.toml:48: integration[1].agent_notice.on[1]: "expird" is none of "held", "expired", "failed"; did you mean "expired"?
    tidegate.toml:52: integration[1].connector.url: a connector's url is an http or https URL without a fragment, such as "http://127.0.0.1:9000"
    tidegate.toml:53: integration[1].connector.secret[0]: a connector's secret begins with `whsec_`, followed by base64
    tidegate.toml:53: integration[1].connector.secret[1]: has both env and file: keep one of the two
    tidegate.toml:54: integration[1].connector.idempotent: must be true or false without quotes, not a text
    tidegate.toml:55: integration[1].connector.media[0]: 'image' is not a range of media types such as "image/*", "application/pdf" or "*/*"
    tidegate.toml:57: integration[2].connector: is missing: write for example [integration.connector] with type, url and secret
    tidegate.toml:58: integration[2].name: integration[1] is called "beta" too: give each a name of its own
    tidegate.toml:62: integration[2].webhook_secret: has neither env nor file: write it as a text, or as { env = "NAME" } or { file = "PATH" }
    "#);
    assert!(!report.contains("hunter2"));
}

#[test]
fn what_is_not_toml_is_reported_by_line_and_nothing_else() {
    let text = r#"
[server]
listen = 127.0.0.1:8080
max_body = "1MiB
[store]
url = "a"
url = "b"
[server]
x y
"#;
    insta::assert_snapshot!(report(text, &[]), @r#"
    5 things are wrong with the configuration:
    tidegate.toml:3: listen: this is not TOML: invalid float, expected nothing: put texts in quotes, as in listen = "127.0.0.1:8080"
    tidegate.toml:4: max_body: this is not TOML: invalid basic string, expected `"`: put texts in quotes, as in listen = "127.0.0.1:8080"
    tidegate.toml:7: url: this is not TOML: duplicate key: write each key and each section once
    tidegate.toml:8: this is not TOML: duplicate key: write each key and each section once
    tidegate.toml:9: this is not TOML: key with no value, expected `=`: a line is a [section], or key = value
    "#);
}

#[test]
fn a_file_that_is_not_there_says_how_to_write_one_that_works() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.toml");
    let report = Config::load(&path, std::iter::empty()).unwrap_err().to_string();
    let (says, least) = report.split_once(":\n").unwrap();
    let expected = "there is no such file. Name another with --config FILE, or write one; tidegate.example.toml has \
                    every key, and this is the minimum";
    assert_eq!(says, format!("{}: {expected}", path.display()));

    std::fs::write(&path, least).unwrap();
    let secrets = [
        ("ACME_CLIENT_SECRET", "x"),
        ("ACME_WEBHOOK_SECRET", "0123456789abcdef"),
        ("ACME_CONNECTOR_SECRET", CONNECTOR_SECRET),
    ];
    let secrets = secrets.map(|(name, value)| (name.to_owned(), value.to_owned()));
    // Only the placeholder for Genesys's id is left to fill in.
    let report = Config::load(&path, secrets.clone().into_iter()).unwrap_err().to_string();
    assert!(
        report.ends_with("integration[0].integration_id: \"…\" is not an id of Genesys's"),
        "{report}"
    );
    std::fs::write(&path, least.replace("integration_id = \"…\"", "integration_id = \"b3f0\""))
        .unwrap();
    assert!(Config::load(&path, secrets.into_iter()).is_ok());
}

#[test]
fn a_file_that_is_not_text_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.toml");
    std::fs::write(&path, b"[server]\n# caf\xe9\n").unwrap();
    let report = Config::load(&path, std::iter::empty()).unwrap_err().to_string();
    assert_eq!(report, format!("{}: the file cannot be read: line 2 is not UTF-8", path.display()));
    let report = Config::load(folder.path(), std::iter::empty()).unwrap_err().to_string();
    assert!(report.contains("the file cannot be read"), "{report}");
}

#[test]
fn the_connector_says_whether_the_service_reports() {
    let config = load(&format!("{INTEGRATION}{CONNECTOR}reports_delivery = true"), &[]).unwrap();
    assert!(config.integrations[0].policy.service_reports);
    let config = load(&with("[integration.agent_notice]\non = [\"failed\"]"), &[]).unwrap();
    assert!(!config.integrations[0].policy.service_reports);
    assert_eq!(config.integrations[0].policy.notices, [NoticeKind::Failed].into());
}
