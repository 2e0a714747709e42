//! Accepting arrivals: deduplicates them and puts them into the inbox, a batch in one transaction.

use std::collections::{BTreeMap, HashSet};

use conversation::{ConversationId, Input, IntegrationName, MessageId, MessageRef, Report};
use jiff::Timestamp;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::link::Error;
use super::text::{escape, key};
use crate::json::json;
use crate::mistake::{self, Mistake};
use crate::{Acceptance, Arrival, Direction, NewMessage};

/// Answers each arrival, in order. The caller owns the transaction.
pub(super) async fn accept(
    client: &Client,
    arrivals: &[Arrival],
) -> Result<Vec<Acceptance>, Error> {
    let mut answers = vec![Acceptance::Repeated; arrivals.len()];
    let mut seen = HashSet::new();
    let mut messages = Vec::new();
    for (place, arrival) in arrivals.iter().enumerate() {
        if let Arrival::Message(message) = arrival
            && seen.insert((&message.id, message.direction, &message.integration))
        {
            messages.push((place, message));
        }
    }
    accept_messages(client, &messages, &mut answers).await?;
    keep_dead_letters(client, arrivals).await?;
    // The other arrivals one after the other, in order of arrival.
    for (place, arrival) in arrivals.iter().enumerate() {
        answers[place] = match arrival {
            Arrival::Message(_) => continue,
            Arrival::Event { integration, id, received, conversation, input } => {
                accept_event(client, integration, id, *received, conversation, input).await?
            }
            Arrival::Report {
                integration,
                id,
                received,
                of: MessageRef::Ours(message),
                report,
            } => accept_report(client, integration, id, *received, message, report).await?,
            Arrival::Report {
                integration,
                id,
                received,
                of: MessageRef::Service(service_id),
                report,
            } => {
                accept_report_by_name(client, integration, id, *received, service_id, report)
                    .await?
            }
            Arrival::Noted { integration, id, received } => {
                note_event(client, integration, id, *received).await?
            }
        };
    }
    Ok(answers)
}

async fn accept_messages(
    client: &Client,
    messages: &[(usize, &NewMessage)],
    answers: &mut [Acceptance],
) -> Result<(), Error> {
    if messages.is_empty() {
        return Ok(());
    }
    let mut new = Vec::new();
    for place in insert_messages(client, messages).await? {
        if let Some((answer, message)) = messages.get(place) {
            answers[*answer] = if message.input.is_some() {
                Acceptance::New(message.conversation.clone())
            } else {
                Acceptance::Kept
            };
            new.push(*message);
        }
    }
    know_customers(client, &new).await
}

/// Inserts the messages that are new, and puts their inputs into the inbox. Returns the new
/// messages' indices in `messages`.
async fn insert_messages(
    client: &Client,
    messages: &[(usize, &NewMessage)],
) -> Result<Vec<usize>, Error> {
    let column = |of: fn(&NewMessage) -> &str| -> Vec<&str> {
        messages.iter().map(|(_, m)| of(m)).collect()
    };
    let foreign: Vec<_> = messages.iter().map(|(_, m)| escape(&m.foreign_id)).collect();
    let foreign: Vec<&str> = foreign.iter().map(AsRef::as_ref).collect();
    let received: Vec<i64> = messages.iter().map(|(_, m)| m.received.as_millisecond()).collect();
    let bodies: Vec<&[u8]> = messages.iter().map(|(_, m)| &m.body[..]).collect();
    let inputs: Vec<Option<String>> =
        messages.iter().map(|(_, m)| m.input.as_ref().map(json)).collect();
    let customers: Vec<bool> =
        messages.iter().map(|(_, m)| m.input.as_ref().is_some_and(Input::is_customers)).collect();
    let rows = client
        .query_typed(
            &mistake::sql(
                Mistake::Dedupe,
            "with arriving as materialized (
                select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int8[], $7::text[],
                                     $8::bytea[], $9::text[], $10::bool[])
                with ordinality as a (integration, direction, id, foreign_id, conversation, received, state,
                                      body, input, customers, place)
             ), new as (
                -- All nodes insert in the same order, so that they cannot deadlock.
                insert into tidegate.message
            (integration, direction, id, foreign_id, conversation, received, state, body)
                select integration, direction, id, foreign_id, conversation, received, state, body
                from arriving order by id, direction, integration
                on conflict do nothing returning id, direction, integration
             ), put as (
                insert into tidegate.inbox (conversation, customers, input)
                select conversation, customers, input from arriving join new using (id, direction, integration)
                where input is not null order by place
             )
             select place from arriving join new using (id, direction, integration)",
                "on conflict do nothing",
                "on conflict (id, direction, integration) do update set received = \
                 excluded.received",
            ),
            &[
                (&column(|m| m.integration.as_str()), Type::TEXT_ARRAY),
                (&column(|m| m.direction.as_str()), Type::TEXT_ARRAY),
                (&column(|m| m.id.as_str()), Type::TEXT_ARRAY),
                (&foreign, Type::TEXT_ARRAY),
                (&column(|m| m.conversation.as_str()), Type::TEXT_ARRAY),
                (&received, Type::INT8_ARRAY),
                (&column(|m| if m.input.is_some() { "accepted" } else { "kept" }), Type::TEXT_ARRAY),
                (&bodies, Type::BYTEA_ARRAY),
                (&inputs, Type::TEXT_ARRAY),
                (&customers, Type::BOOL_ARRAY),
            ],
        )
        .await?;
    let place = |row: &Row| {
        let place: i64 = row.try_get(0)?;
        // `with ordinality` counts from 1.
        Ok(usize::try_from(place - 1).unwrap_or(usize::MAX))
    };
    rows.iter().map(place).collect()
}

/// When the first message of each conversation came.
fn first_received<'a>(new: &[&'a NewMessage]) -> BTreeMap<&'a ConversationId, Timestamp> {
    let mut first = BTreeMap::new();
    for message in new {
        let at = first.entry(&message.conversation).or_insert(message.received);
        *at = message.received.min(*at);
    }
    first
}

/// Inserts or updates the conversations. The customer data of an inbound message is better than
/// Genesys's copy in an outbound one.
async fn know_customers(client: &Client, new: &[&NewMessage]) -> Result<(), Error> {
    let first = first_received(new);
    for (direction, conflict) in [
        (
            Direction::Inbound,
            "do update set customer = excluded.customer where conversation.customer <> \
             excluded.customer",
        ),
        (Direction::Outbound, "do nothing"),
    ] {
        let by_id: BTreeMap<&ConversationId, &NewMessage> = new
            .iter()
            .filter(|m| m.direction == direction)
            .map(|m| (&m.conversation, *m))
            .collect();
        if by_id.is_empty() {
            continue;
        }
        let ids: Vec<&str> = by_id.keys().map(|id| id.as_str()).collect();
        let integrations: Vec<&str> = by_id.values().map(|m| m.integration.as_str()).collect();
        let customers: Vec<&str> = by_id.values().map(|m| m.customer.as_str()).collect();
        let created: Vec<i64> = by_id.keys().map(|id| first[*id].as_millisecond()).collect();
        let sql = format!(
            "insert into tidegate.conversation (id, integration, customer, created)
             select * from unnest($1::text[], $2::text[], $3::text[], $4::int8[])
                as a (id, integration, customer, created) order by id
             on conflict (id) {conflict}"
        );
        let params = [
            (&ids as _, Type::TEXT_ARRAY),
            (&integrations as _, Type::TEXT_ARRAY),
            (&customers as _, Type::TEXT_ARRAY),
            (&created as _, Type::INT8_ARRAY),
        ];
        client.query_typed(&sql, &params).await?;
    }
    Ok(())
}

/// Keeps a prune from removing the dead letters that operators act on, until the commit. A prune
/// that was first has removed them when this returns. This lock excludes nothing else: an append
/// only changes a row that stays, and a prune skips locked rows, so no two transactions can wait for
/// each other.
async fn keep_dead_letters(client: &Client, arrivals: &[Arrival]) -> Result<(), Error> {
    let conversations: Vec<&str> = arrivals
        .iter()
        .filter_map(|arrival| match arrival {
            Arrival::Event { conversation, input: Input::DeadLetter { .. }, .. } => {
                Some(conversation.as_str())
            }
            _ => None,
        })
        .collect();
    if conversations.is_empty() {
        return Ok(());
    }
    let sql = "select 1 from tidegate.conversation where id = any($1) order by id for key share";
    client.query_typed(sql, &[(&conversations, Type::TEXT_ARRAY)]).await?;
    Ok(())
}

/// Whether the message that an operator acts on is still the dead letter that the operator saw. A
/// prune may have removed it since. `true` for any other input.
async fn is_still_dead(
    client: &Client,
    integration: &IntegrationName,
    input: &Input,
) -> Result<bool, Error> {
    let Input::DeadLetter { message, died, .. } = input else { return Ok(true) };
    let named = escape(message.as_str());
    let rows = client
        .query_typed(
            "select 1 from tidegate.message
             where id = $1 and direction = 'inbound' and integration = $2
                and state = 'refused' and coalesce(settled, received) = $3",
            &[
                (&named.as_ref(), Type::TEXT),
                (&integration.as_str(), Type::TEXT),
                (&died.as_millisecond(), Type::INT8),
            ],
        )
        .await?;
    Ok(!rows.is_empty())
}

async fn accept_event(
    client: &Client,
    integration: &IntegrationName,
    id: &str,
    received: Timestamp,
    conversation: &ConversationId,
    input: &Input,
) -> Result<Acceptance, Error> {
    let id = key(id);
    if !is_still_dead(client, integration, input).await? {
        let sql = "select 1 from tidegate.event where id = $1 and integration = $2";
        let params = [(&id.as_str() as _, Type::TEXT), (&integration.as_str() as _, Type::TEXT)];
        let is_new = client.query_typed(sql, &params).await?.is_empty();
        return Ok(if is_new { Acceptance::Unknown } else { Acceptance::Repeated });
    }
    // A foreign id may contain anything; escaping changes none of our own ids.
    let named = escape(conversation.as_str());
    let rows = client
        .query_typed(
            &mistake::sql(
                Mistake::EventDedupe,
                "with known as (
                select 1 from tidegate.conversation where id = $4 and integration = $2
             ), new as (
                insert into tidegate.event (id, integration, received) select $1, $2, $3 from known
                on conflict do nothing returning 1
             ), put as (
                insert into tidegate.inbox (conversation, customers, input) select $4, $5, $6 from new
             )
             select exists (select from known), exists (select from new)",
                "on conflict do nothing",
                "on conflict (id, integration) do update set received = excluded.received",
            ),
            &[
                (&id.as_str(), Type::TEXT),
                (&integration.as_str(), Type::TEXT),
                (&received.as_millisecond(), Type::INT8),
                (&named.as_ref(), Type::TEXT),
                (&input.is_customers(), Type::BOOL),
                (&json(input), Type::TEXT),
            ],
        )
        .await?;
    Ok(match (rows[0].try_get(0)?, rows[0].try_get(1)?) {
        (false, _) => Acceptance::Unknown,
        (true, false) => Acceptance::Repeated,
        (true, true) => Acceptance::New(conversation.clone()),
    })
}

async fn note_event(
    client: &Client,
    integration: &IntegrationName,
    id: &str,
    received: Timestamp,
) -> Result<Acceptance, Error> {
    let id = key(id);
    let sql = "insert into tidegate.event (id, integration, received) values ($1, $2, $3)
               on conflict do nothing returning 1";
    let params = [
        (&id.as_str() as _, Type::TEXT),
        (&integration.as_str() as _, Type::TEXT),
        (&received.as_millisecond() as _, Type::INT8),
    ];
    Ok(if client.query_typed(sql, &params).await?.is_empty() {
        Acceptance::Repeated
    } else {
        Acceptance::Kept
    })
}

/// Accepts a report on a message that it names by our id.
async fn accept_report(
    client: &Client,
    integration: &IntegrationName,
    event: &str,
    received: Timestamp,
    message: &MessageId,
    report: &Report,
) -> Result<Acceptance, Error> {
    let sql = "select conversation from tidegate.message where id = $1 and direction = 'outbound' \
        and integration = $2";
    let named = escape(message.as_str());
    let params = [(&named.as_ref() as _, Type::TEXT), (&integration.as_str() as _, Type::TEXT)];
    let Some(row) = client.query_typed(sql, &params).await?.pop() else {
        return Ok(Acceptance::Unknown);
    };
    let conversation = ConversationId::new(row.try_get::<_, &str>(0)?);
    let input = Input::Reported { message: message.clone(), report: report.clone() };
    accept_event(client, integration, event, received, &conversation, &input).await
}

/// Accepts a report on a message that it names only by the chat service's id.
async fn accept_report_by_name(
    client: &Client,
    integration: &IntegrationName,
    event: &str,
    received: Timestamp,
    service_id: &str,
    report: &Report,
) -> Result<Acceptance, Error> {
    let name = key(service_id);
    // The lock on this row makes one of the two wait: this report, or the transaction that stores
    // the message with this name. So neither overlooks the other.
    let rows = client
        .query_typed(
            "insert into tidegate.service_name (service_id, integration, received) values ($1, $2, $3)
             on conflict (service_id, integration) do update set received = service_name.received
             returning message",
            &[
                (&name.as_str(), Type::TEXT),
                (&integration.as_str(), Type::TEXT),
                (&received.as_millisecond(), Type::INT8),
            ],
        )
        .await?;
    if let Some(message) = rows[0].try_get::<_, Option<&str>>(0)? {
        return accept_report(
            client,
            integration,
            event,
            received,
            &MessageId::new(message),
            report,
        )
        .await;
    }
    // The report overtook the answer that contains the service's id for the message.
    let id = key(event);
    let rows = client
        .query_typed(
            "with new as (
                insert into tidegate.event (id, integration, received) values ($1, $2, $3)
                on conflict do nothing returning 1
             ), put as (
                insert into tidegate.early (service_id, integration, event_id, received, report)
                select $4, $2, $1, $3, $5 from new
             )
             select exists (select from new)",
            &[
                (&id.as_str(), Type::TEXT),
                (&integration.as_str(), Type::TEXT),
                (&received.as_millisecond(), Type::INT8),
                (&name.as_str(), Type::TEXT),
                (&json(report), Type::TEXT),
            ],
        )
        .await?;
    Ok(if rows[0].try_get(0)? { Acceptance::Early } else { Acceptance::Repeated })
}

#[cfg(test)]
mod tests {
    use conversation::MessageId;

    use super::*;

    #[test]
    fn messages_that_are_accepted_together_give_a_conversation_the_earliest_time() {
        let message = |customer: &str, second| NewMessage {
            integration: IntegrationName::new("acme"),
            direction: Direction::Inbound,
            id: MessageId::new(format!("m{second}")),
            foreign_id: String::new(),
            conversation: ConversationId::new(customer),
            customer: "{}".to_owned(),
            received: Timestamp::from_second(second).expect("a time"),
            body: Vec::new().into(),
            input: None,
        };
        let new = [message("a", 5), message("b", 9), message("a", 3), message("a", 4)];
        let first = first_received(&new.iter().collect::<Vec<_>>());
        let seconds: Vec<i64> = first.values().map(|at| at.as_second()).collect();
        assert_eq!(seconds, [3, 9]);
    }
}
