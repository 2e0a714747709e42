//! The JSON in the store: records, inputs, snapshots, and what Genesys is owed. What was written is
//! read back unchanged, and neither the state machine nor the audit panics on anything that can be
//! read.
//!
//! The first byte chooses a policy. Each line after it is `MILLISECONDS JSON`, and is used as
//! whatever it can be read as.

#![no_main]

use std::collections::HashSet;
use std::fmt::Debug;

use conversation::{
    AfterFailure, Conversation, DeliveredOn, History, Input, NoticeKind, OnUnknown, Owed, Policy,
    Record, SendReceipts,
};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Some((first, lines)) = data.split_first() else { return };
    let mut story = Story::new(policy(*first));
    for line in lines.split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let (at, json) = line.trim().split_once(' ').unwrap_or(("", line));
        let at = at.parse().ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
        story.tell(at.unwrap_or(story.now), json);
    }
    story.end();
});

fn policy(choice: u8) -> Policy {
    let mut policy = Policy::default();
    policy.delivery.after_failure =
        [AfterFailure::Continue, AfterFailure::FailRest, AfterFailure::Pause]
            [usize::from(choice % 3)];
    policy.delivery.on_unknown = [OnUnknown::Retry, OnUnknown::Fail][usize::from(choice / 3 % 2)];
    policy.receipts.send = [SendReceipts::Final, SendReceipts::All, SendReceipts::Failures]
        [usize::from(choice / 6 % 3)];
    policy.receipts.delivered_on =
        [DeliveredOn::Auto, DeliveredOn::Accepted, DeliveredOn::Reported]
            [usize::from(choice / 18 % 3)];
    if choice / 54 % 2 == 1 {
        policy.notices = [NoticeKind::Held, NoticeKind::Expired, NoticeKind::Failed].into();
    }
    policy
}

struct Story {
    policy: Policy,
    now: Timestamp,
    snapshot: Conversation,
    conversation: Conversation,
    records: Vec<(Timestamp, Record)>,
    history: History,
    /// The store knows each message by its id, and accepts each only once.
    messages: HashSet<String>,
    /// Everything journaled so far was decided by the state machine itself.
    own: bool,
}

impl Story {
    fn new(policy: Policy) -> Self {
        Self {
            policy,
            now: Timestamp::constant(1_795_165_443, 482_000_000),
            snapshot: Conversation::default(),
            conversation: Conversation::default(),
            records: Vec::new(),
            history: History::default(),
            messages: HashSet::new(),
            own: true,
        }
    }

    fn tell(&mut self, at: Timestamp, json: &str) {
        if let Ok(record) = serde_json::from_str::<Record>(json) {
            assert_kept(&record);
            self.own = false;
            self.conversation =
                Conversation::replay(self.conversation.clone(), [(at, record.clone())]);
            self.journal(at, record);
        } else if let Ok(input) = serde_json::from_str::<Input>(json) {
            assert_kept(&input);
            // The clock only goes forward, except through what the journal holds.
            self.now = self.now.max(at);
            self.handle(input);
        } else if let Ok(snapshot) = serde_json::from_str::<Conversation>(json) {
            assert_kept(&snapshot);
            if self.records.is_empty() {
                self.own = false;
                self.snapshot = snapshot.clone();
                self.conversation = snapshot;
            }
        } else if let Ok(owed) = serde_json::from_str::<Owed>(json) {
            assert_kept(&owed);
            assert!(!owed.key().is_empty());
            let _ = owed.is_urgent();
        }
    }

    fn handle(&mut self, input: Input) {
        if let Input::AgentMessage { message, .. } | Input::CustomerMessage { message, .. } = &input
            && !self.messages.insert(message.to_string())
        {
            return;
        }
        for record in self.conversation.handle(&self.policy, self.now, input).records {
            assert_kept(&record);
            self.journal(self.now, record);
        }
        let wakeup = self.conversation.next_wakeup(&self.policy);
        assert!(
            !self.own || wakeup.is_none_or(|wakeup| wakeup > self.now),
            "time was not made use of: {wakeup:?}"
        );
    }

    fn journal(&mut self, at: Timestamp, record: Record) {
        self.history.read(self.history.seq() + 1, at, &record);
        self.records.push((at, record));
    }

    fn end(self) {
        let replayed = Conversation::replay(self.snapshot, self.records);
        assert_eq!(replayed, self.conversation, "the state is the sum of its records");
        assert_kept(&replayed);
        if self.own {
            assert_eq!(self.history.breaches(), []);
        }
        let _ = (
            replayed.is_idle(),
            replayed.is_calling(),
            replayed.inbound_waiting(),
            replayed.watched(),
        );
        let _ = (self.history.unsettled().count(), self.history.unreceipted().count());
    }
}

/// What was written is read back unchanged, both from text and from a `Value`.
fn assert_kept<T: Debug + PartialEq + serde::Serialize + serde::de::DeserializeOwned>(it: &T) {
    let json = serde_json::to_string(it).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).expect(&json), it);
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(&serde_json::from_value::<T>(value).expect(&json), it);
}
