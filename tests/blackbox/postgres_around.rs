//! What surrounds a database in production: a standby that is promoted when the primary is lost,
//! and a pooler in front of it.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::postgres::{customers, heard, heard_by, taken, talk};
use crate::postgres_cluster::{Cluster, unprivileged};
use crate::support::{Cable, Nodes, RecordingChat, eventually, free_port};
use crate::wall_clock::WallClock;

/// A second cluster that follows the first, which waits for it at each commit. Otherwise
/// acknowledged data might be missing after a promotion.
fn standby_of(primary: &Cluster) -> Cluster {
    let standby = primary.standby(Vec::new());
    primary.ask("alter system set synchronous_standby_names = '*'");
    primary.ask("select pg_reload_conf()");
    standby
}

#[tokio::test]
async fn a_standby_that_is_promoted_has_all_that_was_answered() {
    let mut primary = Cluster::start();
    let standby = standby_of(&primary);
    eventually("the first waits for the standby", async || {
        (primary.ask("select sync_state from pg_stat_replication") == "sync").then_some(())
    })
    .await;
    let url = either([primary.port(), standby.port()]);
    let all = Nodes::start(&url, 2, "", &["--handshake", "0.3", "--delay", "0.05"]).await;
    let customers = customers(8);
    for customer in &customers {
        all.chat.says(customer, "Where is my parcel?").await;
    }
    let mut typed = talk(&all, &customers, 1, 3).await;
    primary.stop("KILL");
    // The database administrator acts once the loss is noticed; the agents keep typing meanwhile.
    let (more, ()) = tokio::join!(talk(&all, &customers, 4, 2), async {
        all.none_is_ready().await;
        assert_eq!(standby.ask("select pg_promote()"), "t");
    });
    typed.extend(more);
    taken(&all, &typed).await;
    heard(&all, &typed, &customers, true).await;
}

/// How soon another node takes over in tests that wait for it.
const TAKEOVER: Duration = Duration::from_secs(4);

/// Nodes on a database of two servers, with a chat service that records when each call begins and
/// ends.
struct Watched {
    all: Nodes,
    chat: RecordingChat,
    customers: Vec<String>,
}

impl Watched {
    /// Starts one node per URL of the database, and a chat service whose calls take this long. Each
    /// customer has written.
    async fn start(urls: [String; 2], takes: Duration) -> Self {
        let chat = RecordingChat::start(takes).await;
        let takeover = ("TIDEGATE_STORE__TAKEOVER".to_owned(), format!("{}s", TAKEOVER.as_secs()));
        let patient = "[integration.delivery]\ntimeout = \"1m\"\nretry_initial = \"50ms\"\n";
        let mut all = Nodes::start_with(&urls[0], 0, patient, &[], vec![takeover]).await;
        all.lead(&all.chat.url, &chat.url);
        for url in &urls {
            all.add(url).await;
        }
        all.shared_out().await;
        let customers = customers(12);
        for customer in &customers {
            all.chat.says(customer, "Where is my parcel?").await;
        }
        Self { all, chat, customers }
    }

    /// Checks that each customer received everything in order, and that no two calls about the same
    /// conversation were in progress at once.
    async fn ended_well(&self, typed: &[(String, String)]) {
        eventually("the chat service has all of it", async || {
            let taken = self.chat.taken();
            typed.iter().all(|(_, text)| taken.contains(text)).then_some(())
        })
        .await;
        heard_by(&self.all, || self.chat.taken(), typed, &self.customers, true).await;
        assert_eq!(
            self.chat.overlaps(),
            Vec::<String>::new(),
            "two calls of one conversation at once"
        );
    }
}

/// The URL of two servers, one of which accepts writes.
fn either(ports: [u16; 2]) -> String {
    let [one, two] = ports;
    format!(
        "postgres://tidegate@127.0.0.1:{one},127.0.0.1:{two}/postgres?target_session_attrs=read-write"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_whose_clock_is_an_hour_ahead_makes_no_two_calls_of_one_conversation() {
    let mut primary = Cluster::start();
    let clock = WallClock::off_by("+1h");
    let standby = primary.standby(clock.variables());
    primary.ask("alter system set synchronous_standby_names = '*'");
    primary.ask("select pg_reload_conf()");
    let url = either([primary.port(), standby.port()]);
    let here = Watched::start([url.clone(), url], Duration::from_secs(1)).await;
    let (all, chat) = (&here.all, &here.chat);
    // Each call takes as long as the pause between two messages, so that something is in progress
    // at every moment.
    let (typed, ()) = tokio::join!(talk(all, &here.customers, 1, 5), async {
        eventually("every customer is called", async || {
            (chat.taken().len() >= here.customers.len()).then_some(())
        })
        .await;
        primary.stop("KILL");
        // This comes before any lease has expired. A node that used the standby's clock would take
        // them all.
        assert_eq!(standby.ask("select pg_promote()"), "t");
    });
    here.ended_well(&typed).await;
}

/// An asynchronous standby whose clock is an hour ahead. It does not know which node has the
/// conversations, and that node cannot reach it.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_lacks_the_last_leases_makes_no_two_calls_of_one_conversation() {
    let mut primary = Cluster::start();
    let clock = WallClock::off_by("+1h");
    let standby = primary.standby(clock.variables());
    let way = Cable::to(standby.port()).await;
    let urls = [either([primary.port(), standby.port()]), either([primary.port(), way.port])];
    let mut here = Watched::start(urls, Duration::ZERO).await;
    here.chat.falls_silent_for(&here.customers);
    let typed = talk(&here.all, &here.customers, 1, 2).await;
    eventually("every customer is called", async || {
        (here.chat.taken().len() == here.customers.len()).then_some(())
    })
    .await;
    // Anything accepted later would be lost with the primary, so nothing more is sent.
    eventually("the standby has it", async || {
        let at = primary.ask("select pg_current_wal_lsn()");
        (standby.ask(&format!("select pg_last_wal_replay_lsn() >= '{at}'")) == "t").then_some(())
    })
    .await;
    standby.ask("alter system set primary_conninfo = ''");
    standby.ask("select pg_reload_conf()");
    eventually("it hears no more", async || {
        (primary.ask("select count(*) from pg_stat_replication") == "0").then_some(())
    })
    .await;
    // One node stops, and the other calls everybody. Then the first restarts as a new process.
    here.all.stop(0).await;
    eventually("the node that stays calls everybody", async || {
        let called = |customer: &String| here.chat.calls(&format!("{customer} hears 1")) > 0;
        (here.customers.iter().all(called) && here.chat.in_progress() == here.customers.len())
            .then_some(())
    })
    .await;
    here.all.restart(0).await;
    way.cut();
    primary.stop("KILL");
    assert_eq!(standby.ask("select pg_promote()"), "t");
    eventually("everybody is called by the node that has them now", async || {
        let calls = |customer: &String| here.chat.calls(&format!("{customer} hears 1"));
        let (least, most) =
            (here.customers.iter().map(calls).min(), here.customers.iter().map(calls).max());
        (least >= Some(2) && most >= Some(3)).then_some(())
    })
    .await;
    here.chat.answers_again();
    way.mend();
    here.all.ready(1).await;
    here.ended_well(&typed).await;
}

/// Debian's pgbouncer, which may run each transaction in another session.
struct Bouncer {
    server: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Bouncer {
    fn before(cluster: &Cluster) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (port, to) = (free_port(), cluster.port());
        let (users, config) = (dir.path().join("users"), dir.path().join("bouncer.ini"));
        std::fs::write(&users, "\"tidegate\" \"\"\n").expect("written");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={to} pool_size=12\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nauth_type = trust\nauth_file = {}\npool_mode = transaction\nunix_socket_dir =\n",
            users.display()
        );
        std::fs::write(&config, text).expect("written");
        let mut command = Command::new("/usr/sbin/pgbouncer");
        command.arg("-q").arg(&config).stdin(Stdio::null()).current_dir("/");
        if let Some(user) = unprivileged() {
            for path in [dir.path(), &users, &config] {
                std::os::unix::fs::chown(path, Some(user), Some(user))
                    .expect("the folder changes hands");
            }
            command.uid(user).gid(user);
        }
        let server =
            command.spawn().expect("pgbouncer runs: ./test --set-up, or apt-get install pgbouncer");
        Self { server, port, _dir: dir }
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[tokio::test]
async fn nodes_work_behind_a_pooler_that_hands_each_transaction_to_another_session() {
    let cluster = Cluster::start();
    let bouncer = Bouncer::before(&cluster);
    eventually("the pooler answers", async || {
        tokio::net::TcpStream::connect(("127.0.0.1", bouncer.port)).await.ok().map(drop)
    })
    .await;
    let url = format!("postgres://tidegate@127.0.0.1:{}/postgres", bouncer.port);
    let mut all = Nodes::start(&url, 2, "", &["--handshake", "0.3", "--delay", "0.02"]).await;
    all.shared_out().await;
    let customers = customers(12);
    for customer in &customers {
        all.chat.says(customer, "Where is my parcel?").await;
    }
    let mut typed = talk(&all, &customers, 1, 4).await;
    all.stop(0).await;
    typed.extend(talk(&all, &customers, 5, 2).await);
    all.restart(0).await;
    typed.extend(talk(&all, &customers, 7, 2).await);
    taken(&all, &typed).await;
    heard(&all, &typed, &customers, false).await;
}
