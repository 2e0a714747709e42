//! Appending steps: fence, journal, inbox, projections and outbox, a batch in one transaction.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use conversation::{Input, MessageId, Owed, Report};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::find::keep_genesys_conversations;
use super::link::Error;
use super::text::{escape, key};
use crate::json::{from_json, json};
use crate::listing::{MessageList, bits};
use crate::mistake::{self, Mistake};
use crate::projection::{Change, changes};
use crate::types::ceil_to_millis;
use crate::{Append, Direction, OutboxLane, StoreError};

/// An append, with a token by which the store recognizes it if the answer was lost and it is sent
/// again.
pub(super) struct TokenedAppend {
    append: Append,
    token: String,
}

impl TokenedAppend {
    pub(super) fn new(append: Append, process: &str) -> Self {
        let mut hash = DefaultHasher::new();
        (append.after, append.at.as_nanosecond(), json(&append.records), &append.taken)
            .hash(&mut hash);
        Self { token: format!("{process} {:016x}", hash.finish()), append }
    }

    fn last(&self) -> u64 {
        self.append.after + self.append.records.len() as u64
    }
}

/// Appends the steps. Returns an answer for each, in order: `None` if the fence did not hold,
/// otherwise whether the append put something into the inbox. The caller owns the transaction.
pub(super) async fn append(
    client: &Client,
    steps: &[TokenedAppend],
) -> Result<Vec<Option<bool>>, Error> {
    let mut answers = Vec::with_capacity(steps.len());
    let mut rest = steps;
    while !rest.is_empty() {
        // One statement can change a row only once, so each batch has at most one step for a
        // conversation.
        let mut seen = HashSet::new();
        let distinct =
            rest.iter().take_while(|step| seen.insert(&step.append.conversation)).count();
        let (now, later) = rest.split_at(distinct);
        answers.extend(append_distinct(client, now).await?);
        rest = later;
    }
    Ok(answers)
}

async fn append_distinct(
    client: &Client,
    steps: &[TokenedAppend],
) -> Result<Vec<Option<bool>>, Error> {
    let ids: Vec<&str> = steps.iter().map(|step| step.append.conversation.as_str()).collect();
    // The locks last until the commit. All nodes take them in the same order, so that they cannot
    // deadlock. They do not exclude an acceptance that only keeps a row from being removed.
    let rows = client
        .query_typed(
            &mistake::sql(
                Mistake::RowLock,
                "select id, seq, token from tidegate.conversation where id = any($1) order by id \
                 for no key update",
                "for no key update",
                "",
            ),
            &[(&ids, Type::TEXT_ARRAY)],
        )
        .await?;
    let mut found: HashMap<String, (u64, Option<String>)> = HashMap::new();
    for row in rows {
        found.insert(row.try_get(0)?, (unsigned(row.try_get(1)?)?, row.try_get(2)?));
    }
    let mut answers = Vec::with_capacity(steps.len());
    let mut held = Vec::new();
    for step in steps {
        answers.push(match found.get(step.append.conversation.as_str()) {
            Some((seq, _)) if *seq == step.append.after || mistake::is_made(Mistake::Fence) => {
                held.push(step);
                Some(false)
            }
            // An earlier try was committed, and its answer was lost. `true` makes the caller read
            // the inbox, in case that try put something into it.
            Some((seq, Some(token))) if *seq == step.last() && *token == step.token => Some(true),
            Some(_) | None => None,
        });
    }
    if held.is_empty() {
        return Ok(answers);
    }
    write_conversations(client, &held).await?;
    write_journal(client, &held).await?;
    let taken: Vec<i64> =
        held.iter().flat_map(|step| &step.append.taken).map(|seq| signed(*seq)).collect();
    if !taken.is_empty() {
        let sql = "delete from tidegate.inbox where seq = any($1)";
        let sql = mistake::sql(Mistake::InboxKept, sql, "where seq", "where -seq");
        client.query_typed(&sql, &[(&taken, Type::INT8_ARRAY)]).await?;
    }
    let early = project(client, &held).await?;
    for (answer, step) in answers.iter_mut().zip(steps) {
        if early.contains(step.append.conversation.as_str()) {
            *answer = Some(true);
        }
    }
    Ok(answers)
}

async fn write_conversations(client: &Client, held: &[&TokenedAppend]) -> Result<(), Error> {
    let ids: Vec<&str> = held.iter().map(|step| step.append.conversation.as_str()).collect();
    let seqs: Vec<i64> = held.iter().map(|step| signed(step.last())).collect();
    let dues: Vec<Option<i64>> =
        held.iter().map(|step| step.append.due.map(ceil_to_millis)).collect();
    let watched: Vec<_> =
        held.iter().map(|step| step.append.watched.as_deref().map(escape)).collect();
    let watched: Vec<Option<&str>> = watched.iter().map(Option::as_deref).collect();
    let tokens: Vec<&str> = held.iter().map(|step| step.token.as_str()).collect();
    let snapshots: Vec<Option<String>> =
        held.iter().map(|step| step.append.snapshot.as_ref().map(json)).collect();
    let standings: Vec<Option<i16>> =
        held.iter().map(|step| step.append.standing.map(bits)).collect();
    client
        .query_typed(
            "update tidegate.conversation as c
             set seq = a.seq, due = a.due, watched = a.watched, token = a.token,
                 snapshot = coalesce(a.snapshot, c.snapshot),
                 standing = coalesce(a.standing, c.standing),
                 snapshot_seq = case when a.snapshot is null then c.snapshot_seq else a.seq end
             from unnest($1::text[], $2::int8[], $3::int8[], $4::text[], $5::text[], $6::text[],
                         $7::int2[])
                as a (id, seq, due, watched, token, snapshot, standing)
             where c.id = a.id",
            &[
                (&ids, Type::TEXT_ARRAY),
                (&seqs, Type::INT8_ARRAY),
                (&dues, Type::INT8_ARRAY),
                (&watched, Type::TEXT_ARRAY),
                (&tokens, Type::TEXT_ARRAY),
                (&snapshots, Type::TEXT_ARRAY),
                (&standings, Type::INT2_ARRAY),
            ],
        )
        .await?;
    Ok(())
}

async fn write_journal(client: &Client, held: &[&TokenedAppend]) -> Result<(), Error> {
    let (mut ids, mut seqs, mut ats, mut about, mut records) =
        (vec![], vec![], vec![], vec![], vec![]);
    for step in held {
        for (seq, record) in (step.append.after + 1..).zip(&step.append.records) {
            ids.push(step.append.conversation.as_str());
            seqs.push(signed(seq));
            ats.push(step.append.at.as_millisecond());
            about.push(record.message().map(MessageId::as_str));
            records.push(json(record));
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    client
        .query_typed(
            "insert into tidegate.journal (conversation, seq, at, message, record)
             select * from unnest($1::text[], $2::int8[], $3::int8[], $4::text[], $5::text[])",
            &[
                (&ids, Type::TEXT_ARRAY),
                (&seqs, Type::INT8_ARRAY),
                (&ats, Type::INT8_ARRAY),
                (&about, Type::TEXT_ARRAY),
                (&records, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    Ok(())
}

/// What happens to one row of the outbox.
enum Fate {
    Put(Owed),
    Delete,
    /// Deletes it unless it has been replaced.
    DeleteExactly(Owed),
}

/// Columns of the changes outside the journal.
#[derive(Default)]
struct Changes<'a> {
    ended: Vec<(&'a MessageId, Direction, &'a TokenedAppend, &'static str, Option<String>)>,
    receipted: Vec<(&'a MessageId, &'a TokenedAppend, &'static str)>,
    /// Dead letters, and the state that each has now.
    acted_on: Vec<(&'a MessageId, &'a TokenedAppend, &'static str)>,
    /// By the chat service's id and integration. The order is the same on all nodes, so that they
    /// cannot deadlock.
    named: BTreeMap<(String, &'a str), (&'a MessageId, &'a TokenedAppend)>,
    /// Genesys's conversations: the key, our conversation, and since when it is known.
    genesys: Vec<(String, &'a str, i64)>,
    /// By conversation and key.
    outbox: BTreeMap<(&'a str, String), (&'a TokenedAppend, Fate)>,
}

/// Applies the steps to the projections and the outbox. Returns the conversations into whose inbox
/// that put something.
async fn project(client: &Client, held: &[&TokenedAppend]) -> Result<HashSet<String>, Error> {
    let mut all = Changes::default();
    for step in held {
        for change in step.append.records.iter().flat_map(changes) {
            all.add(step, change);
        }
    }
    all.act_on_dead_letters(client).await?;
    all.end_messages(client).await?;
    all.receipt_messages(client).await?;
    keep_genesys_conversations(client, &all.genesys).await?;
    all.write_outbox(client).await?;
    all.name_messages(client).await
}

impl<'a> Changes<'a> {
    fn add(&mut self, step: &'a TokenedAppend, change: Change<'a>) {
        let at = |owed: &Owed| (step.append.conversation.as_str(), owed.key());
        match change {
            Change::Ended { direction, message, state, reason } => {
                self.ended.push((message, direction, step, state, reason));
            }
            Change::Reopened { message } => self.acted_on.push((message, step, "accepted")),
            Change::Discarded { message } => self.acted_on.push((message, step, "discarded")),
            Change::Receipted { message, word } => self.receipted.push((message, step, word)),
            Change::Named { message, service_id } => {
                let name = (key(service_id).to_string(), step.append.integration.as_str());
                self.named.insert(name, (message, step));
            }
            Change::Genesys { id } => self.genesys.push((
                key(id).to_string(),
                step.append.conversation.as_str(),
                step.append.at.as_millisecond(),
            )),
            Change::Owe(owed) => drop(self.outbox.insert(at(&owed), (step, Fate::Put(owed)))),
            Change::Paid(owed) => drop(self.outbox.insert(at(&owed), (step, Fate::Delete))),
            Change::PaidExactly(owed) => match self.outbox.get(&at(&owed)) {
                Some((_, Fate::Put(put))) if *put == owed => {
                    self.outbox.insert(at(&owed), (step, Fate::Delete));
                }
                Some((_, Fate::Put(_) | Fate::Delete)) => {}
                Some((_, Fate::DeleteExactly(_))) | None => {
                    self.outbox.insert(at(&owed), (step, Fate::DeleteExactly(owed)));
                }
            },
        }
    }

    async fn end_messages(&self, client: &Client) -> Result<(), Error> {
        if self.ended.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = self.ended.iter().map(|(id, ..)| id.as_str()).collect();
        let directions: Vec<&str> =
            self.ended.iter().map(|(_, direction, ..)| direction.as_str()).collect();
        let integrations: Vec<&str> =
            self.ended.iter().map(|(_, _, step, ..)| step.append.integration.as_str()).collect();
        let states: Vec<&str> = self.ended.iter().map(|(.., state, _)| *state).collect();
        let reasons: Vec<_> =
            self.ended.iter().map(|(.., reason)| reason.as_deref().map(escape)).collect();
        let reasons: Vec<Option<&str>> = reasons.iter().map(Option::as_deref).collect();
        let ats: Vec<i64> =
            self.ended.iter().map(|(_, _, step, ..)| step.append.at.as_millisecond()).collect();
        client
            .query_typed(
                "update tidegate.message as m set state = a.state, reason = a.reason, settled = a.settled
                 from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int8[])
                    as a (id, direction, integration, state, reason, settled)
                 where m.id = a.id and m.direction = a.direction and m.integration = a.integration",
                &[
                    (&ids, Type::TEXT_ARRAY),
                    (&directions, Type::TEXT_ARRAY),
                    (&integrations, Type::TEXT_ARRAY),
                    (&states, Type::TEXT_ARRAY),
                    (&reasons, Type::TEXT_ARRAY),
                    (&ats, Type::INT8_ARRAY),
                ],
            )
            .await?;
        self.keep_undelivered(client).await
    }

    async fn keep_undelivered(&self, client: &Client) -> Result<(), Error> {
        let all = || self.ended.iter().filter(|(_, way, _, state, _)| is_undelivered(*way, state));
        let ids: Vec<&str> = all().map(|(id, ..)| id.as_str()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let directions: Vec<&str> = all().map(|(_, direction, ..)| direction.as_str()).collect();
        let integrations: Vec<&str> =
            all().map(|(_, _, step, ..)| step.append.integration.as_str()).collect();
        client
            .query_typed(
                "insert into tidegate.undelivered (direction, integration, place, id)
                 select m.direction, m.integration, m.place, m.id
                 from unnest($1::text[], $2::text[], $3::text[]) as a (id, direction, integration)
                 join tidegate.message as m using (id, direction, integration)
                 on conflict do nothing",
                &[
                    (&ids, Type::TEXT_ARRAY),
                    (&directions, Type::TEXT_ARRAY),
                    (&integrations, Type::TEXT_ARRAY),
                ],
            )
            .await?;
        Ok(())
    }

    /// What operators did about dead letters. It comes before new outcomes: a message may be
    /// refused again.
    async fn act_on_dead_letters(&self, client: &Client) -> Result<(), Error> {
        if self.acted_on.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = self.acted_on.iter().map(|(id, ..)| id.as_str()).collect();
        let integrations: Vec<&str> =
            self.acted_on.iter().map(|(_, step, _)| step.append.integration.as_str()).collect();
        let states: Vec<&str> = self.acted_on.iter().map(|(.., state)| *state).collect();
        let ats: Vec<i64> =
            self.acted_on.iter().map(|(_, step, _)| step.append.at.as_millisecond()).collect();
        client
            .query_typed(
                "with acted as (
                    select * from unnest($1::text[], $2::text[], $3::text[], $4::int8[])
                        as a (id, integration, state, at)
                 ), gone as (
                    delete from tidegate.undelivered as u using acted as a
                    where u.id = a.id and u.direction = 'inbound' and u.integration = a.integration
                 )
                 update tidegate.message as m
                 set state = a.state,
                     reason = case when a.state = 'discarded' then m.reason end,
                     settled = case when a.state = 'discarded' then a.at end
                 from acted as a
                 where m.id = a.id and m.direction = 'inbound' and m.integration = a.integration",
                &[
                    (&ids, Type::TEXT_ARRAY),
                    (&integrations, Type::TEXT_ARRAY),
                    (&states, Type::TEXT_ARRAY),
                    (&ats, Type::INT8_ARRAY),
                ],
            )
            .await?;
        Ok(())
    }

    async fn receipt_messages(&self, client: &Client) -> Result<(), Error> {
        if self.receipted.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = self.receipted.iter().map(|(id, ..)| id.as_str()).collect();
        let integrations: Vec<&str> =
            self.receipted.iter().map(|(_, step, _)| step.append.integration.as_str()).collect();
        let words: Vec<&str> = self.receipted.iter().map(|(.., word)| *word).collect();
        client
            .query_typed(
                "update tidegate.message as m set receipt = a.receipt
                 from unnest($1::text[], $2::text[], $3::text[]) as a (id, integration, receipt)
                 where m.id = a.id and m.direction = 'outbound' and m.integration = a.integration",
                &[
                    (&ids, Type::TEXT_ARRAY),
                    (&integrations, Type::TEXT_ARRAY),
                    (&words, Type::TEXT_ARRAY),
                ],
            )
            .await?;
        Ok(())
    }

    async fn write_outbox(&self, client: &Client) -> Result<(), Error> {
        let (mut conversations, mut keys, mut only) = (vec![], vec![], vec![]);
        let mut puts = Vec::new();
        for ((conversation, key), (step, fate)) in &self.outbox {
            match fate {
                Fate::Put(owed) => puts.push((*conversation, key.as_str(), *step, owed)),
                Fate::Delete | Fate::DeleteExactly(_) => {
                    conversations.push(*conversation);
                    keys.push(key.as_str());
                    only.push(if let Fate::DeleteExactly(owed) = fate {
                        Some(json(owed))
                    } else {
                        None
                    });
                }
            }
        }
        if !keys.is_empty() {
            client
                .query_typed(
                    "delete from tidegate.outbox as o
                     using unnest($1::text[], $2::text[], $3::text[]) as a (conversation, key, owed)
                     where o.conversation = a.conversation and o.key = a.key and (a.owed is null or o.owed = a.owed)",
                    &[(&conversations, Type::TEXT_ARRAY), (&keys, Type::TEXT_ARRAY), (&only, Type::TEXT_ARRAY)],
                )
                .await?;
        }
        if puts.is_empty() {
            return Ok(());
        }
        let integrations: Vec<&str> =
            puts.iter().map(|(_, _, step, _)| step.append.integration.as_str()).collect();
        let conversations: Vec<&str> =
            puts.iter().map(|(conversation, ..)| *conversation).collect();
        let keys: Vec<&str> = puts.iter().map(|(_, key, ..)| *key).collect();
        let lazy: Vec<bool> =
            puts.iter().map(|(.., owed)| OutboxLane::of(owed).is_lazy()).collect();
        let since: Vec<i64> =
            puts.iter().map(|(_, _, step, _)| step.append.at.as_millisecond()).collect();
        let owed: Vec<String> = puts.iter().map(|(.., owed)| json(owed)).collect();
        client
            .query_typed(
                // A replacement gets a new sequence number, so that readers with a cursor find it.
                "insert into tidegate.outbox (integration, conversation, key, lazy, since, owed)
                 select * from unnest($1::text[], $2::text[], $3::text[], $4::bool[], $5::int8[], $6::text[])
                 on conflict (conversation, key) do update
                 set seq = excluded.seq, lazy = excluded.lazy, since = excluded.since, owed = excluded.owed",
                &[
                    (&integrations, Type::TEXT_ARRAY),
                    (&conversations, Type::TEXT_ARRAY),
                    (&keys, Type::TEXT_ARRAY),
                    (&lazy, Type::BOOL_ARRAY),
                    (&since, Type::INT8_ARRAY),
                    (&owed, Type::TEXT_ARRAY),
                ],
            )
            .await?;
        Ok(())
    }

    /// Stores the chat service's names for messages, and puts reports that came before them into
    /// the inbox.
    async fn name_messages(&self, client: &Client) -> Result<HashSet<String>, Error> {
        if self.named.is_empty() {
            return Ok(HashSet::new());
        }
        let names: Vec<&str> = self.named.keys().map(|(name, _)| name.as_str()).collect();
        let integrations: Vec<&str> =
            self.named.keys().map(|(_, integration)| *integration).collect();
        let messages: Vec<&str> =
            self.named.values().map(|(message, _)| message.as_str()).collect();
        let conversations: Vec<&str> =
            self.named.values().map(|(_, step)| step.append.conversation.as_str()).collect();
        let ats: Vec<i64> =
            self.named.values().map(|(_, step)| step.append.at.as_millisecond()).collect();
        client
            .query_typed(
                "insert into tidegate.service_name (service_id, integration, received, message, conversation)
                 select * from unnest($1::text[], $2::text[], $3::int8[], $4::text[], $5::text[])
                    as a (service_id, integration, received, message, conversation) order by 1, 2
                 on conflict (service_id, integration) do update
                 set received = excluded.received, message = excluded.message, conversation = excluded.conversation",
                &[
                    (&names, Type::TEXT_ARRAY),
                    (&integrations, Type::TEXT_ARRAY),
                    (&ats, Type::INT8_ARRAY),
                    (&messages, Type::TEXT_ARRAY),
                    (&conversations, Type::TEXT_ARRAY),
                ],
            )
            .await?;
        let rows = client
            .query_typed(
                "with gone as (
                    delete from tidegate.early as e using unnest($1::text[], $2::text[]) as a (service_id, integration)
                    where e.service_id = a.service_id and e.integration = a.integration
                    returning e.service_id, e.integration, e.received, e.report
                 ) select service_id, integration, report from gone order by received",
                &[(&names, Type::TEXT_ARRAY), (&integrations, Type::TEXT_ARRAY)],
            )
            .await?;
        let mut early = HashSet::new();
        for row in rows {
            let (name, integration): (String, &str) = (row.try_get(0)?, row.try_get(1)?);
            let found = self.named.iter().find(|((n, i), _)| *n == name && *i == integration);
            let Some((_, (message, step))) = found else { continue };
            let Ok(report) = from_json::<Report>(row.try_get(2)?) else { continue };
            let conversation = step.append.conversation.as_str();
            let input = json(&Input::Reported { message: (*message).clone(), report });
            client
                .query_typed(
                    "insert into tidegate.inbox (conversation, customers, input) values ($1, \
                     false, $2)",
                    &[(&conversation, Type::TEXT), (&input, Type::TEXT)],
                )
                .await?;
            early.insert(conversation.to_owned());
        }
        Ok(early)
    }
}

/// A sequence number as the database stores it. No store will ever count beyond `i64::MAX`.
pub(super) fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(seq: i64) -> Result<u64, StoreError> {
    u64::try_from(seq)
        .map_err(|_| StoreError::Corrupt(format!("a sequence number is {seq}").into()))
}

/// Whether a message with this final state did not arrive.
fn is_undelivered(direction: Direction, state: &str) -> bool {
    [MessageList::Failed, MessageList::DeadLetters]
        .iter()
        .any(|list| list.of() == (direction, state))
}
