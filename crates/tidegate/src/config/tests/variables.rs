//! Environment variables that override the file.

use std::time::Duration;

use gateway::Role;

use super::{CONNECTOR_SECRET, HASH, http, load, report, with};

#[test]
fn every_kind_of_key_can_be_overridden() {
    let file =
        format!("[server]\nlisten = \"127.0.0.1:1\"\n{}", with("[integration.hold]\nfor = \"1s\""));
    let config = load(
        &file,
        &[
            ("TIDEGATE_SERVER__LISTEN", "127.0.0.1:2"),
            ("TIDEGATE_SERVER__MAX_BODY", "2048"),
            ("TIDEGATE_INTEGRATION__0__HOLD__FOR", "2s"),
            ("TIDEGATE_INTEGRATION__0__HOLD__MAX_MESSAGES", "7"),
            ("TIDEGATE_INTEGRATION__0__WEBHOOK_SECRET", "from-the-environment"),
            ("TIDEGATE_INTEGRATION__0__CLIENTS__0__SECRET__ENV", "CLIENT"),
            ("CLIENT", "client"),
            ("TIDEGATE_INTEGRATION__0__AGENT_NOTICE__ON", "held, failed"),
            ("TIDEGATE_INTEGRATION__0__CONNECTOR__TYPING", "false"),
            ("TIDEGATE_INTEGRATION__0__CONNECTOR__MEDIA", ""),
            ("TIDEGATE_CONSOLE__USERS__0__NAME", "ops"),
            ("TIDEGATE_CONSOLE__USERS__0__PASSWORD_HASH", HASH),
            ("TIDEGATE_CONSOLE__USERS__0__ROLE", "viewer"),
            ("TIDEGATE_LOG", "debug"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!((config.server.listen.port(), config.server.max_body), (2, 2048));
    let acme = &config.integrations[0];
    assert_eq!(
        (acme.policy.hold.limit, acme.policy.hold.max_messages),
        (Duration::from_secs(2), 7)
    );
    assert_eq!(acme.webhook_secrets[0].expose(), "from-the-environment");
    assert_eq!(acme.clients[0].secret.expose(), "client");
    assert_eq!(acme.policy.notices.len(), 2);
    let connector = http(&acme.connector);
    assert!(!connector.typing && connector.media.is_empty());
    assert_eq!(
        (config.console.users[0].name.as_str(), config.console.users[0].role),
        ("ops", Role::Viewer)
    );
}

#[test]
fn whole_integrations_can_come_from_variables() {
    let keys = |index: usize| {
        [
            ("NAME", format!("acme-{index}")),
            ("REGION", "mypurecloud.com".to_owned()),
            ("INTEGRATION_ID", "b3f0".to_owned()),
            ("CLIENTS__0__ID", "x".to_owned()),
            ("CLIENTS__0__SECRET", "x".to_owned()),
            ("WEBHOOK_SECRET__0", "0123456789abcdef".to_owned()),
            ("WEBHOOK_SECRET__1", "fedcba9876543210".to_owned()),
            ("CONNECTOR__TYPE", "http".to_owned()),
            ("CONNECTOR__URL", "http://h".to_owned()),
            ("CONNECTOR__SECRET", CONNECTOR_SECRET.to_owned()),
        ]
        .map(|(key, value)| (format!("TIDEGATE_INTEGRATION__{index}__{key}"), value))
    };
    // Eleven integrations, because as text 10 sorts before 2.
    let variables: Vec<_> = (0..11).flat_map(keys).collect();
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let config = load("", &variables).unwrap();
    let names: Vec<_> =
        config.integrations.iter().map(|integration| integration.name.to_string()).collect();
    assert_eq!(names, (0..11).map(|index| format!("acme-{index}")).collect::<Vec<_>>());
    assert_eq!(config.integrations[10].webhook_secrets.len(), 2);
}

#[test]
fn mistakes_name_the_variable_instead_of_the_place() {
    let variables = [
        ("TIDEGATE_SERVER__LISTEN", "localhost"),
        ("TIDEGATE_SERVER__LISTN", "127.0.0.1:80"),
        ("TIDEGATE_SERVER__", "x"),
        ("TIDEGATE_CONSOLE", "x"),
        ("TIDEGATE_SEVER__LISTEN", "x"),
        ("TIDEGATE_COLOUR__BLUE", "x"),
        ("TIDEGATE_STORE_URL", "x"),
        ("TIDEGATE_STORE__URL__PATH", "x"),
        ("TIDEGATE_STORE__RETENTION__0", "x"),
        ("TIDEGATE_INTEGRATION__NAME", "x"),
        ("TIDEGATE_INTEGRATION__2__NAME", "x"),
        ("TIDEGATE_INTEGRATION__0__HOLD__MAX_MESSAGES", "many"),
        ("TIDEGATE_INTEGRATION__0__CLIENTS", "x"),
        ("TIDEGATE_INTEGRATION__0__CLIENTS__1__ID", "second"),
        ("TIDEGATE_INTEGRATION__0__CONNECTOR__TYPING", "yes"),
        ("TIDEGATE_INTEGRATION__0__AGENT_NOTICE__ON", "held,expird"),
        ("TIDEGATE_INTEGRATION__0__A__B__C__D__E__F__G__H", "x"),
    ];
    insta::assert_snapshot!(report(&with(""), &variables), @r#"
    17 things are wrong with the configuration:
    TIDEGATE_COLOUR__BLUE: no key has this variable: docs/configuration.md lists the keys, and a variable has two underscores for each dot, as in TIDEGATE_SERVER__LISTEN
    TIDEGATE_CONSOLE: is a section: each of its keys has a variable of its own, which begins with TIDEGATE_CONSOLE__
    TIDEGATE_INTEGRATION__0__AGENT_NOTICE__ON: "expird" is none of "held", "expired", "failed"; did you mean "expired"?
    TIDEGATE_INTEGRATION__0__A__B__C__D__E__F__G__H: no key has such a variable: write for example TIDEGATE_SERVER__LISTEN
    TIDEGATE_INTEGRATION__0__CLIENTS: must be a list: its first element is TIDEGATE_INTEGRATION__0__CLIENTS__0
    TIDEGATE_INTEGRATION__0__CLIENTS__1__ID: TIDEGATE_INTEGRATION__0__CLIENTS is set as well: keep one of the two
    TIDEGATE_INTEGRATION__0__CONNECTOR__TYPING: "yes" is neither true nor false
    TIDEGATE_INTEGRATION__0__HOLD__MAX_MESSAGES: "many" is not a whole number of 1 to 10000
    TIDEGATE_INTEGRATION__2__NAME: the next index of this list is 1
    TIDEGATE_INTEGRATION__NAME: this key is a list: append the index of the element, counted from 0, as in TIDEGATE_INTEGRATION__0__NAME
    TIDEGATE_SERVER__: no key has such a variable: write for example TIDEGATE_SERVER__LISTEN
    TIDEGATE_SERVER__LISTEN: "localhost" is not an address with a port: write for example "127.0.0.1:8080" or "[::1]:8080"
    TIDEGATE_SERVER__LISTN: no key has this variable; did you mean TIDEGATE_SERVER__LISTEN?
    TIDEGATE_SEVER__LISTEN: no key has this variable; did you mean TIDEGATE_SERVER__LISTEN?
    TIDEGATE_STORE_URL: no key has this variable; did you mean TIDEGATE_STORE__URL?
    TIDEGATE_STORE__RETENTION__0: store.retention: must be a duration, not a list: write for example "30s", "500ms", "5m" or "1h"
    TIDEGATE_STORE__URL__PATH: store.url: must be a text in quotes, not a table
    "#);
}

#[test]
fn what_is_missing_in_an_integration_from_a_variable_says_which_key() {
    let variables = [
        ("TIDEGATE_INTEGRATION__1__NAME", "beta"),
        ("TIDEGATE_INTEGRATION__1__REGION", "mypurecloud.ie"),
    ];
    insta::assert_snapshot!(report(&with(""), &variables), @r#"
    4 things are wrong with the configuration:
    TIDEGATE_INTEGRATION__1__NAME: integration[1].integration_id: is missing: write for example integration_id = "b3f0…", as Genesys shows it
    TIDEGATE_INTEGRATION__1__NAME: integration[1].clients: is missing: write for example clients = [{ id = "…", secret = { env = "NAME" } }]
    TIDEGATE_INTEGRATION__1__NAME: integration[1].webhook_secret: is missing: write for example webhook_secret = { env = "NAME" }
    TIDEGATE_INTEGRATION__1__NAME: integration[1].connector: is missing: write for example [integration.connector] with type, url and secret
    "#);
}

#[test]
fn a_strange_name_of_a_variable_makes_no_second_line() {
    let variables = [
        ("TIDEGATE_SERVER__LISTEN\nTIDEGATE_STORE__URL", "x"),
        ("TIDEGATE_INTEGRATION__0__\u{1b}[2J", "x"),
    ];
    let report = report(&with(""), &variables);
    assert_eq!(report.lines().count(), 3, "{report}");
    assert!(
        report.contains("TIDEGATE_SERVER__LISTEN\\nTIDEGATE_STORE__URL: ")
            && !report.contains('\u{1b}'),
        "{report}"
    );
}
