//! Secrets are read from each source, and are never repeated.

use std::path::Path;

use super::super::Config;
use super::{CONNECTOR, HASH, INTEGRATION, complaint, load, report, with};

/// The minimal file, with this as `webhook_secret`.
fn webhook(secret: &str) -> String {
    with("").replace("\"hunter2-webhook-secret\"", secret)
}

#[test]
fn from_a_variable() {
    let text = webhook("{ env = \"ACME\" }");
    let config = load(&text, &[("ACME", "0123456789abcdef")]).unwrap();
    assert_eq!(config.integrations[0].webhook_secrets, ["0123456789abcdef".into()]);
    for (given, secret) in [
        ("0123456789abcdef\n", "0123456789abcdef"),
        ("0123456789abcdef\r\n", "0123456789abcdef"),
        ("0123456789abcdef\n\n", "0123456789abcdef\n"),
    ] {
        for variable in ["ACME", "TIDEGATE_INTEGRATION__0__WEBHOOK_SECRET"] {
            let given = [("ACME", "another-secret-of-acme"), (variable, given)];
            let config = load(&text, &given).unwrap();
            assert_eq!(
                config.integrations[0].webhook_secrets[0].expose(),
                secret,
                "{variable}: {given:?}"
            );
        }
    }
    assert_eq!(
        report(&text, &[]),
        "tidegate.toml:7: integration[0].webhook_secret.env: the environment variable ACME is not set: set it, or name \
         another"
    );
    let empty = report(&text, &[("ACME", "  ")]);
    assert_eq!(empty, "tidegate.toml:7: integration[0].webhook_secret: the secret is empty");
}

#[test]
fn from_a_file_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.toml");
    let read = || Config::load(&path, std::iter::empty());
    std::fs::write(&path, webhook("{ file = \"secrets/acme\" }")).unwrap();
    let missing = read().unwrap_err().to_string();
    assert!(missing.contains(":7: integration[0].webhook_secret.file: the file "), "{missing}");
    assert!(missing.contains("secrets/acme cannot be read (No such file"), "{missing}");

    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    for (kept, secret) in [
        ("0123456789abcdef\n", "0123456789abcdef"),
        ("0123456789abcdef\r\n", "0123456789abcdef"),
        ("0123456789abcdef\n\n", "0123456789abcdef\n"),
    ] {
        std::fs::write(folder.path().join("secrets/acme"), kept).unwrap();
        assert_eq!(read().unwrap().integrations[0].webhook_secrets[0].expose(), secret);
    }
    for bad in [&b"\xff\xfe0123456789abcdef"[..], &vec![b'x'; 70_000]] {
        std::fs::write(folder.path().join("secrets/acme"), bad).unwrap();
        assert!(read().unwrap_err().to_string().contains("cannot be read"));
    }
}

#[test]
fn from_exactly_one_place() {
    let says = |secret: &str| complaint(&webhook(secret));
    let ways = "write it as a text, or as { env = \"NAME\" } or { file = \"PATH\" }";
    assert_eq!(
        says("{ env = \"A\", file = \"b\" }"),
        "integration[0].webhook_secret: has both env and file: keep one of the two"
    );
    assert_eq!(
        says("{}"),
        format!("integration[0].webhook_secret: has neither env nor file: {ways}")
    );
    assert_eq!(
        says("3"),
        format!("integration[0].webhook_secret: must be a secret, not a number: {ways}")
    );
    assert!(says("{ env = 3 }").contains("webhook_secret.env: must be a text in quotes"));
}

#[test]
fn two_while_they_are_rotated() {
    let text = webhook("[\"0123456789abcdef\", { env = \"NEW\" }]");
    let config = load(&text, &[("NEW", "fedcba9876543210")]).unwrap();
    assert_eq!(config.integrations[0].webhook_secrets.len(), 2);
    for (list, count) in
        [("[]", 0), ("[\"0123456789abcdef\", \"0123456789abcdef\", \"0123456789abcdef\"]", 3)]
    {
        assert_eq!(
            complaint(&webhook(list)),
            format!(
                "integration[0].webhook_secret: the list has {count} secrets: write one, or two while you change from \
                 one to the other"
            )
        );
    }
    let both = "secret = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\", { env = \"C\" }]";
    let text = format!(
        "{INTEGRATION}{}",
        CONNECTOR.replace("secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"", both)
    );
    assert!(load(&text, &[("C", "whsec_AfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]).is_ok());
    assert!(
        report(&text, &[("C", "hunter2")])
            .contains("connector.secret[1]: a connector's secret begins with `whsec_`")
    );
}

#[test]
fn those_of_genesys_have_sixteen_characters() {
    assert!(load(&webhook("\"šestnáct-znaků-1\""), &[]).is_ok());
    assert_eq!(
        complaint(&webhook("\"fifteen-letters\"")),
        "integration[0].webhook_secret: the secret has 15 characters, and Genesys requires at least 16: `openssl rand \
         -hex 32` makes one"
    );
}

#[test]
fn a_password_has_a_whole_hash_and_its_user_a_name_that_can_be_shown() {
    let user = |name: &str, hash: &str| {
        let user = format!("name = \"{name}\", password_hash = \"{hash}\", role = \"viewer\"");
        format!("[console]\nusers = [{{ {user} }}]\n{}", with(""))
    };
    assert!(load(&user("ops", HASH), &[]).is_ok());
    let (without_hash, _) = HASH.rsplit_once('$').unwrap();
    for damaged in [
        without_hash,
        "$argon2id$x",
        &HASH.replace("argon2id", "argon2x"),
        &HASH.replace("m=4096", "m=1"),
        "open sesame",
    ] {
        assert_eq!(
            complaint(&user("ops", damaged)),
            "console.users[0].password_hash: is not the whole hash of a password, which begins \
             with `$argon2id$`: `tidegate hash-password` makes one",
            "{damaged}"
        );
    }
    for name in ["o".repeat(65), "o\\u0007".to_owned()] {
        assert_eq!(
            complaint(&user(&name, HASH)),
            "console.users[0].name: has more than 64 characters, or a control character"
        );
    }
}

#[test]
fn none_is_ever_shown() {
    let hash = HASH.replace("1GZH1eJNWh7taYqYDLskmA", "hunter2hunter2xx");
    let user = format!("name = \"ops\", password_hash = \"{hash}\", role = \"viewer\"");
    let url = "postgres://user:hunter2@host/db";
    let good = format!("[store]\nurl = \"{url}\"\n[console]\nusers = [{{ {user} }}]\n");
    let config = load(&format!("{good}{}", with("")), &[]).unwrap();
    assert!(
        !format!("{config:?}").contains("hunter2") && !format!("{config:?}").contains("MfKQ9r8G")
    );

    // The report does not repeat a secret that was written in the wrong place.
    for broken in [
        webhook("{ env = \"hunter2 hunter2\" }"),
        webhook("{ env = \"hunter2/hunter2\", fil = 1 }"),
        webhook("\"hunter2\""),
        webhook("[\"hunter2\", \"hunter2\", \"hunter2\"]"),
        webhook("{ value = \"hunter2hunter2hunter2\" }"),
        webhook("\"hunter2\nhunter = 2hunter2\nhunter\""),
        webhook("\"hunter2"),
        webhook("hunter2"),
        webhook("'''\nhunter2\n"),
        webhook("\"\"\"\nhunter2=\\q\n\"\"\""),
        with("").replace("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "hunter2"),
        with("").replace("webhook_secret", "webhook_secrt"),
        with("").replace("http://127.0.0.1", "http//x:hunter2@h"),
        format!(
            "[console]\nusers = [{{ name = \"ops\", password_hash = \"hunter2\", role = \
             \"viewer\" }}]\n{}",
            with("")
        ),
    ] {
        let report = report(&broken, &[]);
        assert!(!report.contains("hunter"), "{report}");
    }
    let variables = [
        ("TIDEGATE_INTEGRATION__0__WEBHOOK_SECRET", "hunter2"),
        ("TIDEGATE_INTEGRATION__0__WEBHOOK_SECRET__ENV", "hunter2"),
        ("TIDEGATE_INTEGRATION__0__WEBHOOK_SECRT", "hunter2"),
        ("TIDEGATE_INTEGRATION__0__CLIENTS", "hunter2"),
        ("TIDEGATE_INTEGRATION__0__CONNECTOR__SECRET", "hunter2"),
    ];
    let report = report(&with(""), &variables);
    assert!(!report.contains("hunter") && report.lines().count() == 6, "{report}");
}

#[test]
fn absolute_paths_are_taken_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef").unwrap();
    let text = webhook(&format!("{{ file = {:?} }}", secret.display().to_string()));
    assert!(Config::parse("t", Path::new("/nowhere"), &text, std::iter::empty()).is_ok());
}
