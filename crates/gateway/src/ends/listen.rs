//! Listens to Genesys's notifications. What they say is a hint for the poll, which asks and decides: frames are lost
//! whenever the socket is away.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use genesys::notifications::{Frames, MOST_TOPICS, customer_end};
use genesys::{CallError, Client, Lane};
use store::Watched;
use tokio::sync::mpsc;

use super::Hint;
use crate::engine::Engine;
use crate::settings::Integration;

/// How many topics one call subscribes to.
const TOPICS: usize = 200;
/// The pause before the first new connection; it doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

struct Listener {
    engine: Arc<Engine>,
    integration: Arc<Integration>,
    hints: mpsc::Sender<Hint>,
    /// A channel belongs to the OAuth client that made it.
    client: Client,
    channel: String,
    topics: HashMap<String, Watched>,
}

/// Listens until the gateway stops; connects anew whenever the socket ends.
pub(super) async fn run(
    engine: Arc<Engine>,
    integration: Arc<Integration>,
    hints: mpsc::Sender<Hint>,
    mut opened: mpsc::Receiver<Watched>,
) {
    let mut pause = PAUSE;
    loop {
        let session = async {
            let (mut listener, mut frames) =
                Listener::connect(&engine, &integration, &hints).await?;
            pause = PAUSE;
            listener.subscribe_to_all().await?;
            // What happened while nobody listened is found by asking.
            let _ = hints.send(Hint::LookAtAll).await;
            listener.listen(&mut frames, &mut opened).await
        };
        let ended: Result<(), CallError> = tokio::select! {
            ended = session => ended,
            () = engine.stop.cancelled() => return,
        };
        match ended {
            Ok(()) => {
                tracing::debug!(integration = %integration.name, "the notification socket has ended")
            }
            Err(error) => {
                tracing::warn!(integration = %integration.name, %error, "no notifications; asking goes on")
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
    ) -> Result<(Self, Frames), CallError> {
        let none = || CallError::NotSent { cause: "there is no OAuth client".to_owned() };
        let permit = integration.budget.permit(Lane::Background).await.ok_or_else(none)?;
        let client = permit.client().clone();
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

    /// The conversations that have a session now, as many as a channel takes; the rest is only asked about.
    async fn subscribe_to_all(&mut self) -> Result<(), CallError> {
        let name = &self.integration.name;
        let ask = || self.engine.store.watched(name, None, MOST_TOPICS);
        let Some(all) = self.engine.patiently("look for open conversations", ask).await else {
            return Ok(());
        };
        for page in all.chunks(TOPICS) {
            self.subscribe(page.to_vec()).await?;
        }
        Ok(())
    }

    async fn subscribe(&mut self, watched: Vec<Watched>) -> Result<(), CallError> {
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

    /// Until the socket ends, or until the channel is full of conversations that ended long ago.
    async fn listen(
        &mut self,
        frames: &mut Frames,
        opened: &mut mpsc::Receiver<Watched>,
    ) -> Result<(), CallError> {
        let mut new = Vec::new();
        while self.topics.len() < MOST_TOPICS {
            tokio::select! {
                frame = frames.next() => match frame {
                    Ok(frame) => {
                        if let Some(watched) = self.topics.get(&frame.topic) {
                            // Where too many wait already, the next round finds it.
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
