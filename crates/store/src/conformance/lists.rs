//! How a store lists conversations and messages for operators.

use conversation::{
    ConversationId, Fate, IntegrationName, MessageId, PostResult, Reason, ReasonCode, Record,
    Standing,
};

use super::{agent_message, at};
use crate::{
    Append, AppendPriority, Arrival, ConversationList, ConversationPlace, Direction, MessageList,
    NewMessage, Store,
};

const OPEN: Standing = Standing { open: true, held: false, failing: false };
const HELD: Standing = Standing { open: false, held: true, failing: false };
const FAILING: Standing = Standing { open: true, held: false, failing: true };

/// Conversations are listed newest first, by how they stand, and a page never repeats an entry.
pub(super) async fn lists_conversations(store: &dyn Store) {
    let listed = Listed::new(store, "listed");
    for (name, standing) in [("ann", OPEN), ("bob", HELD), ("cem", FAILING), ("dan", HELD)] {
        listed.begins(name).await;
        listed.stands(name, standing).await;
    }
    // Another integration's conversations are in none of these lists.
    let other = Listed::new(store, "listed too");
    other.begins("eve").await;
    other.stands("eve", HELD).await;
    assert_eq!(listed.names(ConversationList::All, None, 9).await, ["dan", "cem", "bob", "ann"]);
    assert_eq!(listed.names(ConversationList::Open, None, 9).await, ["cem", "ann"]);
    assert_eq!(listed.names(ConversationList::Held, None, 9).await, ["dan", "bob"]);
    assert_eq!(listed.names(ConversationList::Failing, None, 9).await, ["cem"]);
    assert_eq!(other.names(ConversationList::Held, None, 9).await, ["eve"]);

    let list = |before, limit| {
        store.list_conversations(&listed.integration, ConversationList::All, before, limit)
    };
    let first = list(None, 2).await.expect("a page");
    listed.begins("fay").await;
    let rest = list(Some(&first[1].place), 9).await.expect("a page");
    let both: Vec<_> = first.iter().chain(&rest).map(|one| &one.place).collect();
    assert_eq!(both.len(), 4, "fay came while the pages were read: {both:?}");
    assert!(both.is_sorted_by(|one, next| one > next), "{both:?}");
    assert_eq!((first[1].standing, first[1].genesys.as_deref()), (FAILING, Some("chat-cem")));
    // A step that does not change how it stands leaves it in its list.
    listed.step("dan", 1, None).await;
    listed.stands_after("bob", 1, OPEN).await;
    assert_eq!(listed.names(ConversationList::Held, None, 9).await, ["dan"]);
    let place = |name| ConversationPlace { created: at(0), conversation: listed.id(name) };
    assert_eq!(listed.names(ConversationList::Open, Some(&place("ann")), 9).await.len(), 0);
}

/// Messages that did not arrive are listed by direction, newest first.
pub(super) async fn lists_undelivered_messages(store: &dyn Store) {
    let listed = Listed::new(store, "undelivered too");
    listed.begins("ann").await;
    let (mut seq, mut places) = (0, Vec::new());
    for (id, failed) in [("f1", true), ("d1", false), ("f2", true), ("f3", true)] {
        listed.agent_writes("ann", id).await;
        let reason = Reason::new(ReasonCode::MessageExpired, "too late");
        let fate = if failed { Fate::Failed { reason } } else { Fate::Delivered };
        let message = MessageId::new(id);
        let settled = Record::Settled { message, fate, receipt: false };
        listed.append("ann", seq, vec![settled], None).await;
        seq += 1;
    }
    for (id, result) in [
        ("refused", PostResult::Refused { why: "never".into() }),
        ("posted", PostResult::Posted { genesys_id: None }),
    ] {
        listed.says("ann", id).await;
        let done = Record::InboundDone { message: MessageId::new(id), result };
        listed.append("ann", seq, vec![done], None).await;
        seq += 1;
    }
    let list = |list, before, limit| {
        let integration = listed.integration.clone();
        async move { store.list_messages(&integration, list, before, limit).await.expect("a page") }
    };
    let ids = |page: &[crate::ListedMessage]| {
        page.iter().map(|one| one.row.id.to_string()).collect::<Vec<_>>()
    };
    let first = list(MessageList::Failed, None, 2).await;
    assert_eq!(ids(&first), ["f3", "f2"]);
    places.extend(first.iter().map(|one| one.place));
    assert_eq!(ids(&list(MessageList::Failed, places.last().copied(), 2).await), ["f1"]);
    let dead = list(MessageList::DeadLetters, None, 9).await;
    assert_eq!(ids(&dead), ["refused"]);
    let row = &dead[0].row;
    assert_eq!((row.direction, row.state.as_str()), (Direction::Inbound, "refused"));
    assert_eq!((row.reason.as_deref(), row.settled), (Some("never"), Some(at(time(4)))));
    assert!(row.body.is_empty(), "a list has no bodies");
    store.prune(at(2_000_000_000)).await.expect("a prune");
    assert_eq!(list(MessageList::DeadLetters, None, 9).await, [], "they are gone");
}

/// When the record after this one is written.
fn time(seq: u64) -> i64 {
    50_000 + i64::try_from(seq).expect("few")
}

/// Conversations of one integration, whose records are written without a state machine.
struct Listed<'a> {
    store: &'a dyn Store,
    integration: IntegrationName,
}

impl<'a> Listed<'a> {
    fn new(store: &'a dyn Store, integration: &str) -> Self {
        Self { store, integration: IntegrationName::new(integration) }
    }

    fn id(&self, name: &str) -> ConversationId {
        ConversationId::of(&self.integration, name)
    }

    /// The customer's first message. The time is the number of their name's first letter.
    async fn begins(&self, name: &str) {
        self.says(name, &format!("{name} of {}", self.integration)).await;
    }

    async fn says(&self, name: &str, id: &str) {
        let millis = i64::from(name.as_bytes()[0]) * 1_000;
        self.store.accept(self.message(name, id, millis, Direction::Inbound)).await.expect("kept");
    }

    async fn agent_writes(&self, name: &str, id: &str) {
        self.store.accept(self.message(name, id, 0, Direction::Outbound)).await.expect("kept");
    }

    /// A message that is only kept: nothing handles it.
    fn message(&self, name: &str, id: &str, millis: i64, direction: Direction) -> Arrival {
        let Arrival::Message(message) = agent_message(id, millis) else { unreachable!() };
        Arrival::Message(NewMessage {
            integration: self.integration.clone(),
            direction,
            conversation: self.id(name),
            input: None,
            ..message
        })
    }

    async fn stands(&self, name: &str, standing: Standing) {
        self.stands_after(name, 0, standing).await;
    }

    async fn stands_after(&self, name: &str, after: u64, standing: Standing) {
        self.step(name, after, Some(standing)).await;
    }

    async fn step(&self, name: &str, after: u64, standing: Option<Standing>) {
        self.append(name, after, vec![Record::Resumed], standing).await;
    }

    async fn append(
        &self,
        name: &str,
        after: u64,
        records: Vec<Record>,
        standing: Option<Standing>,
    ) {
        let append = Append {
            conversation: self.id(name),
            integration: self.integration.clone(),
            after,
            at: at(time(after)),
            records,
            taken: vec![],
            due: None,
            watched: Some(format!("chat-{name}").into()),
            standing,
            snapshot: None,
            priority: AppendPriority::Normal,
        };
        self.store.append(append).await.expect("an append");
    }

    /// The first three letters of the first messages' ids.
    async fn names(
        &self,
        list: ConversationList,
        before: Option<&ConversationPlace>,
        limit: usize,
    ) -> Vec<String> {
        let page = self.store.list_conversations(&self.integration, list, before, limit).await;
        let genesys = |one: crate::ListedConversation| one.genesys.expect("a chat");
        let page = page.expect("a page").into_iter().filter(|one| one.genesys.is_some());
        page.map(genesys).map(|chat| chat.trim_start_matches("chat-").to_owned()).collect()
    }
}
