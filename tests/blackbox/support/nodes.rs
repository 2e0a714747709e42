//! Several gateways on one database, behind a balancer that hands each connection to the next of
//! them.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{
    Gateway, Process, PythonChat, Sandbox, WEBHOOK_SECRET, audit, client, eventually, free_port,
    now, tidegate, webhook,
};

/// The whole loop with several nodes.
pub(crate) struct Nodes {
    // Shared with the people of a test, who continue while nodes come and go.
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) chat: Arc<PythonChat>,
    pub(crate) all: Vec<Node>,
    store: String,
    variables: Vec<(String, String)>,
    config: PathBuf,
    client: reqwest::Client,
    balancer: Balancer,
    // Last, so that a test that fails can still show the logs in it.
    pub(crate) dir: TempDir,
}

/// One gateway.
pub(crate) struct Node {
    pub(crate) process: Process,
    port: u16,
    name: String,
    store: String,
    variables: Vec<(String, String)>,
}

impl Nodes {
    /// Starts `count` nodes on the store. `integration` is added to the integration's table, `chat`
    /// to the chat service's options.
    pub(crate) async fn start(store: &str, count: usize, integration: &str, chat: &[&str]) -> Self {
        Self::start_with(store, count, integration, chat, Vec::new()).await
    }

    /// The same with environment variables for the nodes.
    pub(crate) async fn start_with(
        store: &str,
        count: usize,
        integration: &str,
        chat: &[&str],
        variables: Vec<(String, String)>,
    ) -> Self {
        let keep = std::env::var_os("TIDEGATE_KEEP").is_some();
        let dir = tempfile::Builder::new().disable_cleanup(keep).tempdir().expect("a folder");
        std::fs::write(dir.path().join("store.url"), store).expect("written");
        let balancer = Balancer::start().await;
        let sandbox = Sandbox::start(dir.path(), &[]).await;
        let webhook = format!("http://127.0.0.1:{}/genesys/acme", balancer.port);
        let id = sandbox.create_integration(&webhook, WEBHOOK_SECRET).await;
        let events = format!("http://127.0.0.1:{}/connectors/acme/events", balancer.port);
        let chat = PythonChat::start(dir.path(), &events, chat).await;
        let config = Gateway::configure(
            dir.path(),
            balancer.port,
            &sandbox.url,
            &id,
            &chat.url,
            integration,
        );
        let client = client();
        let store = store.to_owned();
        let (sandbox, chat) = (Arc::new(sandbox), Arc::new(chat));
        let mut all = Self {
            sandbox,
            chat,
            all: Vec::new(),
            store,
            variables,
            config,
            client,
            balancer,
            dir,
        };
        for _ in 0..count {
            all.add(&all.store.clone()).await;
        }
        all
    }

    /// The address of a node.
    pub(crate) fn url(&self, number: usize) -> String {
        format!("http://127.0.0.1:{}", self.all[number].port)
    }

    /// Adds a node that reaches the database at this URL. Returns its number.
    pub(crate) async fn add(&mut self, store: &str) -> usize {
        self.add_with(store, self.variables.clone()).await
    }

    /// The same with its own environment variables.
    pub(crate) async fn add_with(
        &mut self,
        store: &str,
        variables: Vec<(String, String)>,
    ) -> usize {
        let (number, port) = (self.all.len(), free_port());
        let name = format!("node-{number}");
        let process = self.launch(port, &name, store, &variables);
        self.all.push(Node { process, port, name, store: store.to_owned(), variables });
        self.balancer.ports.lock().expect("no test panicked").push(port);
        self.ready(number).await;
        number
    }

    fn launch(
        &self,
        port: u16,
        name: &str,
        store: &str,
        variables: &[(String, String)],
    ) -> Process {
        let mut command = tidegate();
        command.args(["serve", "--config"]).arg(&self.config);
        command
            .env("TIDEGATE_SERVER__LISTEN", format!("127.0.0.1:{port}"))
            .env("TIDEGATE_STORE__URL", store);
        command.envs(variables.iter().cloned());
        Process::start(command, &self.dir.path().join(format!("{name}.log")))
    }

    /// Nodes that start from now on call `to` instead of `from`, an address of Genesys or of the
    /// chat service.
    pub(crate) fn lead(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(&self.config).expect("the configuration");
        assert!(text.contains(from), "{from} is called");
        std::fs::write(&self.config, text.replace(from, to)).expect("written");
    }

    /// Makes a node use another store from its next start on.
    pub(crate) fn move_to(&mut self, number: usize, store: &str) {
        store.clone_into(&mut self.all[number].store);
        store.clone_into(&mut self.store);
    }

    /// Restarts a node that was killed or stopped, and waits until it is ready.
    pub(crate) async fn restart(&mut self, number: usize) {
        self.all[number].process = self.start_again(number);
        self.ready(number).await;
    }

    /// The same without waiting. The caller must put the process in the place of the one that
    /// ended.
    pub(crate) fn start_again(&self, number: usize) -> Process {
        let Node { port, name, store, variables, .. } = &self.all[number];
        self.launch(*port, name, store, variables)
    }

    /// Waits until each node drives some of the conversations.
    pub(crate) async fn shared_out(&self) {
        for node in &self.all {
            eventually("a node drives some", async || {
                node.process.log().contains("conversations taken over").then_some(())
            })
            .await;
        }
    }

    pub(crate) async fn ready(&mut self, number: usize) {
        let node = &mut self.all[number];
        let url = format!("http://127.0.0.1:{}/readyz", node.port);
        let client = &self.client;
        let ready = eventually("a node is ready, or ended", async || {
            let ready =
                client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
            (ready || !node.process.runs()).then_some(ready)
        });
        assert!(ready.await, "the node ended:\n{}", self.all[number].process.log());
    }

    /// Waits until every node has noticed that it cannot work.
    pub(crate) async fn none_is_ready(&self) {
        eventually("no node is ready", async || {
            for node in &self.all {
                let url = format!("http://127.0.0.1:{}/readyz", node.port);
                if self
                    .client
                    .get(&url)
                    .send()
                    .await
                    .is_ok_and(|answer| answer.status().is_success())
                {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }

    /// Stops a node by SIGTERM, as a rolling upgrade would.
    pub(crate) async fn stop(&mut self, number: usize) {
        let ended = self.all[number].process.terminate(Duration::from_secs(10)).await;
        assert!(ended, "a node ends with 0 within 10 s:\n{}", self.all[number].process.log());
    }

    /// The agent types; waits until a node has it. Returns the message's id.
    pub(crate) async fn agent_types(&self, customer: &str, text: &str) -> String {
        let send = async || self.sandbox.agent_sends(customer, text).await;
        let message = eventually("the agent has the conversation", send).await;
        self.taken(&message).await;
        message
    }

    /// Posts Genesys's webhook about an agent's new message to one particular node. Waits until
    /// that node has it.
    pub(crate) async fn agent_types_at(&self, number: usize, id: &str, customer: &str, text: &str) {
        let mut body = webhook(id, customer, text);
        body["channel"]["time"] = now().to_string().into();
        let body = body.to_string().into_bytes();
        let signature = genesys::signature::sign(&WEBHOOK_SECRET.into(), &body);
        let url = format!("http://127.0.0.1:{}/genesys/acme", self.all[number].port);
        let call = self.client.post(url).header(genesys::signature::HEADER, signature).body(body);
        let status = call.send().await.expect("an answer").status().as_u16();
        assert_eq!(status, 200, "{id}");
    }

    /// Waits until a node has an agent's message.
    pub(crate) async fn taken(&self, message: &str) {
        eventually("a node took it", async || {
            (self.sandbox.details(message).await["status"] != "queued").then_some(())
        })
        .await;
    }

    /// Panics with the report unless every invariant holds and Genesys's verdict holds.
    pub(crate) async fn all_is_well(&self) {
        assert_eq!(self.sandbox.verdict().await["holds"], true, "{}", self.sandbox.verdict().await);
        let (code, report) = audit(&self.store);
        assert_eq!(code, Some(0), "{report}");
    }
}

/// Hands each connection to the next ready node, as any balancer can be configured to. Ends the
/// connections of a node that is no longer ready.
struct Balancer {
    port: u16,
    ports: Arc<Mutex<Vec<u16>>>,
    tasks: [JoinHandle<()>; 2],
}

type Ready = watch::Receiver<Vec<u16>>;

impl Balancer {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let ports = Arc::new(Mutex::new(Vec::new()));
        let (tell, ready) = watch::channel(Vec::new());
        let asks = tokio::spawn(ask(Arc::clone(&ports), tell));
        let hands = tokio::spawn(async move {
            let mut next = 0;
            while let Ok((caller, _)) = listener.accept().await {
                next += 1;
                tokio::spawn(hand_over(caller, next, ready.clone()));
            }
        });
        Self { port, ports, tasks: [asks, hands] }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Asks each node periodically whether it is ready.
async fn ask(ports: Arc<Mutex<Vec<u16>>>, tell: watch::Sender<Vec<u16>>) {
    let client = client();
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let all = ports.lock().expect("no test panicked").clone();
        let ready = futures_util::future::join_all(all.iter().map(|port| {
            let call = client
                .get(format!("http://127.0.0.1:{port}/readyz"))
                .timeout(Duration::from_secs(1))
                .send();
            async move { call.await.is_ok_and(|answer| answer.status().is_success()) }
        }));
        let ready = ready.await;
        tell.send_replace(
            all.into_iter().zip(ready).filter_map(|(port, ready)| ready.then_some(port)).collect(),
        );
    }
}

async fn hand_over(caller: TcpStream, turn: usize, mut ready: Ready) {
    // If no node is ready, or the chosen one does not answer, the caller's connection is closed.
    let nodes = ready.borrow().clone();
    let Some(port) = nodes.get(turn % nodes.len().max(1)).copied() else { return };
    let Ok(node) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    tokio::select! {
        () = pass_on(caller, node) => {}
        _ = ready.wait_for(|nodes| !nodes.contains(&port)) => {}
    }
}

async fn pass_on(mut caller: TcpStream, mut node: TcpStream) {
    // If the connection breaks, the caller will notice.
    let _ = tokio::io::copy_bidirectional(&mut caller, &mut node).await;
}

/// A connection to a database that can be cut and mended like a cable.
pub(crate) struct Cable {
    pub(crate) port: u16,
    cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Cable {
    /// A cable to `port` of this machine.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let (cut, is_cut) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let mut is_cut = is_cut.clone();
                tokio::spawn(async move {
                    // While it is cut, nothing is answered and nothing is refused, as when packets
                    // are lost.
                    let _ = is_cut.wait_for(|cut| !cut).await;
                    let Ok(node) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
                        return;
                    };
                    tokio::select! {
                        () = pass_on(caller, node) => {}
                        _ = is_cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { port: own, cut, task }
    }

    /// Cuts every connection; new ones hang.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Mends it.
    pub(crate) fn mend(&self) {
        self.cut.send_replace(false);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.task.abort();
    }
}
