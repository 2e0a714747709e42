//! Notification channels: who made them, which topics they have, and the socket that listens.
//!
//! The world publishes events here; the sockets of the HTTP side take them from here.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::clock::later;

/// The most channels that one OAuth client may have (reference, section 8).
pub(crate) const MAX_CHANNELS: usize = 20;
/// The most topics that one channel may have; more are answered with 400.
pub(crate) const MAX_TOPICS: usize = 1_000;
/// How long a channel lives after its topics were last set.
const LIFE: Duration = Duration::from_hours(24);
/// The most frames that may wait for a slow reader; if there are more, its socket is closed.
const MAX_WAITING: usize = 10_000;

/// An instruction to a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Send this frame.
    Frame(Frame),
    /// Say that the socket closes in a minute, then close it.
    CloseSoon,
    /// Close at once.
    Close,
}

/// An event in the form that goes over a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) topic: String,
    pub(crate) conversation: String,
    /// The whole frame, as JSON.
    pub(crate) json: String,
}

/// A notification channel of one OAuth client, which ends 24 h after its topics were last set.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) id: String,
    client: String,
    pub(crate) expires: Timestamp,
    /// In the requested order, each once.
    pub(crate) topics: Vec<String>,
    /// Orders the channels by their creation.
    number: u64,
    socket: Option<mpsc::Sender<Signal>>,
}

impl Channel {
    fn is_connected(&self) -> bool {
        self.socket.as_ref().is_some_and(|socket| !socket.is_closed())
    }
}

/// Why a channel is not made, or not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelRefusal {
    /// Every channel of the client has a socket.
    TooMany,
    /// There is no such channel, or it no longer exists.
    None,
    /// The channel already has a socket.
    Connected,
}

/// Every channel that lives.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    live: HashMap<String, Channel>,
    made: u64,
}

impl Channels {
    /// Creates a channel. If the client has too many, its oldest one without a socket is removed.
    pub(crate) fn make(
        &mut self,
        id: String,
        client: &str,
        now: Timestamp,
    ) -> Result<&Channel, ChannelRefusal> {
        self.live.retain(|_, channel| channel.expires > now);
        let of_client = || self.live.values().filter(|channel| channel.client == client);
        if of_client().count() >= MAX_CHANNELS {
            let oldest = of_client()
                .filter(|channel| !channel.is_connected())
                .min_by_key(|channel| channel.number);
            let oldest = oldest.ok_or(ChannelRefusal::TooMany)?.id.clone();
            self.live.remove(&oldest);
        }
        self.made += 1;
        let channel = Channel {
            id: id.clone(),
            client: client.to_owned(),
            expires: later(now, LIFE),
            topics: Vec::new(),
            number: self.made,
            socket: None,
        };
        Ok(self.live.entry(id).or_insert(channel))
    }

    /// The client's channels, oldest first.
    pub(crate) fn of(&self, client: &str, now: Timestamp) -> Vec<&Channel> {
        let mut found: Vec<_> = self
            .live
            .values()
            .filter(|channel| channel.client == client && channel.expires > now)
            .collect();
        found.sort_by_key(|channel| channel.number);
        found
    }

    /// The client's channel with that id.
    pub(crate) fn get(&self, id: &str, client: &str, now: Timestamp) -> Option<&Channel> {
        self.live.get(id).filter(|channel| channel.client == client && channel.expires > now)
    }

    /// Sets the channel's topics and restarts its life. Topics beyond the maximum are dropped.
    pub(crate) fn subscribe(&mut self, id: &str, topics: Vec<String>, now: Timestamp) {
        let Some(channel) = self.live.get_mut(id) else { return };
        channel.topics = topics;
        channel.expires = later(now, LIFE);
    }

    /// When the channel expires; `None` if it has expired.
    pub(crate) fn expiry(&self, id: &str) -> Option<Timestamp> {
        self.live.get(id).map(|channel| channel.expires)
    }

    /// Gives the channel a socket; the one that it had is closed if it may be replaced.
    pub(crate) fn connect(
        &mut self,
        id: &str,
        replace: bool,
        now: Timestamp,
    ) -> Result<mpsc::Receiver<Signal>, ChannelRefusal> {
        let channel = self
            .live
            .get_mut(id)
            .filter(|channel| channel.expires > now)
            .ok_or(ChannelRefusal::None)?;
        if channel.is_connected() && !replace {
            return Err(ChannelRefusal::Connected);
        }
        let (socket, signals) = mpsc::channel(MAX_WAITING);
        // The socket that was there sees the end of its signals, and closes.
        channel.socket = Some(socket);
        Ok(signals)
    }

    /// Whether any socket would receive a frame of this topic.
    pub(crate) fn wants(&self, topic: &str, now: Timestamp) -> bool {
        self.listening(now).any(|channel| channel.topics.iter().any(|each| each == topic))
    }

    /// Sends a frame to the channels that want it. A channel without a socket misses it for good.
    pub(crate) fn publish(&mut self, frame: &Frame, now: Timestamp) {
        let hears =
            |channel: &&mut Channel| channel.expires > now && channel.topics.contains(&frame.topic);
        for channel in self.live.values_mut().filter(hears) {
            let sent = channel
                .socket
                .as_ref()
                .is_none_or(|socket| socket.try_send(Signal::Frame(frame.clone())).is_ok());
            if !sent {
                channel.socket = None;
            }
        }
    }

    /// Signals the sockets of a client, or all; returns how many.
    pub(crate) fn signal(&mut self, client: Option<&str>, signal: &Signal) -> usize {
        let meant = self
            .live
            .values()
            .filter(|channel| client.is_none_or(|client| client == channel.client));
        meant
            .filter(|channel| {
                channel.socket.as_ref().is_some_and(|it| it.try_send(signal.clone()).is_ok())
            })
            .count()
    }

    fn listening(&self, now: Timestamp) -> impl Iterator<Item = &Channel> {
        self.live.values().filter(move |channel| channel.expires > now && channel.is_connected())
    }
}

/// Why a topic is refused; `None` if the sandbox knows it.
pub(crate) fn rejection(topic: &str) -> Option<&'static str> {
    const UNKNOWN: &str = "the sandbox knows no such topic";
    if matches!(topic, "channel.metadata" | "v2.system.socket_closing") {
        return None;
    }
    let id_before = |rest: &str, ends: &[&str]| {
        let id = ends.iter().find_map(|end| rest.strip_suffix(end));
        id.is_some_and(|id| !id.is_empty() && !id.contains('.'))
    };
    let known = if let Some(rest) = topic.strip_prefix("v2.detail.events.conversation.") {
        id_before(rest, &[".user.end", ".customer.end", ".acd.end", ".acw"])
    } else if let Some(rest) =
        topic.strip_prefix("v2.routing.queues.").or_else(|| topic.strip_prefix("v2.users."))
    {
        id_before(rest, &[".conversations.messages"])
    } else {
        false
    };
    (!known).then_some(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        later(Timestamp::UNIX_EPOCH, Duration::from_secs(secs))
    }

    #[test]
    fn the_oldest_channel_without_a_socket_makes_room() {
        let mut channels = Channels::default();
        for number in 0..MAX_CHANNELS {
            channels.make(number.to_string(), "one", at(0)).unwrap();
        }
        channels.make("other".to_owned(), "two", at(0)).unwrap();
        let first = channels.connect("0", true, at(0)).unwrap();
        channels.make("new".to_owned(), "one", at(1)).unwrap();
        assert!(channels.get("0", "one", at(1)).is_some(), "it has a socket");
        assert!(channels.get("1", "one", at(1)).is_none());
        assert!(channels.get("other", "two", at(1)).is_some());
        assert!(channels.get("other", "one", at(1)).is_none(), "it is another client's");
        let others: Vec<_> =
            channels.of("one", at(1)).iter().map(|channel| channel.id.clone()).collect();
        let sockets: Vec<_> =
            others.iter().map(|id| channels.connect(id, true, at(1)).unwrap()).collect();
        assert_eq!(
            channels.make("more".to_owned(), "one", at(2)).unwrap_err(),
            ChannelRefusal::TooMany
        );
        drop((first, sockets));
        assert!(channels.make("more".to_owned(), "one", at(2)).is_ok());
    }

    #[test]
    fn a_channel_lives_a_day_from_its_last_subscription() {
        let mut channels = Channels::default();
        channels.make("a".to_owned(), "one", at(0)).unwrap();
        channels.subscribe("a", vec!["t".to_owned()], at(10));
        assert!(channels.get("a", "one", at(86_409)).is_some());
        assert!(channels.get("a", "one", at(86_410)).is_none());
        assert_eq!(channels.connect("a", true, at(86_410)).unwrap_err(), ChannelRefusal::None);
    }

    #[test]
    fn topics_are_told_apart() {
        for topic in [
            "v2.detail.events.conversation.0b7d.user.end",
            "v2.detail.events.conversation.0b7d.acw",
            "v2.routing.queues.q.conversations.messages",
            "v2.users.u.conversations.messages",
            "channel.metadata",
        ] {
            assert_eq!(rejection(topic), None, "{topic}");
        }
        for topic in [
            "",
            "v2.detail.events.conversation.user.end",
            "v2.detail.events.conversation..user.end",
            "v2.detail.events.conversation.a.b.user.end",
            "v2.detail.events.conversation.a.user.start",
            "v2.users.u.presence",
            "v2.users.{id}.conversations.messages.more",
        ] {
            assert!(rejection(topic).is_some(), "{topic}");
        }
    }
}
