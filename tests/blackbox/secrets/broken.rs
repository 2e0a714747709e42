//! Wrong configurations and options, with a secret near the error.

use super::{LOUDEST, Told};
use crate::support::{CONNECTOR_SECRET, Gateway, WEBHOOK_SECRET};

const SECRET: &str = "planted-in-a-wrong-place";

#[test]
fn what_is_wrong_in_a_configuration_is_told_without_the_secret_beside_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let nobody = "http://127.0.0.1:1";
    let file = Gateway::configure(dir.path(), 1, nobody, "b3f0", nobody, "");
    let whole = std::fs::read_to_string(&file).expect("a configuration");
    let store =
        whole.lines().find(|line| line.starts_with("url = \"sqlite:")).expect("a line").to_owned();
    let mut told = Told::default();
    for (from, to) in [
        (WEBHOOK_SECRET, "short".to_owned()),
        ("webhook_secret", "webhook_secrte".to_owned()),
        ("webhook_secret = \"", format!("webhook_secret = \"{SECRET}\n")),
        ("webhook_secret = \"", format!("webhook_secret = {SECRET}\"")),
        ("secret = \"sandbox-secret\"", format!("secret = [\"{SECRET}\"]")),
        ("secret = \"sandbox-secret\"", format!("secret = \"{SECRET}\", scret = \"{SECRET}\"")),
        ("secret = \"sandbox-secret\"", format!("secret = {{ env = \"{SECRET}\" }}")),
        ("secret = \"whsec_", format!("secret = \"{SECRET}")),
        ("http://127.0.0.1:1\"\nsecret", format!("ftp://user:{SECRET}@127.0.0.1:1\"\nsecret")),
        (&store, format!("url = \"mysql://user:{SECRET}@127.0.0.1/db\"")),
        (&store, format!("url = \"postgres://user:{SECRET}@127.0.0.1:port/db\"")),
        (&store, format!("url = \"postgres://user:{SECRET}@127.0.0.1:1/db?sslmode=perhaps\"")),
        (&store, format!("url = \"postgres://user:{SECRET}@127.0.0.1:1/db?connect_timeout=1\"")),
        (&store, format!("url = \"postgres://127.0.0.1:1/db?user=u&password={SECRET}\"")),
    ] {
        assert!(whole.contains(from), "{from}");
        std::fs::write(&file, whole.replacen(from, &to, 1)).expect("a configuration");
        for command in ["serve", "check"] {
            let code = told.command(&[command, "--config"], Some(&file), LOUDEST);
            assert!(code == Some(2) || code == Some(1), "{to} is wrong: {code:?}");
        }
    }
    told.lacks(
        &[SECRET, WEBHOOK_SECRET, &CONNECTOR_SECRET[6..], "sandbox-secret"].map(str::to_owned),
    );
}

#[test]
fn the_url_of_a_store_that_cannot_be_used_is_not_repeated() {
    let mut told = Told::default();
    for url in [
        format!("postgres://user:{SECRET}@127.0.0.1:1/db"),
        format!("postgresql://user:{SECRET}@127.0.0.1:1/db?connect_timeout=1"),
        format!("postgres://user:{SECRET}@no-such-host.invalid/db"),
        format!("postgres://user:{SECRET}@127.0.0.1:port/db"),
        format!("postgre://user:{SECRET}@127.0.0.1/db"),
        format!("mysql://user:{SECRET}@127.0.0.1/db"),
        format!("host=127.0.0.1 user=u password={SECRET}"),
    ] {
        told.command(&["audit", "--store", &url], None, LOUDEST);
        told.command(&["store", "migrate", "--store", &url], None, LOUDEST);
        told.command(&["store", "compact", "--store", &url], None, LOUDEST);
        told.command(
            &["store", "copy", "--from", &url, "--to", "sqlite:nowhere/to.db"],
            None,
            LOUDEST,
        );
        told.command(&["demo", "--script", "--store", &url], None, LOUDEST);
    }
    assert!(
        told.0.iter().all(|(place, bytes)| !place.starts_with("the errors") || !bytes.is_empty()),
        "each says why"
    );
    // The command lines are in the names of the sources, but must not be in the output.
    told.lacks(&[SECRET.to_owned()]);
}
