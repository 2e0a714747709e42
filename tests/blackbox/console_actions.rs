//! What a user of the console does about a dead letter. `dead_letters` has the same by API and
//! command line.

use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use tempfile::TempDir;

use crate::browser;
use crate::console::{HASH, PASSWORD};
use crate::dead_letters::{dead, poison, wait_for, with_users_and_a_dead_letter};
use crate::support::{Loop, audit, eventually};

/// A gateway with a dead letter. The user ops is an operator, and wall a viewer.
struct DeadLetterScene {
    stage: Loop,
    client: Client,
    message: String,
    /// The cookie of ops.
    ops: String,
    /// When the message became a dead letter, as its form has it.
    died: String,
}

impl DeadLetterScene {
    async fn start() -> Self {
        let user = |name: &str, role: &str| {
            format!("{{ name = \"{name}\", role = \"{role}\", password_hash = \"{HASH}\" }}")
        };
        let users = format!("users = [{}, {}]\n", user("ops", "operator"), user("wall", "viewer"));
        let dir = TempDir::new().expect("a folder");
        let (stage, message) = with_users_and_a_dead_letter(dir, &users).await;
        let client = Client::builder().redirect(Policy::none()).no_proxy().build();
        let client = client.expect("a client");
        let mut it = Self { stage, client, message, ops: String::new(), died: String::new() };
        it.ops = it.sign_in("ops").await;
        it.died = it.died_now().await.expect("a form");
        it
    }

    fn url(&self, path: &str) -> String {
        format!("{}/console/{path}", self.stage.gateway.url)
    }

    /// Signs in. Returns the cookie.
    async fn sign_in(&self, name: &str) -> String {
        let form = [("name", name), ("password", PASSWORD)];
        let answer = self.client.post(self.url("sign-in")).form(&form).send().await;
        let answer = answer.expect("an answer");
        let cookie = answer.headers()["set-cookie"].to_str().expect("text");
        cookie.split(';').next().expect("a pair").to_owned()
    }

    async fn page(&self, cookie: &str) -> String {
        let path = self.url(&format!("messages/{}", self.message));
        let answer = self.client.get(path).header("cookie", cookie).send().await;
        answer.expect("an answer").text().await.expect("text")
    }

    /// When the message became a dead letter, as the form of its page says now.
    async fn died_now(&self) -> Option<String> {
        let page = self.page(&self.ops).await;
        let (_, rest) = page.split_once("name=\"died\" value=\"")?;
        rest.split_once('"').map(|(died, _)| died.to_owned())
    }

    /// Sends the form of the page that was there at the beginning.
    async fn act(&self, action: &str, headers: &[(&str, &str)]) -> Response {
        let path = self.url(&format!("dead-letters/{}/{action}", self.message));
        let fields = [("integration", "acme"), ("died", &self.died)];
        let mut call = self.client.post(path).form(&fields);
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        call.send().await.expect("an answer")
    }

    /// The text of a page that says why the form had no effect.
    async fn conflict(&self, answer: Response) -> String {
        assert_eq!(answer.status(), StatusCode::CONFLICT);
        let text = answer.text().await.expect("text");
        assert!(text.contains(&format!("/console/messages/{}", self.message)), "a link: {text}");
        text
    }
}

#[tokio::test]
async fn an_operator_posts_a_dead_letter_again_by_a_form() {
    let it = DeadLetterScene::start().await;
    let page = it.page(&it.ops).await;
    assert!(page.contains("Post it to Genesys again"), "{page}");
    assert!(page.contains("twice if Genesys has it"), "it says the danger: {page}");
    let answer = it.act("retry", &[("cookie", &it.ops), ("sec-fetch-site", "same-origin")]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let message = &it.message;
    assert_eq!(answer.headers()["location"], format!("/console/messages/{message}"));
    wait_for(&it.stage.sandbox, "noor", &["after", "poison"]).await;
    eventually("the page names the operator", async || {
        let page = it.page(&it.ops).await;
        let done = page.contains("ops had it posted again") && page.contains("at Genesys");
        (done && !page.contains("Post it to Genesys again")).then_some(())
    })
    .await;

    let again = it.act("retry", &[("cookie", &it.ops)]).await;
    let why = it.conflict(again).await;
    assert!(why.contains("only a dead letter"), "{why}");
    let (code, report) = audit(&it.stage.store());
    assert_eq!(code, Some(0), "{report}");
    assert!(report.contains("retried dead letters 1 times"), "{report}");
}

/// As after a double click: the second form has no effect, whenever it comes.
#[tokio::test]
async fn a_form_that_is_sent_twice_acts_once() {
    let it = DeadLetterScene::start().await;
    let cookie = [("cookie", it.ops.as_str())];
    let answers = tokio::join!(it.act("retry", &cookie), it.act("discard", &cookie));
    let mut statuses = [answers.0.status().as_u16(), answers.1.status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 409], "one of them acted");
    eventually("the dead letter is gone", async || {
        dead(&it.stage.gateway.url).await.is_empty().then_some(())
    })
    .await;
    let (code, report) = audit(&it.stage.store());
    assert_eq!(code, Some(0), "{report}");
}

/// A colleague had it posted again, and Genesys did not take it again.
#[tokio::test]
async fn an_old_form_does_not_act_on_a_later_dead_letter() {
    let it = DeadLetterScene::start().await;
    poison(&it.stage.sandbox).await;
    let answer = it.act("retry", &[("cookie", &it.ops)]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    // Genesys takes messages of another customer, so this one alone is to blame.
    it.stage.chat.says("omar", "hello again").await;
    eventually("it is a dead letter again", async || {
        it.died_now().await.filter(|now| *now != it.died)
    })
    .await;
    for action in ["retry", "discard"] {
        let old = it.act(action, &[("cookie", &it.ops)]).await;
        let why = it.conflict(old).await;
        assert!(why.contains("has become a dead letter again"), "{why}");
    }
    assert_eq!(dead(&it.stage.gateway.url).await, [it.message.as_str()]);
    let page = it.page(&it.ops).await;
    assert!(page.contains("Nothing, unless an operator acts"), "no action waits: {page}");
}

#[tokio::test]
async fn only_an_operators_own_form_acts() {
    let it = DeadLetterScene::start().await;
    let (ops, wall) = (&it.ops, it.sign_in("wall").await);
    let page = it.page(&wall).await;
    assert!(page.contains("dead letter") && !page.contains("What you can do"), "{page}");
    for action in ["retry", "discard"] {
        let viewers = it.act(action, &[("cookie", &wall)]).await;
        assert_eq!(viewers.status(), StatusCode::FORBIDDEN);
        let why = viewers.text().await.expect("text");
        assert!(why.contains("You may only read"), "{why}");

        let strangers = it.act(action, &[]).await;
        assert_eq!(strangers.status(), StatusCode::SEE_OTHER);
        let form = strangers.headers()["location"].to_str().expect("text").to_owned();
        assert!(form.starts_with("/console/sign-in?target=%2Fconsole%2Fdead-letters"), "{form}");

        for site in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
            let others = it.act(action, &[("cookie", ops), site]).await;
            assert_eq!(others.status(), StatusCode::FORBIDDEN, "{site:?}");
        }
        let path = it.url(&format!("dead-letters/{}/{action}", it.message));
        let link = it.client.get(path).header("cookie", ops).send().await.expect("an answer");
        assert_eq!(link.status(), StatusCode::SEE_OTHER, "a link leads to the message");
        let leads_to = format!("/console/messages/{}", it.message);
        assert_eq!(link.headers()["location"], leads_to.as_str());
    }
    let counter = r#"tidegate_requests_turned_away_total{result="console_access"}"#;
    assert_eq!(
        it.stage.gateway.metric(counter).await,
        Some(6),
        "the viewer's forms and those of other sites"
    );
    // Neither of them has acted: the message is still a dead letter, on which nothing waits.
    assert_eq!(dead(&it.stage.gateway.url).await, [it.message.as_str()]);
    let page = it.page(ops).await;
    assert!(page.contains("Nothing, unless an operator acts"), "{page}");
}

#[tokio::test]
async fn an_operator_discards_a_dead_letter_with_a_browser() {
    let it = DeadLetterScene::start().await;
    // A name that is not this machine's, as in an operator's browser.
    let console = it.url("").replace("127.0.0.1", "gateway.test");
    let console = console.trim_end_matches('/');
    let options = ["--console", console, "--message", it.message.as_str()];
    browser::run("dead_letter.mjs", options, || it.stage.gateway.process.log()).await;
    eventually("no dead letter is left", async || {
        dead(&it.stage.gateway.url).await.is_empty().then_some(())
    })
    .await;
}
