//! Conversations change hands while something is under way in them that does not end: no other
//! conversation waits for it.
//!
//! How long a handover may stop a conversation is told in `docs/guarantees.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::postgres_cluster::Cluster;
use crate::support::{Cable, Nodes, RecordingChat, audit, client, conversation_of, eventually};

/// How soon another node takes over from one that died.
const TAKEOVER: Duration = Duration::from_secs(8);
/// How long a handover may stop a conversation.
const BOUND: Duration = TAKEOVER.checked_div(4).expect("it is not zero");
/// The pause between two messages to one customer.
const PAUSE: Duration = Duration::from_millis(400);

/// Nodes beside a chat service that the test has in its hands.
struct Stage {
    all: Nodes,
    chat: RecordingChat,
    genesys: Limiter,
    cluster: Cluster,
}

impl Stage {
    async fn set(nodes: usize) -> Self {
        let cluster = Cluster::start();
        let chat = RecordingChat::start(Duration::ZERO).await;
        let variables =
            vec![("TIDEGATE_STORE__TAKEOVER".to_owned(), format!("{}s", TAKEOVER.as_secs()))];
        // An attempt would be waited for far longer than the test takes.
        let patient = "[integration.delivery]\ntimeout = \"2m\"\ngive_up_after = \"5m\"\n";
        let mut all = Nodes::start_with(&cluster.url(), 0, patient, &[], variables).await;
        let genesys = Limiter::before(&all.sandbox.url).await;
        all.lead(&all.chat.url, &chat.url);
        all.lead(&all.sandbox.url, &genesys.url);
        all.sandbox.accept_unknown_receipts().await;
        for _ in 0..nodes {
            all.add(&cluster.url()).await;
        }
        all.shared_out().await;
        Self { all, chat, genesys, cluster }
    }

    /// An agent types to each of these once, at that node. Returns the texts.
    async fn first_words(&self, node: usize, customers: &[String], what: &str) -> Vec<String> {
        let one = async |customer: &String| {
            let text = format!("{customer} {what}");
            self.all.agent_types_at(node, &id_of(&text), customer, &text).await;
            text
        };
        let texts = futures_util::future::join_all(customers.iter().map(one)).await;
        eventually("the chat service has them", async || {
            texts.iter().all(|text| self.chat.came(text).is_some()).then_some(())
        })
        .await;
        texts
    }

    /// Agents go on typing to these customers, at that node, until they are told to stop. Returns
    /// the texts, and when each was sent.
    async fn talk(
        &self,
        node: usize,
        customers: &[String],
        stop: &AtomicBool,
    ) -> Vec<(String, Instant)> {
        let one = async |customer: &String| {
            let (mut sent, mut ticks) = (Vec::new(), tokio::time::interval(PAUSE));
            while !stop.load(Ordering::Relaxed) {
                ticks.tick().await;
                let text = format!("{customer} hears {}", sent.len());
                sent.push((text.clone(), Instant::now()));
                self.all.agent_types_at(node, &id_of(&text), customer, &text).await;
            }
            sent
        };
        futures_util::future::join_all(customers.iter().map(one))
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    /// Waits until the chat service has all of it. Returns the longest time from the agent to the
    /// chat service.
    async fn slowest(&self, sent: &[(String, Instant)]) -> Duration {
        eventually("the chat service has all of it", async || {
            sent.iter().all(|(text, _)| self.chat.came(text).is_some()).then_some(())
        })
        .await;
        sent.iter().map(|sent| self.took(sent)).max().expect("something was sent")
    }

    fn took(&self, (text, at): &(String, Instant)) -> Duration {
        self.chat.came(text).expect("it came").duration_since(*at)
    }

    /// A handover stopped no conversation for longer than it may. What a message takes anyway is
    /// measured where no shard moved: where nothing that hangs was called again.
    async fn was_quick(&self, sent: &[(String, Instant)], hanging: &[String], what: &str) {
        let slowest = self.slowest(sent).await;
        let moved: Vec<_> = hanging
            .iter()
            .filter(|text| self.chat.calls(text) > 1)
            .map(|text| shard_of(text))
            .collect();
        let stayed = sent.iter().filter(|(text, _)| !moved.contains(&shard_of(text)));
        let beside = stayed.map(|sent| self.took(sent)).max().expect("some stayed");
        println!(
            "{what}: the slowest of {} messages took {slowest:?}, {beside:?} where nothing moved",
            sent.len()
        );
        assert!(
            slowest < BOUND + beside,
            "a handover stopped others for {slowest:?}, {beside:?} where nothing moved"
        );
    }

    /// Waits until Genesys has a receipt for each of these messages.
    async fn have_receipts(&self, sent: &[String]) {
        eventually("every message has its receipt", async || {
            let receipts = self.all.sandbox.delivered().await;
            sent.iter().all(|text| receipts.contains(&id_of(text))).then_some(())
        })
        .await;
    }

    /// Everything has come to its end, each customer heard everything in order, and no two calls of
    /// one conversation were under way at once.
    async fn ended_well(&self, sent: &[String], customers: &[String]) {
        self.have_receipts(sent).await;
        let taken = self.chat.taken();
        for customer in customers {
            let of = |text: &&String| text.starts_with(&format!("{customer} hears "));
            let (came, typed) = (taken.iter().filter(of), sent.iter().filter(of));
            assert!(came.eq(typed), "{customer} heard all of it in order");
        }
        assert_eq!(
            self.chat.overlaps(),
            Vec::<String>::new(),
            "two calls of one conversation at once"
        );
        // Genesys does not know the messages, and complains of nothing else.
        let verdict = self.all.sandbox.verdict().await;
        let rows = verdict["rows"].as_array().expect("rows").iter();
        let others: Vec<_> =
            rows.filter(|row| row["fault"] != "receipt for an unknown message").collect();
        assert!(others.is_empty(), "{others:?}");
        let (code, report) = audit(&self.cluster.url());
        assert_eq!(code, Some(0), "{report}");
    }
}

/// Customers in shards that several nodes share out among them, so many in each.
fn in_some_shards(count: usize) -> Vec<Vec<String>> {
    (0..8).map(|n| in_shard(n * 32 + 7, count)).collect()
}

/// Genesys's id of the message with this text.
fn id_of(text: &str) -> String {
    text.replace(' ', "-")
}

/// The shard of the customer whose name a text begins with.
fn shard_of(text: &str) -> String {
    let customer = text.split(' ').next().expect("a name");
    conversation_of(customer).as_str()[1..3].to_owned()
}

/// Customers whose conversations are in this shard: the hash in their ids begins so.
fn in_shard(shard: u8, count: usize) -> Vec<String> {
    let names = (0..).map(|n| format!("customer-{n}"));
    let there = names.filter(|name| shard_of(name) == format!("{shard:02x}"));
    there.take(count).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_beside_a_chat_service_that_hangs_stops_nobody_else_for_long() {
    let mut stage = Stage::set(2).await;
    // In each of these one is not answered, and others are: both nodes have some of the shards.
    let (mut silent, mut others) = (Vec::new(), Vec::new());
    for mut customers in in_some_shards(4) {
        silent.extend(customers.pop());
        others.extend(customers);
    }
    stage.first_words(1, &others, "is greeted").await;
    stage.chat.falls_silent_for(&silent);
    let hanging = stage.first_words(1, &silent, "waits").await;

    let stop = AtomicBool::new(false);
    let (sent, ()) = tokio::join!(stage.talk(1, &others, &stop), async {
        tokio::time::sleep(PAUSE).await;
        stage.all.all[0].process.signal("TERM");
        // Those that it had are the other's then, and are called there.
        eventually("conversations that hang have changed hands", async || {
            (hanging.iter().filter(|text| stage.chat.calls(text) > 1).count() > 1).then_some(())
        })
        .await;
        tokio::time::sleep(PAUSE * 2).await;
        stop.store(true, Ordering::Relaxed);
    });
    stage.was_quick(&sent, &hanging, "a node left").await;
    stage.chat.answers_again();
    let ended = stage.all.all[0].process.ends_by_itself(Duration::from_secs(10)).await;
    assert_eq!(ended, Some(0), "it ends with 0");
    let all: Vec<_> = sent.into_iter().map(|(text, _)| text).chain(hanging).collect();
    stage.ended_well(&all, &others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_beside_a_chat_service_that_hangs_stops_nobody_else_for_long() {
    let mut stage = Stage::set(2).await;
    stage.all.stop(1).await;
    // Something hangs in every shard, so that it hangs in half of what has to change hands.
    let silent: Vec<_> = (0..=255).flat_map(|shard| in_shard(shard, 1)).collect();
    let others: Vec<_> = (0..=255).step_by(11).map(|shard| in_shard(shard, 2).remove(1)).collect();
    stage.first_words(0, &others, "is greeted").await;
    stage.chat.falls_silent_for(&silent);
    let hanging = stage.first_words(0, &silent, "waits").await;

    let stop = AtomicBool::new(false);
    let (sent, process) = tokio::join!(stage.talk(0, &others, &stop), async {
        tokio::time::sleep(PAUSE).await;
        let process = stage.all.start_again(1);
        eventually("half of what hangs has changed hands", async || {
            (hanging.iter().filter(|text| stage.chat.calls(text) > 1).count() > 100).then_some(())
        })
        .await;
        tokio::time::sleep(PAUSE * 2).await;
        stop.store(true, Ordering::Relaxed);
        process
    });
    stage.all.all[1].process = process;
    stage.was_quick(&sent, &hanging, "a node joined").await;
    stage.chat.answers_again();
    let all: Vec<_> = sent.into_iter().map(|(text, _)| text).chain(hanging).collect();
    stage.ended_well(&all, &others).await;
}

/// The limit is that of the OAuth client, so no receipt is posted for as long as Genesys says.
/// Messages go on, and so do nodes.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_leave_and_start_while_genesys_limits_the_rate_for_three_minutes() {
    let mut stage = Stage::set(2).await;
    let customers = in_some_shards(2).concat();
    // These customers get no further messages. A node that starts gets idle shards, the last ones first.
    let silent = in_shard(0xfb, 2);
    let everybody = [customers.clone(), silent].concat();
    let mut typed = stage.first_words(1, &everybody, "is greeted").await;
    // A post that has left already would be counted among those of the next seconds.
    stage.have_receipts(&typed).await;
    let mut unaware = Instant::now();
    stage.genesys.limit(true);
    typed.extend(stage.first_words(1, &everybody, "is answered").await);
    let told = async |log: &dyn Fn() -> String| {
        let told = async || log().contains("rate limited for 180 s").then_some(());
        eventually("a node is told to wait", told).await;
    };
    for node in &stage.all.all {
        told(&|| node.process.log()).await;
    }
    let mut seconds = 2.0 * unaware.elapsed().as_secs_f64();

    let stop = AtomicBool::new(false);
    let (sent, process) = tokio::join!(stage.talk(1, &customers, &stop), async {
        let quiet = stage.genesys.is_quiet().await;
        let process = &stage.all.all[0].process;
        process.signal("TERM");
        eventually("a node has ended", async || process.log().contains("stopped").then_some(()))
            .await;
        tokio::time::sleep(PAUSE * 2).await;
        // The other one has all conversations now, and receipts of each that wait.
        assert_eq!(stage.genesys.refused(), quiet, "a receipt left although Genesys said when");
        let begins = process.log().len();
        unaware = Instant::now();
        let process = stage.all.start_again(0);
        let log = || process.log()[begins..].to_owned();
        let drives = async || log().contains("conversations taken over").then_some(());
        eventually("it has its part again", drives).await;
        told(&log).await;
        seconds += unaware.elapsed().as_secs_f64();
        stage.genesys.is_quiet().await;
        stop.store(true, Ordering::Relaxed);
        process
    });
    stage.all.all[0].process = process;
    let slowest = stage.slowest(&sent).await;
    println!(
        "under a 429: the slowest of {} messages to {} customers took {slowest:?}",
        sent.len(),
        customers.len()
    );
    assert!(slowest < BOUND, "a handover stopped others for {slowest:?}");
    for node in &stage.all.all {
        let log = node.process.log();
        assert!(
            !log.contains("is called off"),
            "a post that waited kept a conversation on its node:\n{log}"
        );
    }
    let refused = stage.genesys.refused();
    println!("{refused} of at least {} receipts were posted, and refused", sent.len());
    // Until it is told, each of three processes posts at most a burst of 10, and 5 a second.
    assert!(
        f64::from(u32::try_from(refused).expect("few")) <= 30.0 + 5.0 * seconds,
        "{refused} receipts were posted, although the nodes were told within {seconds:.1} s"
    );

    // A process that starts does not know of the three minutes.
    stage.genesys.limit(false);
    for number in [0, 1] {
        stage.all.stop(number).await;
        stage.all.restart(number).await;
    }
    typed.extend(sent.into_iter().map(|(text, _)| text));
    stage.ended_well(&typed, &everybody).await;
}

/// A node that is cut off cannot hear that another has its conversations. It hangs up by itself
/// before that can be.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_hangs_up_before_another_calls() {
    let mut stage = Stage::set(1).await;
    let cable = Cable::to(stage.cluster.port()).await;
    let url =
        stage.cluster.url().replace(&stage.cluster.port().to_string(), &cable.port.to_string());
    let cut_off = stage.all.add(&url).await;
    stage.all.shared_out().await;
    let customers = in_some_shards(1).concat();
    stage.first_words(0, &customers, "is greeted").await;
    // A greeting that came and is not answered yet would hang as well, and stop all behind it.
    eventually("the greetings are answered", async || {
        (stage.chat.in_progress() == 0).then_some(())
    })
    .await;
    stage.chat.falls_silent_for(&customers);
    let hanging = stage.first_words(0, &customers, "waits").await;
    cable.cut();
    eventually("what the node had is called by the other", async || {
        (hanging.iter().filter(|text| stage.chat.calls(text) > 1).count() >= 2).then_some(())
    })
    .await;
    stage.chat.answers_again();
    cable.mend();
    stage.all.ready(cut_off).await;
    stage.ended_well(&hanging, &customers).await;
}

/// A way to Genesys on which receipts are answered 429, with three minutes, while the test says so.
struct Limiter {
    url: String,
    way: Arc<Way>,
}

struct Way {
    to: String,
    client: reqwest::Client,
    limits: AtomicBool,
    refused: AtomicUsize,
}

impl Limiter {
    async fn before(genesys: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (limits, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
        let way = Arc::new(Way { to: genesys.to_owned(), client: client(), limits, refused });
        let router = Router::new().fallback(pass_on).with_state(Arc::clone(&way));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, way }
    }

    fn limit(&self, limits: bool) {
        self.way.limits.store(limits, Ordering::Relaxed);
    }

    fn refused(&self) -> usize {
        self.way.refused.load(Ordering::Relaxed)
    }

    /// Waits until posts that had left before their node was told to wait have arrived: until none
    /// comes for longer than a node would pause between two. Returns how many came.
    async fn is_quiet(&self) -> usize {
        eventually("no receipt leaves until Genesys says so", async || {
            let before = self.refused();
            tokio::time::sleep(PAUSE).await;
            (self.refused() == before).then_some(before)
        })
        .await
    }
}

async fn pass_on(State(way): State<Arc<Way>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if head.uri.path().ends_with("/receipt") && way.limits.load(Ordering::Relaxed) {
        way.refused.fetch_add(1, Ordering::Relaxed);
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "180")], "{}")
            .into_response();
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    let mut headers = head.headers;
    headers.remove(header::HOST);
    let call = way
        .client
        .request(head.method, format!("{}{}", way.to, head.uri))
        .headers(headers)
        .body(body);
    let Ok(answer) = call.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove(header::TRANSFER_ENCODING);
    (status, headers, answer.bytes().await.unwrap_or_default()).into_response()
}
