//! Hints from node to node that a conversation's inbox has something new, by `NOTIFY`. They make things faster and nothing
//! else: behind a pooler they are lost, and looking into the inbox finds what they would have told.

use std::sync::Arc;
use std::time::Duration;

use conversation::ConversationId;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Config, NoTls};

use super::link::{Error, Link};
use crate::drive::{Leases, News};

const CHANNEL: &str = "tidegate";
/// How many hints may wait; what finds no room is found by looking.
pub(super) const WAITING: usize = 1_000;
/// How many conversations one notification names: the database takes 8,000 bytes.
const NAMED: usize = 200;
/// The pause before a new connection.
const PAUSE: Duration = Duration::from_secs(2);

/// Sends what is named, as many at once as have gathered: a notification takes a lock of the whole database.
pub(super) async fn send(link: Link, mut named: mpsc::Receiver<ConversationId>) {
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
            tracing::debug!(%error, "a hint was not sent");
        }
        all.clear();
    }
}

/// Hears what other nodes name, and passes on what this one drives.
pub(super) async fn listen(config: Config, leases: Arc<Leases>, news: mpsc::Sender<News>) {
    loop {
        if let Err(error) = hear(&config, &leases, &news).await {
            tracing::debug!(%error, "no hints from other nodes; looking goes on");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(
    config: &Config,
    leases: &Arc<Leases>,
    news: &mpsc::Sender<News>,
) -> Result<(), Error> {
    let (client, mut connection) = config.connect(NoTls).await?;
    let mut messages =
        futures_util::stream::poll_fn(move |context| connection.poll_message(context));
    let ask = async {
        client.batch_execute("listen tidegate").await?;
        // The session listens for as long as the client lives.
        std::future::pending::<Result<(), Error>>().await
    };
    let hear = async {
        while let Some(message) = messages.next().await {
            let AsyncMessage::Notification(notification) = message? else { continue };
            for id in notification.payload().split(',') {
                let id = ConversationId::new(id);
                if leases.drive(&id).is_some() {
                    // Where there is no room, it is found by looking.
                    let _ = news.try_send(News::Inbox(id));
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
