//! Listens to Genesys's notifications. They are only hints for the poll, which asks Genesys: frames
//! are lost while the socket is down.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use genesys::notifications::{Frames, MOST_TOPICS, customer_end};
use genesys::{CallError, Client, Lane, LastCall};
use store::WatchedConversation;
use tokio::sync::mpsc;

use super::Hint;
use crate::engine::Engine;
use crate::failed_calls::{self, FailedCall};
use crate::settings::Integration;

/// How many topics one call subscribes to.
const TOPICS: usize = 200;
/// The pause before the first reconnect. It doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

struct Listener {
    engine: Arc<Engine>,
    integration: Arc<Integration>,
    hints: mpsc::Sender<Hint>,
    /// The channel belongs to the OAuth client that created it.
    client: Client,
    channel: String,
    topics: HashMap<String, WatchedConversation>,
}

/// Listens until the gateway stops, and reconnects whenever the socket ends.
pub(super) async fn run(
    engine: Arc<Engine>,
    integration: Arc<Integration>,
    hints: mpsc::Sender<Hint>,
    mut opened: mpsc::Receiver<WatchedConversation>,
) {
    let mut pause = PAUSE;
    let last_call = LastCall::default();
    loop {
        let session = async {
            let (mut listener, mut frames) =
                Listener::connect(&engine, &integration, &hints, &last_call).await?;
            pause = PAUSE;
            listener.subscribe_to_all().await?;
            // Polling finds the ends that were missed while the socket was down.
            let _ = hints.send(Hint::LookAtAll).await;
            listener.listen(&mut frames, &mut opened).await
        };
        let ended: Result<(), CallError> = tokio::select! {
            ended = session => ended,
            () = engine.stop.cancelled() => return,
        };
        match ended {
            Ok(()) => {
                tracing::debug!(integration = %integration.name, "the notification socket has \
                    ended");
            }
            Err(error) => {
                let follows = "conversations are polled meanwhile";
                failed_calls::report(
                    &engine,
                    &integration,
                    &FailedCall::new(&last_call, &error),
                    follows,
                );
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = engine.stop.cancelled() => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Listener {
    async fn connect(
        engine: &Arc<Engine>,
        integration: &Arc<Integration>,
        hints: &mpsc::Sender<Hint>,
        last_call: &LastCall,
    ) -> Result<(Self, Frames), CallError> {
        let none = || CallError::NotSent { cause: "there is no OAuth client".into() };
        let permit = integration.budget.permit(Lane::Background).await.ok_or_else(none)?;
        let client = permit.client().clone().noting(last_call);
        let made = client.create_channel().await;
        permit.done(&made);
        let channel = made?.value;
        let frames = client.listen(&channel).await?;
        let listener = Self {
            engine: Arc::clone(engine),
            integration: Arc::clone(integration),
            hints: hints.clone(),
            client,
            channel: channel.id.unwrap_or_default(),
            topics: HashMap::new(),
        };
        Ok((listener, frames))
    }

    /// Subscribes to the conversations that have a session now, up to the limit of a channel. The
    /// others are only polled.
    async fn subscribe_to_all(&mut self) -> Result<(), CallError> {
        let name = &self.integration.name;
        let ask = || self.engine.store.watched(name, None, MOST_TOPICS);
        let Some(all) = self.engine.retry_until_stopped("read the open conversations", ask).await
        else {
            return Ok(());
        };
        for page in all.chunks(TOPICS) {
            self.subscribe(page.to_vec()).await?;
        }
        Ok(())
    }

    async fn subscribe(&mut self, watched: Vec<WatchedConversation>) -> Result<(), CallError> {
        let named = watched.into_iter().map(|watched| (customer_end(&watched.genesys), watched));
        let new: HashMap<_, _> =
            named.filter(|(topic, _)| !self.topics.contains_key(topic)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let topics: Vec<String> = new.keys().cloned().collect();
        let call = async |_| self.client.subscribe(&self.channel, &topics).await;
        self.integration.budget.call(Lane::Background, call).await?;
        self.topics.extend(new);
        Ok(())
    }

    /// Returns when the socket ends, or when the channel is full. Most of its conversations have
    /// ended long before that, so a new channel has room.
    async fn listen(
        &mut self,
        frames: &mut Frames,
        opened: &mut mpsc::Receiver<WatchedConversation>,
    ) -> Result<(), CallError> {
        let mut new = Vec::new();
        while self.topics.len() < MOST_TOPICS {
            tokio::select! {
                frame = frames.next() => match frame {
                    Ok(frame) => {
                        if let Some(watched) = self.topics.get(&frame.topic) {
                            // If too many hints wait already, the next round finds the end.
                            let _ = self.hints.try_send(Hint::Ended(watched.clone()));
                        }
                    }
                    Err(end) => {
                        tracing::debug!(integration = %self.integration.name, %end, "no more notifications");
                        return Ok(());
                    }
                },
                _ = opened.recv_many(&mut new, TOPICS) => self.subscribe(std::mem::take(&mut new)).await?,
            }
        }
        Ok(())
    }
}
