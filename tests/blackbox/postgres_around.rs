//! What stands around a database in life: a standby that is promoted when the first is lost, and a pooler before it.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::postgres::{customers, heard, taken, talk};
use crate::postgres_cluster::{Cluster, succeeds, unprivileged};
use crate::support::{Nodes, eventually, free_port};

/// A second cluster that follows the first, which waits for it with each commit: or what was acknowledged might not be there
/// after a promotion.
fn standby_of(primary: &Cluster) -> Cluster {
    let mut standby = Cluster::empty();
    let from = ["-h", "127.0.0.1", "-U", "tidegate", "-p", &primary.port().to_string()];
    let mut copy = standby.command("pg_basebackup");
    succeeds(
        copy.args(from).args(["-R", "-X", "stream", "--checkpoint=fast", "-D"]).arg(standby.data()),
    );
    standby.run();
    ask(primary, "alter system set synchronous_standby_names = '*'");
    ask(primary, "select pg_reload_conf()");
    standby
}

fn ask(cluster: &Cluster, sql: &str) -> String {
    let mut psql = cluster.command("psql");
    psql.args([
        "-h",
        "127.0.0.1",
        "-U",
        "tidegate",
        "-p",
        &cluster.port().to_string(),
        "-d",
        "postgres",
        "-Atc",
        sql,
    ]);
    let done = psql.output().expect("psql runs");
    assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

#[tokio::test]
async fn a_standby_that_is_promoted_has_all_that_was_answered() {
    let mut primary = Cluster::start();
    let standby = standby_of(&primary);
    eventually("the first waits for the standby", async || {
        (ask(&primary, "select sync_state from pg_stat_replication") == "sync").then_some(())
    })
    .await;
    let (one, two) = (primary.port(), standby.port());
    let url = format!(
        "postgres://tidegate@127.0.0.1:{one},127.0.0.1:{two}/postgres?target_session_attrs=read-write"
    );
    let all = Nodes::start(&url, 2, "", &["--handshake", "0.3", "--delay", "0.05"]).await;
    let customers = customers(8);
    for customer in &customers {
        all.chat.says(customer, "Where is my parcel?").await;
    }
    let mut typed = talk(&all, &customers, 1, 3).await;
    primary.stop("KILL");
    // Whoever looks after the databases comes when it has been noticed; the agents go on typing meanwhile.
    let (more, ()) = tokio::join!(talk(&all, &customers, 4, 2), async {
        all.none_is_ready().await;
        assert_eq!(ask(&standby, "select pg_promote()"), "t");
    });
    typed.extend(more);
    taken(&all, &typed).await;
    heard(&all, &typed, &customers, true).await;
}

/// Debian's pgbouncer, which hands each transaction to another session.
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
