//! The store's clock across processes, boots and wrong wall clocks, on a file.

use std::sync::{Arc, Mutex};

use conversation::{Clock, ConversationId, Input, IntegrationName, MessageId, Record};
use jiff::{SignedDuration, Timestamp};
use store::{Append, AppendPriority, Arrival, Direction, Machine, NewMessage, SqliteStore, Store};

/// A machine whose clocks the test sets.
#[derive(Debug)]
struct FakeMachine {
    wall: Mutex<Timestamp>,
    uptime: Mutex<SignedDuration>,
    boot: Option<&'static str>,
}

impl FakeMachine {
    fn new(wall: &str, uptime_minutes: i64, boot: Option<&'static str>) -> Arc<Self> {
        let uptime = SignedDuration::from_mins(uptime_minutes);
        Arc::new(Self { wall: Mutex::new(at(wall)), uptime: Mutex::new(uptime), boot })
    }

    fn goes_on(&self, minutes: i64) {
        *self.uptime.lock().expect("no test panicked") += SignedDuration::from_mins(minutes);
    }

    fn set_wall(&self, wall: &str) {
        *self.wall.lock().expect("no test panicked") = at(wall);
    }
}

impl Machine for FakeMachine {
    fn wall(&self) -> Timestamp {
        *self.wall.lock().expect("no test panicked")
    }

    fn uptime(&self) -> SignedDuration {
        *self.uptime.lock().expect("no test panicked")
    }

    fn boot(&self) -> Option<String> {
        self.boot.map(str::to_owned)
    }
}

/// The time `HH:MM` on 2026-11-20, in UTC.
fn at(time: &str) -> Timestamp {
    format!("2026-11-20T{time}:00Z").parse().expect("a time")
}

struct File(tempfile::TempDir);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// A process that ends at once, unless the test keeps what it returns.
    async fn process(&self, machine: &Arc<FakeMachine>) -> (SqliteStore, Arc<dyn Clock>) {
        let store =
            SqliteStore::open(&format!("sqlite:{}", self.0.path().join("tidegate.db").display()));
        let store = store.expect("it opens");
        let clock = store.clock(Arc::clone(machine) as Arc<dyn Machine>).await.expect("a clock");
        (store, clock)
    }

    /// What the next process's clock says when it starts.
    async fn next(&self, machine: &Arc<FakeMachine>) -> Timestamp {
        let (store, clock) = self.process(machine).await;
        let now = clock.now();
        store.close().await;
        now
    }

    /// A process that leaves a message waiting, received and decided at its clock's time.
    async fn leaves_something(&self, machine: &Arc<FakeMachine>) {
        self.leaves(machine, vec![Record::Paused], true).await;
    }

    /// The same with these records. The inbox keeps the message, and a wake-up is set, if `waits`.
    async fn leaves(&self, machine: &Arc<FakeMachine>, records: Vec<Record>, waits: bool) {
        let (store, clock) = self.process(machine).await;
        let (acme, received) = (IntegrationName::new("acme"), clock.now());
        let conversation = ConversationId::of(&acme, "noor");
        let message = NewMessage {
            integration: acme.clone(),
            direction: Direction::Outbound,
            id: MessageId::new("m"),
            foreign_id: "m".to_owned(),
            conversation: conversation.clone(),
            customer: "{}".to_owned(),
            received,
            body: b"{}"[..].into(),
            input: Some(Input::Tick),
        };
        store.accept(Arrival::Message(message)).await.expect("taken");
        let append = Append {
            conversation,
            integration: acme,
            after: 0,
            at: received,
            records,
            taken: if waits { Vec::new() } else { vec![1] },
            due: waits.then_some(received),
            watched: None,
            standing: None,
            snapshot: None,
            priority: AppendPriority::Normal,
        };
        store.append(append).await.expect("appended");
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_goes_on_with_the_machine_whoever_sets_the_wall_clock() {
    let (file, machine) = (File::new(), FakeMachine::new("09:00", 10, Some("boot")));
    file.leaves_something(&machine).await;
    for wall in ["10:05", "08:05", "09:05"] {
        machine.set_wall(wall);
        assert_eq!(
            file.next(&machine).await,
            at("09:00"),
            "no time has passed, whatever {wall} says"
        );
    }
    machine.goes_on(5);
    assert_eq!(file.next(&machine).await, at("09:05"));
    let (store, clock) = file.process(&machine).await;
    machine.goes_on(7);
    machine.set_wall("23:00");
    assert_eq!((clock.now(), clock.wall()), (at("09:12"), at("23:00")));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_another_boot_the_wall_clock_is_believed_unless_it_went_back() {
    for (boot, wall, expected) in [
        (Some("another boot"), "08:00", "09:00"),
        (Some("another boot"), "09:30", "09:30"),
        (None, "08:00", "09:00"),
        (None, "09:30", "09:30"),
    ] {
        let file = File::new();
        file.leaves_something(&FakeMachine::new("09:00", 10, Some("boot"))).await;
        assert_eq!(
            file.next(&FakeMachine::new(wall, 1, boot)).await,
            at(expected),
            "{boot:?} at {wall}"
        );
    }
    // Two unknown boots do not count as the same boot.
    let file = File::new();
    file.leaves_something(&FakeMachine::new("09:00", 10, None)).await;
    assert_eq!(file.next(&FakeMachine::new("09:30", 11, None)).await, at("09:30"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_was_put_back_to_an_earlier_moment_goes_not_back() {
    let file = File::new();
    file.leaves_something(&FakeMachine::new("09:00", 10, Some("boot"))).await;
    assert_eq!(file.next(&FakeMachine::new("08:00", 4, Some("boot"))).await, at("09:00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_was_mended_is_taken_over_once_nothing_waits() {
    let (file, machine) = (File::new(), FakeMachine::new("09:00", 10, Some("boot")));
    assert_eq!(file.next(&machine).await, at("09:00"));
    machine.set_wall("12:00");
    assert_eq!(file.next(&machine).await, at("12:00"));
    machine.set_wall("09:00");
    assert_eq!(file.next(&machine).await, at("12:00"), "not before the latest time in the store");
}

/// An outbox item is retried until a deadline by this clock, although it has no wake-up time and no
/// input.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_goes_on_while_genesys_is_owed_something() {
    let (file, machine) = (File::new(), FakeMachine::new("09:00", 10, Some("boot")));
    let released = Record::InboundReleased { message: MessageId::new("m"), answer: None };
    file.leaves(&machine, vec![released], false).await;
    machine.set_wall("12:00");
    assert_eq!(file.next(&machine).await, at("09:00"));
}
