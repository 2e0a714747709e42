//! A chat service with sockets to several nodes on one database.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tempfile::TempDir;

use crate::postgres_cluster::Cluster;
use crate::support::{
    Gateway, Heard, Sandbox, ServiceSocket, WEBHOOK_SECRET, audit, eventually, free_port,
    opens_sockets,
};

/// Starts two nodes. Genesys knows the first.
async fn two_nodes(dir: &TempDir, cluster: &Cluster) -> (Sandbox, Gateway, Gateway) {
    let sandbox = Sandbox::start(dir.path(), &[]).await;
    let ports = [free_port(), free_port()];
    let webhook = format!("http://127.0.0.1:{}/genesys/acme", ports[0]);
    let id = sandbox.create_integration(&webhook, WEBHOOK_SECRET).await;
    let mut nodes = Vec::new();
    for (number, port) in ports.into_iter().enumerate() {
        let folder = dir.path().join(format!("node-{number}"));
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::write(folder.join("store.url"), cluster.url()).expect("written");
        let config = Gateway::configure(&folder, port, &sandbox.url, &id, "http://x", "");
        opens_sockets(&config, "");
        nodes.push(Gateway::start(&config, port).await);
    }
    let second = nodes.pop().expect("two nodes");
    (sandbox, nodes.remove(0), second)
}

#[tokio::test]
async fn a_node_without_a_socket_holds_messages_until_one_comes() {
    let cluster = Cluster::start();
    let dir = tempfile::tempdir().expect("a folder");
    let (sandbox, first, second) = two_nodes(&dir, &cluster).await;
    eventually("the second node drives some", async || {
        second.process.log().contains("conversations taken over").then_some(())
    })
    .await;
    let book: Arc<Mutex<Vec<Heard>>> = Arc::default();
    let socket = ServiceSocket::open(&first.url).await;
    let node = socket.hello["hello"]["node"].clone();
    socket.works(&book);
    let customers: Vec<_> = (0..12).map(|n| format!("customer-{n}")).collect();
    let mut messages = Vec::new();
    for customer in &customers {
        let event = json!({ "type": "message.created", "id": customer, "text": "Hello?",
            "customer": { "id": customer } });
        assert_eq!(first.events(event.to_string().as_bytes()).await.0, 202);
        let send = async || sandbox.agent_sends(customer, customer).await;
        messages.push(eventually("the agent has the conversation", send).await);
    }
    // The second node tries its part in vain.
    eventually("the second node misses a socket", async || {
        second.process.log().contains("has no socket open at this node").then_some(())
    })
    .await;
    let socket = ServiceSocket::open(&second.url).await;
    assert_ne!(socket.hello["hello"]["node"], node, "the two can be told apart");
    socket.works(&book);
    for message in &messages {
        assert_eq!(sandbox.final_receipt(message).await, ("Delivered".to_owned(), None));
    }
    let heard = book.lock().expect("no test panicked").clone();
    let texts: BTreeSet<_> = heard.iter().map(|one| one.text.clone()).collect();
    assert_eq!((heard.len(), texts), (12, customers.into_iter().collect()), "once each");
    let sockets: BTreeSet<_> = heard.iter().map(|one| &one.socket).collect();
    assert_eq!(sockets.len(), 2, "each node has its part");
    let (code, report) = audit(&cluster.url());
    assert_eq!(code, Some(0), "{report}");
}
