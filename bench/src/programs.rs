//! The measured programs, each in its own process, and what the system reports about them.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::load::PATIENCE;
use crate::ports::free_port;
use crate::stubs::Stubs;
use crate::webhook;

/// The secret for signatures between a gateway and the chat service.
pub(crate) const CONNECTOR_SECRET: &str = "whsec_YmVuY2gtb2YtdGlkZWdhdGUtaXMtaG9uZXN0LXRvbw==";

/// The file of a gateway's store, in its folder.
pub(crate) const STORE: &str = "tidegate.db";

/// A process that is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    log: PathBuf,
    pub(crate) dir: TempDir,
}

impl Program {
    fn start(mut command: Command, port: u16, dir: TempDir) -> Self {
        let log = dir.path().join("log");
        let file = File::options().create(true).append(true).open(&log).expect("a log");
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("a log")).stderr(file);
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)), log, dir }
    }

    /// Waits until it accepts connections.
    pub(crate) async fn listens(&mut self) {
        let begun = Instant::now();
        while TcpStream::connect(self.address).await.is_err() {
            let ended = self.child.try_wait().expect("it can be asked");
            assert!(
                ended.is_none(),
                "it ended:\n{}",
                std::fs::read_to_string(&self.log).unwrap_or_default()
            );
            assert!(begun.elapsed() < PATIENCE * 5, "it does not listen");
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }

    /// The id of its process, for reading what the system knows about it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How much memory it has now, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most memory that it has ever had, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Waits until it is idle, and returns how long that took.
    pub(crate) async fn rests(&self) -> Duration {
        let begun = Instant::now();
        let (mut used, mut since) = (self.ticks(), Instant::now());
        while since.elapsed() < Duration::from_millis(500) {
            assert!(begun.elapsed() < PATIENCE * 10, "it does not come to rest");
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = self.ticks();
            if now > used {
                (used, since) = (now, Instant::now());
            }
        }
        since.duration_since(begun)
    }

    /// How much CPU time it has used, in hundredths of a second.
    fn ticks(&self) -> u64 {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        // The fields follow the name, which may contain spaces, and eleven other fields.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11);
        fields.take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
    }

    fn status(&self, name: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.trim().trim_end_matches("kB").trim_end().parse::<u64>().expect("a number") * 1024
    }

    /// The path of its store, a SQLite file.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join(STORE)
    }

    /// Kills it. Its files remain as long as the returned folder exists.
    pub(crate) fn kill(mut self) -> TempDir {
        self.end();
        std::mem::replace(&mut self.dir, tempfile::tempdir().expect("a folder"))
    }

    fn end(&mut self) {
        // An error means that it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

/// The programs that a measurement may start.
pub(crate) struct Programs {
    /// The built `tidegate`.
    pub(crate) tidegate: PathBuf,
}

impl Programs {
    /// A ready gateway with an empty store. Its configuration is the default except for addresses,
    /// secrets and `extra`.
    pub(crate) async fn gateway(&self, stubs: &Stubs, extra: &str) -> Program {
        let mut gateway = self.launch(folder(), stubs, extra);
        gateway.listens().await;
        gateway
    }

    /// Starts a gateway on the store in `dir`, or on a new one if there is none. It does not wait
    /// until it is ready.
    pub(crate) fn launch(&self, dir: TempDir, stubs: &Stubs, extra: &str) -> Program {
        let port = free_port();
        let config = configure(dir.path(), port, stubs, extra);
        Program::start(self.serve(&config), port, dir)
    }

    /// One of several nodes on a PostgreSQL database, ready.
    pub(crate) async fn node(&self, stubs: &Stubs, store: &str) -> Program {
        let (dir, port) = (folder(), free_port());
        let config = configure(dir.path(), port, stubs, "");
        let mut command = self.serve(&config);
        command.env("TIDEGATE_STORE__URL", store);
        let mut node = Program::start(command, port, dir);
        node.listens().await;
        node
    }

    /// The command of a gateway with this configuration, without the `TIDEGATE_` variables of the
    /// bench.
    fn serve(&self, config: &Path) -> Command {
        let mut command = Command::new(&self.tidegate);
        command.arg("serve").arg("--config").arg(config);
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEGATE_"))
        {
            command.env_remove(name);
        }
        command
    }

    /// A reference implementation of `peers/`: this program, in another process.
    pub(crate) async fn peer(&self, name: &str, stubs: &Stubs) -> Program {
        self.peer_in(folder(), name, stubs).await
    }

    /// The same with the contents of `dir`.
    pub(crate) async fn peer_in(&self, dir: TempDir, name: &str, stubs: &Stubs) -> Program {
        let port = free_port();
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.current_dir(dir.path());
        command.args(["peer", name, "--port", &port.to_string()]);
        command.args([
            "--chat",
            &format!("http://{}", stubs.chat),
            "--genesys",
            &format!("http://{}", stubs.genesys),
        ]);
        let mut peer = Program::start(command, port, dir);
        peer.listens().await;
        peer
    }

    /// The Express middleware of `bench/peers/express`.
    pub(crate) async fn express(&self, stubs: &Stubs) -> Program {
        let port = free_port();
        let mut command = Command::new("node");
        command
            .arg("server.js")
            .current_dir(express_folder())
            .env("PORT", port.to_string())
            .env("NODE_ENV", "production");
        command.env("WEBHOOK_SECRET", webhook::SECRET).env("CONNECTOR_SECRET", CONNECTOR_SECRET);
        command.env("CHAT_URL", format!("http://{}", stubs.chat));
        command.env("GENESYS_URL", format!("http://{}", stubs.genesys));
        command
            .env("INTEGRATION_ID", "b3f0")
            .env("CLIENT_ID", "bench")
            .env("CLIENT_SECRET", "bench-secret");
        let mut peer = Program::start(command, port, folder());
        peer.listens().await;
        peer
    }
}

/// Where the Express middleware is.
pub(crate) fn express_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/express")
}

/// A temporary folder beside this program, because a file system in memory has no real `fdatasync`.
pub(crate) fn folder() -> TempDir {
    let target = std::env::current_exe().expect("this program");
    tempfile::tempdir_in(target.parent().expect("a folder")).expect("a folder")
}

fn configure(dir: &Path, port: u16, stubs: &Stubs, extra: &str) -> PathBuf {
    let store = format!("sqlite:{}", dir.join(STORE).display());
    let Stubs { chat, genesys, .. } = stubs;
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"

[store]
url = "{store}"

[[integration]]
name = "acme"
api_url = "http://{genesys}"
login_url = "http://{genesys}"
integration_id = "b3f0"
clients = [{{ id = "bench", secret = "bench-secret" }}]
webhook_secret = "{secret}"
end = {{ detect = "off" }}

[integration.connector]
type = "http"
url = "http://{chat}"
secret = "{CONNECTOR_SECRET}"

{extra}
"#,
        secret = webhook::SECRET
    );
    let config = dir.join("tidegate.toml");
    std::fs::write(&config, text).expect("a configuration");
    config
}
