//! What every store must do, written against the trait. A panic says what the store does wrong.
//!
//! [`keeps_its_word`] needs an empty store. [`remembers`] needs the same store, reopened after
//! that.

mod customers;
mod find;
mod lists;

use std::time::Duration;

use conversation::{
    AttemptOutcome, Conversation, ConversationId, Effect, Input, IntegrationName, MessageId,
    MessageRef, OpenOutcome, Owed, Policy, PostResult, Record, Report, SessionId,
};
use jiff::Timestamp;

use crate::{
    Acceptance, Append, AppendError, AppendPriority, Arrival, AtomicOutcome, ConsoleSession,
    Direction, Due, NewMessage, OutboxItem, OutboxLane, Store, audit,
};

use find::{finds_by_any_id, finds_genesys_conversations};

use customers::{
    acts_on_dead_letters, counts_dead_letters, counts_who_waits_for_genesys, dead_letters,
    keeps_what_an_operator_acts_on,
};

/// 2026-11-20T09:00:00Z plus `millis` milliseconds.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_795_165_200_000 + millis).expect("in range")
}

fn acme() -> IntegrationName {
    IntegrationName::new("acme")
}

fn conversation() -> ConversationId {
    ConversationId::of(&acme(), "noor")
}

fn agent_message(id: &str, millis: i64) -> Arrival {
    let message = MessageId::new(id);
    let input = Input::AgentMessage {
        message: message.clone(),
        time: Some(at(millis)),
        received: at(millis),
        unsuited: None,
        genesys: None,
        offer: None,
    };
    Arrival::Message(NewMessage {
        integration: acme(),
        direction: Direction::Outbound,
        id: message,
        foreign_id: id.to_owned(),
        conversation: conversation(),
        customer: r#"{"id":"noor"}"#.to_owned(),
        received: at(millis),
        body: b"{\"text\":\"hello\"}"[..].into(),
        input: Some(input),
    })
}

/// Drives one conversation as the gateway does, with nothing but the store.
struct Driver<'a> {
    store: &'a dyn Store,
    state: Conversation,
    seq: u64,
    now: i64,
}

impl Driver<'_> {
    async fn take_inbox(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        for item in
            self.store.inbox(&conversation(), true, 100).await.expect("the inbox can be read")
        {
            effects.extend(self.step(item.input, vec![item.seq]).await);
        }
        effects
    }

    async fn step(&mut self, input: Input, taken: Vec<u64>) -> Vec<Effect> {
        self.now += 10;
        let step = self.state.handle(&policy(), at(self.now), input);
        let count = step.records.len() as u64;
        let append = self.append(step.records, taken);
        self.store.append(append).await.expect("an append");
        self.seq += count;
        step.effects
    }

    fn append(&self, records: Vec<Record>, taken: Vec<u64>) -> Append {
        Append {
            conversation: conversation(),
            integration: acme(),
            after: self.seq,
            at: at(self.now),
            records,
            taken,
            due: self.state.next_wakeup(&policy()),
            watched: self.state.watched().map(Into::into),
            standing: Some(self.state.standing()),
            snapshot: None,
            priority: AppendPriority::Normal,
        }
    }
}

fn policy() -> Policy {
    Policy { service_reports: true, ..Policy::default() }
}

/// Everything that a store must do while it is open.
pub async fn keeps_its_word(store: &dyn Store) {
    store.ready().await.expect("an empty store is ready");
    assert!(store.load(&conversation()).await.expect("a read").is_none(), "nothing is there yet");

    answers_behind_what_was_asked(store).await;
    dedupes(store).await;
    let mut driver = Driver { store, state: Conversation::default(), seq: 0, now: 1_000 };
    settles_a_message(&mut driver).await;
    gives_no_number_twice(&mut driver).await;
    finds_by_any_id(store).await;
    fences(&mut driver).await;
    takes_a_message_with_its_step(&mut driver).await;
    reads_in_order(store).await;
    replaces_a_receipt(&mut driver).await;
    wakes_early_reports(&mut driver).await;
    knows_what_is_due(&mut driver).await;
    knows_who_is_in_touch(&mut driver).await;
    snapshots(&mut driver).await;
    counts_dead_letters(store).await;
    acts_on_dead_letters(store).await;
    keeps_what_an_operator_acts_on(store).await;
    counts_who_waits_for_genesys(store).await;
    finds_genesys_conversations(store).await;

    let found = audit(store).await.expect("an audit");
    assert!(found.passed(), "an honest store passes its audit:\n{found}");
}

/// After a caller has hung up, its message may or may not become durable. Once `ready` returns,
/// this is decided.
async fn answers_behind_what_was_asked(store: &dyn Store) {
    let of = IntegrationName::new("unheard");
    for round in 0..20 {
        let ids: Vec<_> = (0..100).map(|n| format!("unheard-{round}-{n}")).collect();
        for id in &ids {
            let mut arrival = agent_message(id, 0);
            if let Arrival::Message(new) = &mut arrival {
                new.integration = of.clone();
                new.conversation = ConversationId::of(&of, "noor");
                new.input = None;
            }
            let hangs_up = tokio::time::timeout(Duration::ZERO, store.accept(arrival)).await;
            drop(hangs_up);
        }
        store.ready().await.expect("it is ready");
        let last = MessageId::new(&ids[99]);
        let row = store.message(&of, Direction::Outbound, &last).await.expect("a read");
        assert!(row.is_some(), "`accept` of {last} was called before `ready`, and it is not there");
    }
    assert_eq!(store.prune(at(1)).await.expect("a prune"), 2_000);
}

async fn dedupes(store: &dyn Store) {
    assert_eq!(
        store.accept(agent_message("m1", 0)).await.expect("accepted"),
        Acceptance::New(conversation())
    );
    assert_eq!(
        store.accept(agent_message("m1", 5)).await.expect("accepted"),
        Acceptance::Repeated,
        "the same id again"
    );
    let waiting = store.with_pending_input(None, 10).await.expect("a read");
    assert_eq!(waiting, [conversation()], "one conversation has something in its inbox");
    assert_eq!(
        store.inbox(&conversation(), true, 10).await.expect("a read").len(),
        1,
        "a repeat adds nothing"
    );
    let stranger = ConversationId::of(&acme(), "nobody");
    let event = |id: &str, conversation: &ConversationId| Arrival::Event {
        integration: acme(),
        id: id.to_owned(),
        received: at(1),
        conversation: conversation.clone(),
        input: Input::SessionOpened { session: SessionId::new("s0") },
    };
    assert_eq!(store.accept(event("e1", &stranger)).await.expect("an answer"), Acceptance::Unknown);
    assert_eq!(
        store.accept(event("e1", &conversation())).await.expect("accepted"),
        Acceptance::New(conversation())
    );
    assert_eq!(
        store.accept(event("e1", &conversation())).await.expect("accepted"),
        Acceptance::Repeated
    );
    let of_another = Arrival::Event {
        integration: IntegrationName::new("other"),
        id: "e2".into(),
        received: at(1),
        conversation: conversation(),
        input: Input::SessionOpened { session: SessionId::new("s0") },
    };
    assert_eq!(
        store.accept(of_another).await.expect("an answer"),
        Acceptance::Unknown,
        "an integration sees only its own conversations"
    );
}

async fn settles_a_message(driver: &mut Driver<'_>) {
    let effects = driver.take_inbox().await;
    assert!(
        driver.store.with_pending_input(None, 10).await.expect("a read").is_empty(),
        "the inbox is empty"
    );
    let forwards = effects.iter().filter(|effect| matches!(effect, Effect::Forward { .. })).count();
    assert_eq!(forwards, 1, "the event's session makes the message leave: {effects:?}");
    let message = MessageId::new("m1");
    let outcome = AttemptOutcome::Delivered { service_id: Some("x1".into()) };
    driver
        .step(Input::AttemptEnded { message: message.clone(), attempt: 1, outcome }, vec![])
        .await;
    let row = driver
        .store
        .message(&acme(), Direction::Outbound, &message)
        .await
        .expect("a read")
        .expect("it is there");
    assert_eq!(
        (row.state.as_str(), row.body.as_slice()),
        ("delivered", b"{\"text\":\"hello\"}".as_slice())
    );
    let body = driver
        .store
        .body(&acme(), Direction::Outbound, &message)
        .await
        .expect("a read")
        .expect("it is there");
    assert_eq!(body, row.into(), "`body` agrees with `message`");
    let owed = outbox(driver.store, &acme()).await;
    assert_eq!(owed.len(), 1, "a receipt is owed: {owed:?}");
    let loaded = driver.store.load(&conversation()).await.expect("a read").expect("it is there");
    assert_eq!(*owed[0].customer, *loaded.customer, "the item has the customer");
    let result = PostResult::Posted { genesys_id: None };
    driver.step(Input::ReceiptDone { message: message.clone(), last: true, result }, vec![]).await;
    assert!(outbox(driver.store, &acme()).await.is_empty(), "nothing is owed any more");
    let row = driver
        .store
        .message(&acme(), Direction::Outbound, &message)
        .await
        .expect("a read")
        .expect("it is there");
    assert_eq!(row.receipt.as_deref(), Some("posted"));
}

/// A caller that still has the number of a deleted row must not delete another row with it.
async fn gives_no_number_twice(driver: &mut Driver<'_>) {
    let mut last = 0;
    for id in ["again-1", "again-2", "again-3"] {
        let event = Arrival::Event {
            integration: acme(),
            id: id.to_owned(),
            received: at(1),
            conversation: conversation(),
            input: Input::SessionOpened { session: SessionId::new("s0") },
        };
        assert_eq!(
            driver.store.accept(event).await.expect("accepted"),
            Acceptance::New(conversation())
        );
        let inbox = driver.store.inbox(&conversation(), true, 10).await.expect("a read");
        assert!(inbox.len() == 1 && inbox[0].seq > last, "{last} was assigned before: {inbox:?}");
        last = inbox[0].seq;
        driver.take_inbox().await;
    }
}

/// The urgent items, then the rest, each read in pages of one.
async fn outbox(store: &dyn Store, integration: &IntegrationName) -> Vec<OutboxItem> {
    let mut all = Vec::new();
    for lane in OutboxLane::ALL {
        let mut after = 0;
        while let [item] =
            store.outbox(integration, lane, after, 1).await.expect("a read").as_slice()
        {
            assert!(item.seq > after && OutboxLane::of(&item.owed) == lane, "{item:?}");
            after = item.seq;
            all.push(item.clone());
        }
    }
    all
}

async fn fences(driver: &mut Driver<'_>) {
    let mut late = driver.append(vec![Record::Paused], vec![]);
    late.after -= 1;
    let before = driver.store.dossier(&conversation()).await.expect("a read");
    let refused = driver.store.append(late).await;
    assert!(
        matches!(refused, Err(AppendError::Fenced)),
        "a node that lost the conversation must not append: {refused:?}"
    );
    assert_eq!(
        driver.store.dossier(&conversation()).await.expect("a read"),
        before,
        "a fenced append changes nothing"
    );
    let mut ahead = driver.append(vec![Record::Paused], vec![]);
    ahead.after += 1;
    assert!(
        matches!(driver.store.append(ahead).await, Err(AppendError::Fenced)),
        "a gap is refused too"
    );
}

async fn takes_a_message_with_its_step(driver: &mut Driver<'_>) {
    let Some(atomic) = driver.store.atomic() else { return };
    driver.now = 15_000;
    let both = |state: &mut Conversation, id: &str| {
        let Arrival::Message(message) = agent_message(id, 15_000) else {
            unreachable!("it is one")
        };
        let records =
            state.handle(&policy(), at(15_000), message.input.clone().expect("it has one")).records;
        (message, records)
    };
    let typed = |id: &str| Arrival::Event {
        integration: acme(),
        id: id.to_owned(),
        received: at(15_000),
        conversation: conversation(),
        input: Input::CustomerTyping,
    };
    let before = driver.store.dossier(&conversation()).await.expect("a read");
    let (again, records) = both(&mut driver.state.clone(), "m1");
    let repeated = atomic.accept_with_step(again, driver.append(records, vec![])).await;
    assert_eq!(repeated.expect("an answer"), AtomicOutcome::Repeated);
    let (new, records) = both(&mut driver.state.clone(), "with-its-step");
    let mut late = driver.append(records, vec![]);
    late.after -= 1;
    assert_eq!(atomic.accept_with_step(new, late).await.expect("an answer"), AtomicOutcome::Fenced);
    assert_eq!(
        driver.store.dossier(&conversation()).await.expect("a read"),
        before,
        "neither changes anything"
    );

    assert_eq!(
        driver.store.accept(typed("typed")).await.expect("accepted"),
        Acceptance::New(conversation())
    );
    let inbox = driver.store.inbox(&conversation(), true, 10).await.expect("a read");
    let taken = inbox.iter().map(|item| item.seq).collect();
    let (new, records) = both(&mut driver.state, "with-its-step");
    let (count, body) = (records.len() as u64, new.body.clone());
    let handled = atomic.accept_with_step(new, driver.append(records, taken)).await;
    assert_eq!(handled.expect("an answer"), AtomicOutcome::Whole { early: false });
    driver.seq += count;
    assert!(
        driver.store.with_pending_input(None, 10).await.expect("a read").is_empty(),
        "the inbox is empty, and the message was never in it"
    );
    let loaded = driver.store.load(&conversation()).await.expect("a read").expect("it is there");
    assert_eq!((&loaded.state, loaded.seq), (&driver.state, driver.seq));
    let message = MessageId::new("with-its-step");
    let kept = driver
        .store
        .body(&acme(), Direction::Outbound, &message)
        .await
        .expect("a read")
        .expect("it is there");
    assert_eq!(kept.bytes, body);
    let arrival = agent_message("with-its-step", 15_000);
    assert_eq!(
        driver.store.accept(arrival).await.expect("an answer"),
        Acceptance::Repeated,
        "it is known from now on"
    );
    let outcome = AttemptOutcome::Delivered { service_id: None };
    driver
        .step(Input::AttemptEnded { message: message.clone(), attempt: 1, outcome }, vec![])
        .await;
    let result = PostResult::Posted { genesys_id: None };
    driver.step(Input::ReceiptDone { message, last: true, result }, vec![]).await;
}

/// The conversation whose messages wait in the inbox when the store is closed.
fn waiting() -> ConversationId {
    ConversationId::of(&acme(), "waiting")
}

async fn waits_in_order(store: &dyn Store) {
    let inbox = store.inbox(&waiting(), true, 10).await.expect("a read");
    let id = |item: &crate::InboxItem| match &item.input {
        Input::AgentMessage { message, .. } => message.to_string(),
        other => format!("{other:?}"),
    };
    assert_eq!(
        inbox.iter().map(id).collect::<Vec<_>>(),
        ["w1", "w2", "w3"],
        "the inbox is in order of arrival"
    );
}

/// Inbox, outbox and due conversations are each read in order.
async fn reads_in_order(store: &dyn Store) {
    for id in ["w1", "w2", "w3"] {
        let mut arrival = agent_message(id, 40_000);
        if let Arrival::Message(new) = &mut arrival {
            new.conversation = waiting();
        }
        assert_eq!(store.accept(arrival).await.expect("accepted"), Acceptance::New(waiting()));
    }
    waits_in_order(store).await;
    let of = IntegrationName::new("order");
    let names =
        ["first", "second"].map(|name| (MessageId::new(name), ConversationId::of(&of, name)));
    let append = |place: usize, after: u64, due: Option<i64>, records: Vec<Record>| Append {
        conversation: names[place].1.clone(),
        integration: of.clone(),
        after,
        at: at(0),
        records,
        taken: vec![],
        due: due.map(at),
        watched: None,
        standing: None,
        snapshot: None,
        priority: AppendPriority::Normal,
    };
    for (place, (message, conversation)) in names.iter().enumerate() {
        let mut arrival = agent_message(message.as_str(), 0);
        if let Arrival::Message(new) = &mut arrival {
            (new.integration, new.conversation, new.input) =
                (of.clone(), conversation.clone(), None);
        }
        assert_eq!(store.accept(arrival).await.expect("accepted"), Acceptance::Kept);
        // The second is to be woken first.
        let due = Some(2_000 - i64::from(place == 1) * 1_000);
        let owed = vec![Record::SentDue { message: message.clone() }];
        store.append(append(place, 0, due, owed)).await.expect("an append");
    }
    let owed: Vec<_> = store.outbox(&of, OutboxLane::Deferred, 0, 10).await.expect("a read");
    let owed: Vec<_> = owed.iter().map(|item| &item.conversation).collect();
    assert_eq!(
        owed,
        [&names[0].1, &names[1].1],
        "the outbox is in the order in which the items became owed"
    );
    let due = store.due(None, at(3_000), 10).await.expect("a read");
    let due: Vec<_> = due.iter().map(|due| &due.conversation).collect();
    assert_eq!(due, [&names[1].1, &names[0].1], "the earliest comes first");
    // No conversation would write these records, so they are removed again.
    for (place, (message, _)) in names.iter().enumerate() {
        let settled = Record::Settled {
            message: message.clone(),
            fate: conversation::Fate::Delivered,
            receipt: true,
        };
        let result = PostResult::Posted { genesys_id: None };
        let done = Record::ReceiptDone { message: message.clone(), last: true, result };
        store.append(append(place, 1, None, vec![settled, done])).await.expect("an append");
    }
    assert_eq!(store.prune(at(1)).await.expect("a prune"), 2);
}

/// If two nodes append to one conversation at the same time, one of them gets
/// [`AppendError::Fenced`].
pub async fn lets_one_of_two_append(one: &dyn Store, other: &dyn Store) {
    for round in 0..40 {
        let of = ConversationId::of(&acme(), &format!("raced-{round}"));
        let mut arrival = agent_message(&format!("raced-{round}"), 0);
        if let Arrival::Message(new) = &mut arrival {
            (new.conversation, new.input) = (of.clone(), None);
        }
        one.accept(arrival).await.expect("accepted");
        let append = |at: Timestamp, records: Vec<Record>| Append {
            conversation: of.clone(),
            integration: acme(),
            after: 0,
            at,
            records,
            taken: vec![],
            due: None,
            watched: None,
            standing: None,
            snapshot: None,
            priority: AppendPriority::Normal,
        };
        // In every other round, one of them has no records. The fence must hold for it too.
        let paused = || vec![Record::Paused];
        let second = if round % 2 == 0 { paused() } else { vec![] };
        let both = futures_util::future::join(
            one.append(append(at(1), paused())),
            other.append(append(at(2), second)),
        )
        .await;
        let fenced = [&both.0, &both.1]
            .into_iter()
            .filter(|done| matches!(done, Err(AppendError::Fenced)))
            .count();
        let won = usize::from(both.0.is_ok()) + usize::from(both.1.is_ok());
        // If the append without records comes first, both succeed.
        assert!(won + fenced == 2 && (fenced == 1 || (fenced == 0 && round % 2 == 1)), "{both:?}");
        let loaded = one.load(&of).await.expect("a read").expect("it is there");
        assert_eq!(loaded.seq, 1, "the number of the last record");
    }
}

async fn replaces_a_receipt(driver: &mut Driver<'_>) {
    let message = MessageId::new("m1");
    let sent = Record::SentDue { message: message.clone() };
    let settled = Record::Settled {
        message: message.clone(),
        fate: conversation::Fate::Delivered,
        receipt: true,
    };
    // No conversation would write these records, so the prune below removes them again.
    let other = ConversationId::of(&acme(), "receipts");
    let mut arrival = agent_message("m-receipts", 0);
    if let Arrival::Message(new) = &mut arrival {
        new.conversation = other.clone();
        new.input = None;
    }
    assert_eq!(driver.store.accept(arrival).await.expect("accepted"), Acceptance::Kept);
    let append = |after: u64, records: Vec<Record>| Append {
        conversation: other.clone(),
        integration: IntegrationName::new("receipts"),
        after,
        at: at(0),
        records,
        taken: vec![],
        due: None,
        watched: None,
        standing: None,
        snapshot: None,
        priority: AppendPriority::Normal,
    };
    let of = IntegrationName::new("receipts");
    driver.store.append(append(0, vec![sent])).await.expect("an append");
    let sent = outbox(driver.store, &of).await;
    assert!(
        matches!(sent.as_slice(), [item] if matches!(item.owed, Owed::Receipt { fate: None, .. })),
        "{sent:?}"
    );
    driver.store.append(append(1, vec![settled])).await.expect("an append");
    let owed = outbox(driver.store, &of).await;
    let is_last = |item: &OutboxItem| matches!(item.owed, Owed::Receipt { fate: Some(_), .. });
    assert!(matches!(owed.as_slice(), [item] if is_last(item)), "{owed:?}");
    assert!(owed[0].seq > sent[0].seq, "the replacement has a new sequence number: {owed:?}");
    let done = |last| Record::ReceiptDone {
        message: message.clone(),
        last,
        result: PostResult::Posted { genesys_id: None },
    };
    driver.store.append(append(2, vec![done(false)])).await.expect("an append");
    assert_eq!(outbox(driver.store, &of).await.len(), 1, "the Sent is done, the Delivered is not");
    driver.store.append(append(3, vec![done(true)])).await.expect("an append");
    assert!(outbox(driver.store, &of).await.is_empty());
    let found = audit(driver.store).await.expect("an audit");
    assert!(!found.passed(), "an audit finds records that no conversation would write");
    // Removes those records, so that the final audit passes.
    assert_eq!(driver.store.prune(at(0)).await.expect("a prune"), 0, "nothing is old enough");
    assert!(driver.store.load(&other).await.expect("a read").is_some());
    assert_eq!(driver.store.prune(at(1)).await.expect("a prune"), 1);
    let gone = driver.store.load(&other).await.expect("a read");
    assert!(gone.is_none(), "a conversation with nothing left is removed: {gone:?}");
    assert!(
        driver.store.load(&conversation()).await.expect("a read").is_some(),
        "another one stays"
    );
}

async fn wakes_early_reports(driver: &mut Driver<'_>) {
    driver.store.accept(agent_message("m2", 20_000)).await.expect("accepted");
    driver.now = 20_000;
    driver.take_inbox().await;
    let report = |id: &str, of: MessageRef| Arrival::Report {
        integration: acme(),
        id: id.to_owned(),
        received: at(20_000),
        of,
        report: Report::Delivered,
    };
    let by_service = || MessageRef::Service("x2".into());
    assert_eq!(
        driver.store.accept(report("r1", by_service())).await.expect("accepted"),
        Acceptance::Early
    );
    assert_eq!(
        driver.store.accept(report("r1", by_service())).await.expect("accepted"),
        Acceptance::Repeated
    );
    assert_eq!(
        driver
            .store
            .accept(report("r2", MessageRef::Ours(MessageId::new("never"))))
            .await
            .expect("an answer"),
        Acceptance::Unknown
    );
    let outcome = AttemptOutcome::Accepted { service_id: Some("x2".into()) };
    driver
        .step(Input::AttemptEnded { message: MessageId::new("m2"), attempt: 1, outcome }, vec![])
        .await;
    let effects = driver.take_inbox().await;
    assert!(
        matches!(effects.as_slice(), [Effect::Post(Owed::Receipt { .. })]),
        "the early report counts: {effects:?}"
    );
    assert_eq!(
        driver.store.accept(report("r3", by_service())).await.expect("accepted"),
        Acceptance::New(conversation())
    );
    driver.take_inbox().await;
    let result = PostResult::Posted { genesys_id: None };
    driver
        .step(Input::ReceiptDone { message: MessageId::new("m2"), last: true, result }, vec![])
        .await;
}

/// What the gateway reads when an event concerns all of a chat service's sessions.
async fn knows_who_is_in_touch(driver: &mut Driver<'_>) {
    let noted =
        || Arrival::Noted { integration: acme(), id: "restarted".to_owned(), received: at(20_000) };
    assert!(!driver.store.has_event(&acme(), "restarted").await.expect("a read"));
    assert_eq!(driver.store.accept(noted()).await.expect("accepted"), Acceptance::Kept);
    assert_eq!(driver.store.accept(noted()).await.expect("accepted"), Acceptance::Repeated);
    assert!(driver.store.has_event(&acme(), "restarted").await.expect("a read"));
    assert!(
        !driver.store.has_event(&IntegrationName::new("other"), "restarted").await.expect("a read")
    );
    let is_of = async |integration: &IntegrationName, id: &ConversationId| {
        driver.store.has_conversation(integration, id).await.expect("a read")
    };
    assert!(is_of(&acme(), &conversation()).await);
    assert!(!is_of(&IntegrationName::new("other"), &conversation()).await);
    for unknown in ["", "c0", "no\0id", "'"] {
        assert!(!is_of(&acme(), &ConversationId::new(unknown)).await, "{unknown:?}");
    }
    assert!(driver.state.watched().is_some() || driver.state.next_wakeup(&policy()).is_some());
    let all = driver.store.in_touch(&acme(), None, 10).await.expect("a read");
    assert_eq!(all, [conversation()]);
    assert!(
        driver.store.in_touch(&acme(), Some(&conversation()), 10).await.expect("a read").is_empty()
    );
    assert!(driver.store.in_touch(&acme(), None, 0).await.expect("a read").is_empty());
    assert!(
        driver
            .store
            .in_touch(&IntegrationName::new("other"), None, 10)
            .await
            .expect("a read")
            .is_empty()
    );
}

async fn knows_what_is_due(driver: &mut Driver<'_>) {
    driver.step(Input::SessionClosed { session: None, reason: None }, vec![]).await;
    driver.store.accept(agent_message("m3", 30_000)).await.expect("accepted");
    driver.now = 30_000;
    driver.take_inbox().await;
    let wakeup = driver.state.next_wakeup(&policy()).expect("a message is held");
    let due = driver.store.due(None, wakeup, 10).await.expect("a read");
    assert_eq!(due.iter().map(|due| &due.conversation).collect::<Vec<_>>(), [&conversation()]);
    assert!(due[0].at >= wakeup, "a wake-up is never early");
    let before = wakeup.checked_sub(Duration::from_millis(2)).expect("in range");
    assert!(driver.store.due(None, before, 10).await.expect("a read").is_empty());
    // Within a millisecond, the cursor compares ids.
    let same = Due { conversation: ConversationId::new(""), ..due[0].clone() };
    assert_eq!(driver.store.due(Some(&same), wakeup, 10).await.expect("a read"), due);
    assert!(
        driver.store.due(Some(&due[0]), wakeup, 10).await.expect("a read").is_empty(),
        "it is the last"
    );
}

async fn snapshots(driver: &mut Driver<'_>) {
    let refused = OpenOutcome::Opened(SessionId::new("s9"));
    driver.step(Input::OpenEnded { attempt: 1, outcome: refused }, vec![]).await;
    let loaded = driver.store.load(&conversation()).await.expect("a read").expect("it is there");
    assert_eq!(
        (&loaded.state, loaded.seq),
        (&driver.state, driver.seq),
        "a replay gives the same state"
    );
    let mut append = driver.append(vec![], vec![]);
    append.snapshot = Some(driver.state.clone());
    driver.store.append(append).await.expect("an append");
    let loaded = driver.store.load(&conversation()).await.expect("a read").expect("it is there");
    assert_eq!(
        (&loaded.state, loaded.seq),
        (&driver.state, driver.seq),
        "a snapshot gives the same state"
    );
    assert_eq!(loaded.snapshot_seq, driver.seq);
    // A message with an open attempt must survive a prune of everything old.
    driver.store.prune(at(1_000_000_000)).await.expect("a prune");
    let loaded = driver.store.load(&conversation()).await.expect("a read").expect("it is there");
    assert_eq!(&loaded.state, &driver.state, "a prune changes no state");
    let open = driver
        .store
        .message(&acme(), Direction::Outbound, &MessageId::new("m3"))
        .await
        .expect("a read");
    assert!(open.is_some(), "an open message is not pruned");
    let settled = driver
        .store
        .message(&acme(), Direction::Outbound, &MessageId::new("m1"))
        .await
        .expect("a read");
    assert!(settled.is_none(), "a settled message is pruned");
}

/// Sessions of the console are kept until they end, and no longer.
pub async fn keeps_console_sessions(store: &dyn Store) {
    let at = |seconds: i64| Timestamp::from_second(seconds).expect("a time");
    let session = |hash: &str, until| ConsoleSession {
        hash: hash.to_owned(),
        user: format!("user of {hash}"),
        password: "a password".to_owned(),
        until: at(until),
    };
    for (hash, until, now) in [("one", 100, 1), ("two", 200, 1)] {
        store.keep_console_session(&session(hash, until), at(now)).await.expect("kept");
    }
    let user = async |hash: &str, now| store.console_session(hash, at(now)).await.expect("a read");
    assert_eq!(user("one", 99).await, Some(session("one", 100)));
    assert_eq!(user("one", 100).await, None, "it has ended");
    assert_eq!(user("\0", 1).await, None);
    store.end_console_session("two").await.expect("ended");
    store.end_console_session("three").await.expect("there is none");
    assert_eq!(user("two", 1).await, None);
    store.keep_console_session(&session("four", 300), at(150)).await.expect("kept");
    assert_eq!(user("one", 1).await, None, "what has ended is removed");
    assert_eq!(user("four", 299).await, Some(session("four", 300)));
}

/// How a new store lists conversations and messages. No state machine writes them, so an audit of
/// the store fails.
pub async fn lists(store: &dyn Store) {
    lists::lists_conversations(store).await;
    lists::lists_undelivered_messages(store).await;
}

/// Everything that the same store must still have after it was closed and opened again.
pub async fn remembers(store: &dyn Store) {
    let loaded =
        store.load(&conversation()).await.expect("a read").expect("the conversation is there");
    assert!(!loaded.state.is_idle(), "m3 is still open");
    assert_eq!(dead_letters(store).await, 1);
    waits_in_order(store).await;
    assert_eq!(
        store.accept(agent_message("m3", 30_000)).await.expect("an answer"),
        Acceptance::Repeated
    );
    let found = audit(store).await.expect("an audit");
    assert!(found.passed(), "\n{found}");
}
