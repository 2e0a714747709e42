//! A PostgreSQL server for a test: Debian's binaries, and a temporary cluster on loopback, stopped
//! afterwards.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::free_port;

/// A running cluster, as durable as one in production. It stops when it is dropped.
pub(crate) struct Cluster {
    dir: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
    server: Option<Child>,
    /// Environment variables of its server, besides those of this process.
    pub(crate) variables: Vec<(&'static str, PathBuf)>,
}

impl Cluster {
    /// Creates and starts a cluster.
    pub(crate) fn start() -> Self {
        Self::start_with(Vec::new())
    }

    /// The same with environment variables.
    pub(crate) fn start_with(variables: Vec<(&'static str, PathBuf)>) -> Self {
        let mut cluster = Self::empty();
        cluster.variables = variables;
        let mut make = cluster.command("initdb");
        make.args([
            "--username=tidegate",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--pgdata",
        ]);
        succeeds(make.arg(cluster.data()));
        cluster.run();
        cluster
    }

    /// A folder for a cluster: accessible to every user, and on a disk, which the usual temporary
    /// folder often is not.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("tidegate-postgres-")
            .tempdir_in("/var/tmp")
            .expect("a folder");
        let port = free_port();
        if let Some(user) = unprivileged() {
            std::os::unix::fs::chown(dir.path(), Some(user), Some(user))
                .expect("the folder changes hands");
        }
        Self { dir, bin: binaries(), port, server: None, variables: Vec::new() }
    }

    /// The URL of its database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://tidegate@127.0.0.1:{}/postgres", self.port())
    }

    /// The port on which it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server on the existing data, and waits until it answers.
    pub(crate) fn run(&mut self) {
        let path = self.dir.path().join("log");
        let log = std::fs::File::create(&path).expect("a log");
        let mut command = self.command("postgres");
        command.envs(self.variables.iter().cloned());
        let server = command
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.dir.path())
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .stderr(log.try_clone().expect("a log"))
            .stdout(log)
            .spawn()
            .expect("postgres runs");
        self.server = Some(server);
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let said = std::fs::read_to_string(&path).unwrap_or_default();
            if said.contains("database system is ready to accept") {
                return;
            }
            assert!(Instant::now() < until, "{said}");
            std::thread::yield_now();
        }
    }

    /// Stops the server by `signal`: `INT` cuts all connections and writes all data, `QUIT` is a
    /// crash.
    pub(crate) fn stop(&mut self, signal: &str) {
        if let Some(mut server) = self.server.take() {
            let _ = Command::new("kill")
                .arg(format!("-{signal}"))
                .arg(server.id().to_string())
                .status();
            let _ = server.wait();
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// One of PostgreSQL's programs, run as a user other than root, since it refuses to run as
    /// root.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.stdin(Stdio::null()).current_dir("/");
        if let Some(user) = unprivileged() {
            command.uid(user).gid(user);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop("INT");
    }
}

/// Runs a program that must succeed.
pub(crate) fn succeeds(command: &mut Command) {
    let done = command.output().expect("it runs");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Where PostgreSQL's programs are: Debian keeps them out of the path.
fn binaries() -> PathBuf {
    installed().expect("PostgreSQL's programs: run ./test --set-up, or apt-get install postgresql")
}

/// The same; `None` if they are not installed.
pub(crate) fn installed() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    found.sort_by_key(|bin| std::cmp::Reverse(bin.clone()));
    found.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    found.into_iter().find(|bin| bin.join("initdb").exists() && bin.join("pg_basebackup").exists())
}

/// The user to run it as; `None` if the tests do not run as root.
pub(crate) fn unprivileged() -> Option<u32> {
    const NOBODY: u32 = 65_534;
    let root = std::os::unix::fs::MetadataExt::uid(
        &std::fs::metadata(Path::new("/proc/self")).expect("ourselves"),
    ) == 0;
    root.then_some(NOBODY)
}
