//! Hints between nodes that a conversation's inbox has something new, by `NOTIFY`. They only reduce
//! latency. Behind a pooler they are lost, and polling finds the input instead.

use std::sync::Arc;
use std::time::Duration;

use conversation::ConversationId;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Config, NoTls};

use super::link::{Error, PgConnection};
use crate::Chain;
use crate::lease::HeldLeases;

const CHANNEL: &str = "tidegate";
/// How many hints may wait. Polling finds the input of those that do not fit.
pub(super) const WAITING: usize = 1_000;
/// How many conversations one notification names: the database takes less than 8,000 bytes.
const NAMED: usize = 200;
/// The pause before a new connection.
const PAUSE: Duration = Duration::from_secs(2);

/// Sends the hints that have gathered as one notification, because each takes a lock on the whole
/// database.
pub(super) async fn send(link: PgConnection, mut named: mpsc::Receiver<ConversationId>) {
    let mut all = Vec::with_capacity(NAMED);
    while named.recv_many(&mut all, NAMED).await > 0 {
        all.sort_unstable();
        all.dedup();
        let text: Vec<&str> = all.iter().map(ConversationId::as_str).collect();
        let text = text.join(",");
        let sent = link.alone(async |client| {
            let params = [(&CHANNEL as _, Type::TEXT), (&text as _, Type::TEXT)];
            client.query_typed("select pg_notify($1, $2)", &params).await?;
            Ok(())
        });
        if let Err(error) = sent.await {
            tracing::debug!(error = %Chain(&error), "cannot send a hint");
        }
        all.clear();
    }
}

/// Receives hints from other nodes, and passes on those for conversations that this node drives.
pub(super) async fn listen(
    config: Config,
    leases: Arc<HeldLeases>,
    hints: mpsc::Sender<ConversationId>,
) {
    loop {
        if let Err(error) = hear(&config, &leases, &hints).await {
            let error = Chain(&error);
            tracing::debug!(%error, "cannot receive hints from other nodes; polling continues");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(
    config: &Config,
    leases: &Arc<HeldLeases>,
    hints: &mpsc::Sender<ConversationId>,
) -> Result<(), Error> {
    let (client, mut connection) = config.connect(NoTls).await?;
    let mut messages =
        futures_util::stream::poll_fn(move |context| connection.poll_message(context));
    let ask = async {
        client.batch_execute("listen tidegate").await?;
        // The session listens as long as `client` lives.
        std::future::pending::<Result<(), Error>>().await
    };
    let hear = async {
        while let Some(message) = messages.next().await {
            let AsyncMessage::Notification(notification) = message? else { continue };
            for id in notification.payload().split(',') {
                let id = ConversationId::new(id);
                if leases.acquire(&id).is_some() {
                    // If the queue is full, the next scan finds it.
                    let _ = hints.try_send(id);
                }
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = ask => ended,
        ended = hear => ended,
    }
}
