//! `tidegate check`: a line for each thing that the gateway relies on, and what to do if one is
//! wrong.

use std::path::Path;

use super::{ended, redacted};
use crate::support::{CONNECTOR_SECRET, Loop, WEBHOOK_SECRET, free_port, tidegate};

const QUICK: &[&str] = &["--handshake", "0"];

/// Checks the loop's configuration, with some things in it replaced.
fn check(all: &Loop, changes: &[(&str, &str)]) -> (i32, String, String) {
    let (running, other) =
        (all.dir.path().join("tidegate.toml"), all.dir.path().join("check.toml"));
    let mut text = std::fs::read_to_string(running).expect("a configuration");
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    std::fs::write(&other, text).expect("a configuration");
    let mut command = tidegate();
    command.args(["check", "--config"]).arg(&other);
    let (code, out, errors) = ended(command);
    for secret in [WEBHOOK_SECRET, CONNECTOR_SECRET, "sandbox-secret"] {
        assert!(!out.contains(secret) && !errors.contains(secret), "{out}{errors}");
    }
    (code, shown(&out, all.dir.path()), shown(&errors, all.dir.path()))
}

/// The text without what differs from run to run, such as ids.
fn shown(text: &str, dir: &Path) -> String {
    let words = redacted(text, dir);
    let word = |word: &str| {
        let bare = word.trim_end_matches([':', ')']);
        let is_id = bare.len() == 36 && bare.matches('-').count() == 4;
        if is_id { word.replace(bare, "[id]") } else { word.to_owned() }
    };
    let lines = words.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

/// The one check that failed, with what to do; the exit code is 1 and the report counts it.
fn only_failure(all: &Loop, changes: &[(&str, &str)]) -> String {
    let (code, out, errors) = check(all, changes);
    assert_eq!(code, 1, "{out}{errors}");
    assert!(
        errors.starts_with("tidegate: 1 of ") && errors.ends_with(" checks failed"),
        "{out}{errors}"
    );
    let lines: Vec<_> = out.lines().collect();
    let failed = lines.iter().position(|line| line.starts_with("FAIL  ")).expect("it is shown");
    assert!(lines[failed + 1].starts_with("      "), "what to do: {out}");
    assert!(lines.iter().all(|line| line.starts_with("ok    ")
        || *line == lines[failed]
        || *line == lines[failed + 1]));
    format!("{}\n{}", lines[failed], lines[failed + 1])
}

#[tokio::test]
async fn a_setup_that_is_right_passes_while_the_gateway_runs() {
    let all = Loop::start("", QUICK).await;
    let (code, out, errors) = check(&all, &[]);
    assert_eq!((code, errors.as_str()), (0, ""), "{out}");
    insta::assert_snapshot!(out, @"
    ok    configuration: [dir]/check.toml is valid
    ok    store: sqlite:[dir]/tidegate.db can be read
    ok    acme: token of client sandbox-client at http://[address]/: granted
    ok    acme: integration [id] at http://[address]/: is there
    ok    acme: webhook: http://[address]/genesys/acme
    ok    acme: webhook secret: is the same on both sides
    ok    acme: chat service at http://[address]/: answers 200
    all 7 checks passed
    ");
}

#[tokio::test]
async fn each_thing_that_is_wrong_at_genesys_is_a_line_with_what_to_do() {
    let all = Loop::start("", QUICK).await;
    insta::assert_snapshot!(only_failure(&all, &[("\"sandbox-secret\"", "\"another-secret\"")]), @"
    FAIL  acme: token of client sandbox-client at http://[address]/: unauthorized: the token endpoint refuses the credentials (status 401, invalid_client)
          compare id and secret in `clients` with the OAuth client at Genesys
    ");
    insta::assert_snapshot!(only_failure(&all, &[("public_url = \"http://127", "public_url = \"http://gateway.example/tide\" # ")]), @"
    FAIL  acme: webhook: Genesys calls http://[address]/genesys/acme, and this gateway answers at http://gateway.example/tide/genesys/acme
          set the integration's outbound notification webhook URL to http://gateway.example/tide/genesys/acme
    ");
    let (code, out, _) = check(&all, &[("public_url = ", "# public_url = ")]);
    let end = "/genesys/acme; set server.public_url to have all of it compared";
    assert!(
        code == 0 && out.contains("ok    acme: webhook: Genesys calls ") && out.contains(end),
        "{out}"
    );
    // Without `public_url`, the name can still be compared.
    let other = [("public_url = ", "# public_url = "), ("name = \"acme\"", "name = \"acne\"")];
    insta::assert_snapshot!(only_failure(&all, &other), @"
    FAIL  acne: webhook: Genesys calls http://[address]/genesys/acme, which does not end with /genesys/acne
          set the integration's outbound notification webhook URL to this gateway's, with the path /genesys/acne
    ");
    insta::assert_snapshot!(only_failure(&all, &[(WEBHOOK_SECRET, "the-secret-of-somebody-else")]), @"
    FAIL  acme: webhook secret: Genesys signs with another secret
          webhook_secret must be the integration's signature secret token
    ");
    insta::assert_snapshot!(only_failure(&all, &[("integration_id = ", "integration_id = \"00000000-0000-4000-8000-000000000000\" # ")]), @"
    FAIL  acme: integration [id] at http://[address]/: refused (status 404, code not.found, contextId [id])
          integration_id must be the id that Genesys shows, and the OAuth client's role needs messaging:integration:view
    ");
}

#[tokio::test]
async fn a_store_that_cannot_be_used_is_a_line_with_what_to_do() {
    let all = Loop::start("", QUICK).await;
    insta::assert_snapshot!(only_failure(&all, &[("/tidegate.db", "/nowhere/tidegate.db")]), @"
    FAIL  store: there is no folder [dir]/nowhere
          create it, or change store.url
    ");
    insta::assert_snapshot!(only_failure(&all, &[("/tidegate.db", "/tidegate.toml")]), @"
    FAIL  store: cannot open [dir]/tidegate.toml: file is not a database
          change store.url, or move the file away
    ");
    let (code, out, _) = check(&all, &[("/tidegate.db", "/new.db")]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("new.db will be created") && !all.dir.path().join("new.db").exists(),
        "{out}"
    );
}

#[tokio::test]
async fn a_chat_service_that_is_down_or_has_another_secret_is_a_line_with_what_to_do() {
    let all = Loop::start("", QUICK).await;
    let other = "whsec_c29tZWJvZHktZWxzZXMtc2VjcmV0LWFsdG9nZXRoZXI=";
    insta::assert_snapshot!(only_failure(&all, &[(CONNECTOR_SECRET, other)]), @"
    FAIL  acme: chat service at http://[address]/: it answers 401: it does not accept the gateway's signature; compare the secrets and the clocks
          set integration.connector.secret to the secret that the chat service has, and compare the two clocks
    ");
    let nobody = format!("http://127.0.0.1:{}", free_port());
    insta::assert_snapshot!(only_failure(&all, &[(&all.chat.url, &nobody)]), @"
    FAIL  acme: chat service at http://[address]/: the chat service cannot be reached: Connection refused (os error 111)
          start the chat service, or correct integration.connector.url
    ");
}

/// A service that answers below 500 but is not a connector: the address is wrong.
#[tokio::test]
async fn what_is_no_connector_does_not_pass_for_one() {
    let all = Loop::start("", QUICK).await;
    let (chat, gateway, sandbox) = (&all.chat.url, &all.gateway.url, &all.sandbox.url);
    for path in ["", "/healthz", "/nowhere", "/genesys/acme", "/connectors/acme/events"] {
        let itself = format!("{gateway}{path}");
        let failure = only_failure(&all, &[(chat, &itself)]);
        let says = "a Tidegate gateway answers there, not a connector; the address must be the chat service's";
        assert!(failure.contains(says), "{path}: {failure}");
    }
    insta::assert_snapshot!(only_failure(&all, &[(chat, &format!("{sandbox}/desktop"))]), @"
    FAIL  acme: chat service at http://[address]/desktop: it answers 200 with a web page: a web server or a proxy listens there, not a connector
          correct host, port and path of integration.connector.url
    ");
    insta::assert_snapshot!(only_failure(&all, &[(chat, &format!("{chat}/nowhere"))]), @"
    FAIL  acme: chat service at http://[address]/nowhere: it answers 404: nothing is served there; a connector answers a signed GET of its address
          correct host, port and path of integration.connector.url, or let the connector answer 200 there
    ");
}

#[tokio::test]
async fn a_name_that_differs_from_the_one_that_genesys_calls_is_told_from_a_wrong_address() {
    let all = Loop::start("", QUICK).await;
    insta::assert_snapshot!(only_failure(&all, &[("name = \"acme\"", "name = \"acne\"")]), @"
    FAIL  acne: webhook: Genesys calls http://[address]/genesys/acme, and this gateway answers at http://[address]/genesys/acne
          set `name` of this [[integration]] to \"acme\", or the integration's outbound notification webhook URL to http://[address]/genesys/acne
    ");
}

#[tokio::test]
async fn genesys_that_is_down_is_a_line_with_what_to_do() {
    let all = Loop::start("", QUICK).await;
    let nobody = format!("http://127.0.0.1:{}", free_port());
    // For tokens and for everything else.
    let changes = [(all.sandbox.url.as_str(), nobody.as_str()); 2];
    insta::assert_snapshot!(only_failure(&all, &changes), @"
    FAIL  acme: token of client sandbox-client at http://[address]/: the call did not leave: no token: Connection refused (os error 111)
          is the region right, and can this machine reach it?
    ");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_ends_with_2() {
    let all = Loop::start("", QUICK).await;
    let (code, out, errors) = check(&all, &[("[store]", "[stoer]")]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(errors.contains("did you mean \"store\"?"), "{errors}");
}
