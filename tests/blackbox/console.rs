//! The operators' console: who may see it, and for how long. `browser::` shows its pages.

use std::io::Write;
use std::process::Stdio;

use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use tempfile::TempDir;

use crate::browser;
use crate::support::{Gateway, free_port, tidegate};

const UNREACHABLE: &str = "http://127.0.0.1:1";
pub(crate) const PASSWORD: &str = "open sesame";
/// Made by Python's `argon2-cffi`: `PasswordHasher(2, 4096, 1).hash("open sesame")`.
pub(crate) const HASH: &str = "$argon2id$v=19$m=4096,t=2,p=1$1GZH1eJNWh7taYqYDLskmA$\
                    LaC9Y15zKPN+Kwe6FMj6f3gVk1IbjpeDWbi1bY8aO+w";

fn users(hash: &str) -> String {
    format!("[[console.users]]\nname = \"ops\"\npassword_hash = \"{hash}\"\nrole = \"viewer\"\n")
}

struct Console {
    gateway: Gateway,
    client: reqwest::Client,
    dir: TempDir,
}

impl Console {
    async fn start(users: &str) -> Self {
        let dir = TempDir::new().expect("a folder");
        let port = free_port();
        let config = Gateway::configure(dir.path(), port, UNREACHABLE, "b3f0", UNREACHABLE, "");
        let text = std::fs::read_to_string(&config).expect("a configuration");
        std::fs::write(&config, format!("{users}{text}")).expect("written");
        let gateway = Gateway::start(&config, port).await;
        let client = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build();
        Self { gateway, client: client.expect("a client"), dir }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self.client.get(format!("{}{path}", self.gateway.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer")
    }

    async fn post(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Response {
        let mut request = self.client.post(format!("{}{path}", self.gateway.url)).form(fields);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer")
    }

    /// Signs in. Returns the cookie.
    async fn sign_in(&self) -> String {
        let fields = [("name", "ops"), ("password", PASSWORD), ("target", "/console/search?id=x")];
        let answer = self.post("/console/sign-in", &fields, &[]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(answer.headers()["location"], "/console/search?id=x");
        let cookie = answer.headers()["set-cookie"].to_str().expect("text").to_owned();
        assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
        cookie.split(';').next().expect("a pair").to_owned()
    }
}

#[tokio::test]
async fn a_user_signs_in_and_out() {
    let console = Console::start(&users(HASH)).await;
    for path in ["/console", "/console/messages/x", "/console/integrations/acme"] {
        let answer = console.get(path, &[]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
        let location = answer.headers()["location"].to_str().expect("text").to_owned();
        assert!(location.starts_with("/console/sign-in?target=%2Fconsole"), "{location}");
    }
    let cookie = console.sign_in().await;
    let page = console.get("/console", &[("cookie", &cookie)]).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.text().await.expect("text").contains("Sign out"));
    let other = cookie.replace(|c: char| c.is_ascii_digit(), "0");
    assert_eq!(
        console.get("/console", &[("cookie", &other)]).await.status(),
        StatusCode::SEE_OTHER
    );
    let out = console.post("/console/sign-out", &[], &[("cookie", &cookie)]).await;
    assert!(out.headers()["set-cookie"].to_str().expect("text").contains("Max-Age=0"));
    let after = console.get("/console", &[("cookie", &cookie)]).await;
    assert_eq!(after.status(), StatusCode::SEE_OTHER, "the cookie is of no use to a thief either");
}

#[tokio::test]
async fn a_session_outlives_a_crash_of_the_gateway() {
    let mut console = Console::start(&users(HASH)).await;
    let cookie = console.sign_in().await;
    console.gateway.process.kill();
    console.gateway.restart().await;
    assert_eq!(console.get("/console", &[("cookie", &cookie)]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn wrong_passwords_and_forms_of_other_sites_are_refused() {
    let console = Console::start(&users(HASH)).await;
    let right = [("name", "ops"), ("password", PASSWORD)];
    for site in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let answer = console.post("/console/sign-in", &right, &[site]).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{site:?}");
        assert!(answer.headers().get("set-cookie").is_none());
    }
    for wrong in [("ops", "open"), ("nobody", PASSWORD), ("", "")] {
        let fields = [("name", wrong.0), ("password", wrong.1)];
        let answer = console.post("/console/sign-in", &fields, &[]).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{wrong:?}");
        assert!(answer.headers().get("set-cookie").is_none());
        let text = answer.text().await.expect("text");
        assert!(text.contains("The name or the password is wrong."), "{text}");
    }
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let fields = [("name", "ops"), ("password", "guess")];
        statuses.push(console.post("/console/sign-in", &fields, &[]).await.status().as_u16());
    }
    assert_eq!(statuses.last(), Some(&429), "tries are limited: {statuses:?}");
    assert!(!console.gateway.process.log().contains("guess"), "no log has a password");
}

/// People type their password into the wrong field.
#[tokio::test]
async fn only_the_names_of_users_are_logged() {
    let console = Console::start(&users(HASH)).await;
    let fields = [("name", PASSWORD), ("password", "")];
    let answer = console.post("/console/sign-in", &fields, &[]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let log = console.gateway.process.log();
    assert!(log.contains("a user could not sign in to the console"), "{log}");
    assert!(log.contains("(unknown)") && !log.contains(PASSWORD), "{log}");
}

#[tokio::test]
async fn a_new_password_ends_the_sessions_of_the_old_one() {
    let mut console = Console::start(&users(HASH)).await;
    let cookie = console.sign_in().await;
    let config = console.dir.path().join("tidegate.toml");
    let text = std::fs::read_to_string(&config).expect("a configuration");
    let changed = text.replace("$argon2id$v=19$m=4096", "$argon2id$v=19$m=4104");
    assert_ne!(text, changed);
    std::fs::write(&config, changed).expect("written");
    console.gateway.process.kill();
    console.gateway.restart().await;
    let after = console.get("/console", &[("cookie", &cookie)]).await;
    assert_eq!(after.status(), StatusCode::SEE_OTHER);
}

/// Browsers treat forms over plain HTTP from other machines in their own way.
#[tokio::test]
async fn a_user_signs_in_with_a_browser_at_another_name() {
    let console = Console::start(&users(HASH)).await;
    let pages = console.gateway.url.replace("127.0.0.1", "gateway.test") + "/console";
    browser::run("sign_in.mjs", ["--console", &pages], || console.gateway.process.log()).await;
}

#[tokio::test]
async fn the_hash_of_a_new_password_is_made_by_a_command() {
    let hash = |password: &str| {
        let mut command = tidegate();
        command.arg("hash-password").stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("it runs");
        process.stdin.take().expect("a pipe").write_all(password.as_bytes()).expect("written");
        process.wait_with_output().expect("it ends")
    };
    let short = hash("sesame\n");
    assert_eq!(short.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&short.stderr).contains("at least 8 characters"));
    let made = hash(&format!("{PASSWORD}\n"));
    assert_eq!(made.status.code(), Some(0));
    let made = String::from_utf8(made.stdout).expect("text");
    Console::start(&users(made.trim())).await.sign_in().await;
}

/// Without users, the console is for callers on this machine, and for no page of another site.
#[tokio::test]
async fn without_users_it_serves_this_machine_by_its_own_name() {
    let console = Console::start("").await;
    assert_eq!(console.get("/console", &[]).await.status(), StatusCode::OK);
    let fields = [("name", "ops"), ("password", PASSWORD)];
    for path in ["/console/sign-in", "/console/sign-out"] {
        let answer = console.post(path, &fields, &[]).await;
        assert_eq!(answer.headers()["location"], "/console", "there is no user: {path}");
    }
    for header in [("x-forwarded-for", "192.0.2.1"), ("host", "evil.example")] {
        let answer = console.get("/console", &[header]).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{header:?}");
        assert!(answer.text().await.expect("text").contains("console.users"), "{header:?}");
    }
}
