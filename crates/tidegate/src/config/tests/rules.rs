//! Each rule on its own.

use std::time::Duration;

use super::super::operators_address;
use super::super::values::{duration, shown, size};
use super::{CONNECTOR, INTEGRATION, complaint, load, report, with};

#[test]
fn durations_are_numbers_with_units() {
    let millis = |text| duration(text).map(|duration| duration.as_millis());
    let good = [
        ("500ms", 500),
        ("30s", 30_000),
        ("5m", 300_000),
        ("1h", 3_600_000),
        ("30d", 2_592_000_000),
    ];
    for (text, expected) in
        good.into_iter().chain([("1m30s", 90_000), (" 1h 5ms ", 3_600_005), ("0s", 0)])
    {
        assert_eq!(millis(text), Some(expected), "{text}");
    }
    let overflow = format!("{}d", u64::MAX);
    for text in [
        "",
        "30",
        "s",
        "30x",
        "1.5s",
        "-1s",
        "+1s",
        "1m30",
        "1S",
        "30 s",
        "1s,2s",
        "٣s",
        overflow.as_str(),
    ] {
        assert_eq!(millis(text), None, "{text}");
    }
    for text in ["1ms", "1500ms", "90s", "25h", "7d"] {
        assert_eq!(shown(duration(text).unwrap()), text);
    }
    assert_eq!(shown(Duration::from_hours(1)), "1h");
}

#[test]
fn sizes_are_numbers_of_bytes_or_of_units() {
    let good = [
        ("1MiB", 1 << 20),
        ("512KiB", 512 << 10),
        ("64kB", 64_000),
        ("1000", 1000),
        ("2 MB", 2_000_000),
    ];
    for (text, expected) in good {
        assert_eq!(size(text), Some(expected), "{text}");
    }
    for text in ["", "MiB", "1mib", "1.5MiB", "-1", "1 banana", "99999999999GiB"] {
        assert_eq!(size(text), None, "{text}");
    }
    assert_eq!(
        load(&format!("[server]\nmax_body = 2048{}", with("")), &[]).unwrap().server.max_body,
        2_048
    );
}

/// The complaint about a file that has `line` in `[section]`.
fn in_section(section: &str, line: &str) -> String {
    complaint(&with(&format!("[{section}]\n{line}")))
}

#[test]
fn values_out_of_range_name_the_limit() {
    let cases = [
        (
            "integration.hold",
            "for = \"0s\"",
            "integration[0].hold.for: \"0s\" is too small: the minimum is 1ms",
        ),
        (
            "integration.hold",
            "for = \"2d\"",
            "integration[0].hold.for: \"2d\" is too large: the maximum is 1d",
        ),
        (
            "integration.hold",
            "max_messages = 0",
            "integration[0].hold.max_messages: 0 is too small: the minimum is 1",
        ),
        (
            "integration.hold",
            "max_messages = -1",
            "integration[0].hold.max_messages: -1 is not a whole number of 1 to 10000",
        ),
        (
            "server",
            "max_body = \"1GiB\"",
            "server.max_body: \"1GiB\" is too large: the maximum is 67108864 bytes",
        ),
        (
            "integration.delivery",
            "retry_max = \"10ms\"",
            "integration[0].delivery.retry_max: retry_initial (500ms) is longer than retry_max (10ms): the pauses \
             grow from the first to the second",
        ),
    ];
    for (section, line, expected) in cases {
        assert_eq!(in_section(section, line), expected);
    }
}

#[test]
fn wrong_types_name_the_right_one() {
    let cases = [
        (
            "integration.hold",
            "for = 30",
            "integration[0].hold.for: 30 is not a duration: write for example \"30s\", \"500ms\", \
             \"5m\" or \"1h\"",
        ),
        (
            "integration.hold",
            "for = [1]",
            "integration[0].hold.for: must be a duration, not a list: write for example \"30s\", \"500ms\", \"5m\" or \
             \"1h\"",
        ),
        (
            "integration.hold",
            "max_messages = \"3\"",
            "integration[0].hold.max_messages: must be a number without quotes, not a text",
        ),
        (
            "integration.hold",
            "max_messages = 1.5",
            "integration[0].hold.max_messages: must be a number without quotes, not a decimal \
             number",
        ),
        (
            "integration.hold",
            "start = true",
            "integration[0].hold.start: must be a text in quotes, not true or false",
        ),
        (
            "integration.agent_notice",
            "on = \"held\"",
            "integration[0].agent_notice.on: must be a list in brackets, [ … ], not a text",
        ),
        ("server", "listen = \"\"", "server.listen: is empty"),
        (
            "store",
            "retention = 1979-05-27",
            "store.retention: must be a duration, not a date: write for example \"30s\", \
             \"500ms\", \"5m\" or \"1h\"",
        ),
    ];
    for (section, line, expected) in cases {
        assert_eq!(in_section(section, line), expected);
    }
}

#[test]
fn tables_in_the_wrong_shape_name_the_right_one() {
    assert_eq!(
        complaint(&format!("server = 3\n{}", with(""))),
        "server: must be a table, not a number: write [server]"
    );
    assert_eq!(
        complaint(&format!("[[server]]\nlisten = \"x\"\n{}", with(""))),
        "server: must be one table: write [server], with single brackets"
    );
    assert_eq!(
        complaint(&with("").replace("[[integration]]", "[integration]")),
        "integration: must be a list of tables: write [[integration]], with two brackets"
    );
    assert_eq!(
        complaint(&format!("{INTEGRATION}hold = 3\n{CONNECTOR}")),
        "integration[0].hold: must be a table, not a number: write [integration.hold]"
    );
}

#[test]
fn unknown_keys_name_the_nearest_or_their_own_section_or_all() {
    let cases = [
        ("server", "listne = 1", "server.listne: there is no such key; did you mean \"listen\"?"),
        (
            "integration.hold",
            "retry_max = \"1s\"",
            "integration[0].hold.retry_max: there is no such key here; it belongs to its own section, as \
             integration.delivery.retry_max",
        ),
        (
            "store",
            "colour = 1",
            "store.colour: there is no such key; the keys here are retention, takeover, url",
        ),
        (
            "store",
            "\"a b\" = 1",
            "store.\"a b\": there is no such key; the keys here are retention, takeover, url",
        ),
        ("sever", "listen = \"x\"", "sever: there is no such key; did you mean \"server\"?"),
    ];
    for (section, line, expected) in cases {
        assert_eq!(in_section(section, line), expected);
    }
}

#[test]
fn names_fit_into_urls_and_are_different() {
    for name in ["acme", "a", "0-x_y", &"x".repeat(63)] {
        assert!(load(&with("").replace("\"acme\"", &format!("{name:?}")), &[]).is_ok(), "{name}");
    }
    for name in ["Acme", "-a", "_a", "a b", "a/b", "ä", "a.b", &"x".repeat(64)] {
        let complaint = complaint(&with("").replace("\"acme\"", &format!("{name:?}")));
        assert!(complaint.contains("does not fit into URLs"), "{complaint}");
    }
    assert_eq!(
        complaint(&with(&with(""))),
        "integration[1].name: integration[0] is called \"acme\" too: give each a name of its own"
    );
}

#[test]
fn there_is_at_least_one_integration_with_its_keys() {
    assert_eq!(
        report("", &[]),
        "tidegate.toml: integration: is missing: write for example [[integration]] with name, \
         region and so on"
    );
    assert_eq!(
        complaint("integration = []"),
        "integration: is empty: write at least one [[integration]]"
    );
    insta::assert_snapshot!(report("\n[[integration]]\n[integration.connector]", &[]), @r#"
    8 things are wrong with the configuration:
    tidegate.toml:2: integration[0].name: is missing: write for example name = "acme"
    tidegate.toml:2: integration[0].region: is missing: write for example region = "mypurecloud.com", or api_url and login_url
    tidegate.toml:2: integration[0].integration_id: is missing: write for example integration_id = "b3f0…", as Genesys shows it
    tidegate.toml:2: integration[0].clients: is missing: write for example clients = [{ id = "…", secret = { env = "NAME" } }]
    tidegate.toml:2: integration[0].webhook_secret: is missing: write for example webhook_secret = { env = "NAME" }
    tidegate.toml:3: integration[0].connector.type: is missing: write for example type = "http"
    tidegate.toml:3: integration[0].connector.url: is missing: write for example url = "http://127.0.0.1:9000"
    tidegate.toml:3: integration[0].connector.secret: is missing: write for example secret = { env = "NAME" }
    "#);
    assert_eq!(
        complaint(INTEGRATION),
        "integration[0].connector: is missing: write for example [integration.connector] with \
         type, url and secret"
    );
}

#[test]
fn an_org_is_named_by_its_region_or_by_two_urls() {
    let with_hosts = |lines: &str| with("").replace("region = \"mypurecloud.com\"", lines);
    let hosts = |lines: &str| load(&with_hosts(lines), &[]).unwrap().integrations.remove(0).hosts;
    assert_eq!(hosts("region = \"eu-central-1\"").api.as_str(), "https://api.mypurecloud.de/");
    let both = hosts("api_url = \"http://127.0.0.1:1\"\nlogin_url = \"http://127.0.0.1:2/x\"");
    assert_eq!(
        (both.api.as_str(), both.login.as_str()),
        ("http://127.0.0.1:1/", "http://127.0.0.1:2/x")
    );
    // The whole URL of a call, as Genesys's documentation writes it.
    for (login, base) in [
        ("https://login.x/oauth/token", "https://login.x/"),
        ("https://login.x/oauth/token/", "https://login.x/"),
        ("https://gw.x/genesys/oauth/token", "https://gw.x/genesys"),
        ("https://login.x/oauth", "https://login.x/oauth"),
    ] {
        let hosts = hosts(&format!("api_url = \"https://api.x/api/v2\"\nlogin_url = \"{login}\""));
        assert_eq!((hosts.api.as_str(), hosts.login.as_str()), ("https://api.x/", base));
    }

    let cases = [
        (
            "",
            "integration[0].region: is missing: write for example region = \"mypurecloud.com\", \
             or api_url and login_url",
        ),
        (
            "api_url = \"http://a\"",
            "integration[0].login_url: is missing: api_url and login_url go together, or write \
             region instead of both",
        ),
        (
            "login_url = \"http://a\"",
            "integration[0].api_url: is missing: api_url and login_url go together, or write \
             region instead of both",
        ),
        (
            "region = \"mypurecloud.de\"\napi_url = \"http://a\"",
            "integration[0].region: is given beside api_url or login_url: keep the region, or the \
             two URLs",
        ),
        (
            "region = \"mypurecloud.ed\"",
            "integration[0].region: \"mypurecloud.ed\" is not a region of Genesys Cloud; did you \
             mean \"mypurecloud.de\"?",
        ),
        (
            "region = \"eu-west-9\"",
            "integration[0].region: \"eu-west-9\" is not a region of Genesys Cloud; did you mean \
             \"eu-west-1\"?",
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(complaint(&with_hosts(lines)), expected);
    }
    assert!(
        complaint(&with_hosts("region = \"mars\""))
            .contains("write one of mypurecloud.com, use2.us-gov-pure.cloud")
    );
}

#[test]
fn urls_are_bases_without_passwords_and_are_not_repeated() {
    for (url, expected) in [
        (
            "gateway.example.com",
            "is not a URL (relative URL without a base): write for example \
             \"https://gateway.example.com\"",
        ),
        (
            "ftp://hunter2",
            "is not a URL of http or https: write for example \"https://gateway.example.com\"",
        ),
        ("https://a:hunter2@b", "has a user or a password in it: leave them out"),
        (
            "https://a/?t=hunter2",
            "has a '?' or a '#' in it: paths are added to it, so write for example \
             \"https://gateway.example.com\"",
        ),
    ] {
        assert_eq!(
            in_section("server", &format!("public_url = {url:?}")),
            format!("server.public_url: {expected}")
        );
    }
    for url in [
        "sqlite:",
        "mysql://hunter2@b/c",
        "tidegate.db",
        "postgres:x",
        "postgres://hunter2@host:one/x",
    ] {
        assert_eq!(
            in_section("store", &format!("url = {url:?}")),
            "store.url: is not a store's URL: write \"sqlite:tidegate.db\" or \
             \"postgres://user@host/database\""
        );
    }
    let complaint = complaint(&with("").replace("http://127.0.0.1:9000", "localhost:9000"));
    assert_eq!(
        complaint,
        "integration[0].connector.url: a connector's url is an http or https URL without a fragment, such as \
         \"http://127.0.0.1:9000\""
    );
}

#[test]
fn files_need_a_store_that_others_can_reach() {
    for (lines, complaint) in [
        (
            "url = \"ftp://hunter2\"",
            "media.url: is not a store for files: write \"file:media\" or \"s3://bucket/prefix\"",
        ),
        (
            "max_size = \"1MiB\"",
            "media.max_size: has no effect without media.url: add url = \"file:media\"",
        ),
        (
            "url = \"file:media\"\nallow = [\"files.internal\"]",
            "media.allow[0]: is not an address: write for example \"10.1.2.3\", \"10.1.0.0/16\" or \
             \"127.0.0.1:8090\"; a name is not allowed, because its owner decides where it points",
        ),
        (
            "url = \"file:media\"\nallow = [\"10.1.2.3:0\"]",
            "media.allow[0]: names port 0, at which no server listens: name the server's port, or \
             leave the port out to allow all",
        ),
    ] {
        assert_eq!(in_section("media", lines), complaint);
    }
    let public = "[server]\nlisten = \"0.0.0.0:8080\"\n[media]\nurl = \"file:media\"\n";
    assert_eq!(
        complaint(&with(public)),
        "media.url: needs server.public_url: links to files begin with it"
    );
}

#[test]
fn another_connector_is_not_known_and_its_keys_are_not_judged() {
    let table = "[integration.connector]\ntype = \"matrix\"\nhomeserver = \"x\"";
    assert_eq!(
        complaint(&format!("{INTEGRATION}{table}")),
        "integration[0].connector.type: \"matrix\" is not a connector of this version, which knows \
         only \"http\" and \"websocket\""
    );
}

#[test]
fn long_values_are_cut_in_the_report() {
    let complaint = in_section("integration.hold", &format!("for = \"{}\"", "ž".repeat(5_000)));
    assert!(complaint.len() < 300 && complaint.contains("ž\"… is not a duration"), "{complaint}");
}

#[test]
fn the_address_for_operators_needs_no_secret_and_no_integration() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tidegate.toml");
    let address = |text: &str, variables: &[(&str, &str)]| {
        std::fs::write(&path, text).unwrap();
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        operators_address(&path, variables).map_err(|errors| errors.to_string())
    };
    let found = |address: &str| Ok(address.parse().unwrap());
    assert_eq!(address("", &[]), found("127.0.0.1:8080"));
    assert_eq!(address("[server]\nlisten = \"[::1]:81\"", &[]), found("[::1]:81"));
    let admin = "[admin]\nlisten = \"127.0.0.1:9090\"\n[[integration]]\nname = \"acme\"\n";
    assert_eq!(address(admin, &[]), found("127.0.0.1:9090"));
    let listen = [("TIDEGATE_ADMIN__LISTEN", "127.0.0.1:9191")];
    assert_eq!(address(admin, &listen), found("127.0.0.1:9191"));
    for wrong in ["[server]\nlisten = \"localhost\"", "[server", "[admin]\nlisten = 1"] {
        let report = address(wrong, &[]).unwrap_err();
        assert!(report.contains("tidegate.toml"), "{wrong}: {report}");
    }
}
