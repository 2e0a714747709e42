-- Times are milliseconds since 1970-01-01 UTC, so that they sort. JSON is stored as text, so that a
-- person can read it.

-- One row for each customer of an integration. Every step changes the row, so long values that do
-- not change with each step are in other tables.
create table conversation (
    id           text primary key,
    integration  text not null,
    customer     text not null,                 -- JSON
    seq          integer not null default 0,    -- of the last record: the fence
    due          integer,                       -- when it is to be woken
    watched      text,                          -- Genesys's conversation, while it is watched
    pruned_seq   integer not null default 0,
    step         integer,                       -- its last step in the journal
    message      integer,                       -- its last message
    oldest       integer not null default 0     -- the time of its oldest record; 0 if it has none
) without rowid;
create index conversation_oldest on conversation (oldest);
create index conversation_due on conversation (due) where due is not null;
create index conversation_watched on conversation (integration, id) where watched is not null;

-- The state after the records up to `seq`, so that a long journal need not be replayed.
create table snapshot (
    conversation text primary key,
    seq          integer not null,
    state        text not null                  -- JSON
) without rowid;

-- One row for each message, for deduplication and queries. Each row names the one before it of its
-- conversation. An index by conversation would change one more page for each message.
create table message (
    seq          integer primary key,
    before       integer,                       -- the conversation's message before this one
    integration  text not null,
    direction    text not null,
    id           text not null,
    foreign_id   text not null,
    conversation text not null,
    received     integer not null,
    state        text not null,
    reason       text,
    receipt      text,
    service_id   text,                          -- the chat service's id for it, as a key
    settled      integer
);
create unique index message_id on message (id, direction, integration);
create index message_service_id on message (service_id, integration) where service_id is not null;

-- The body of a message, under the message's number. A body never changes, and without it the rows
-- that change are short.
create table body (
    seq          integer primary key,
    body         blob not null
);
create trigger message_gone after delete on message begin delete from body where seq = old.seq; end;

-- Events that are not messages: only their ids, for deduplication.
create table event (
    id          text not null,
    integration text not null,
    received    integer not null,
    primary key (id, integration)
) without rowid;
create index event_received on event (received);

-- Reports that name their message by an id of the chat service which is not known yet.
create table early (
    service_id  text not null,
    integration text not null,
    event_id    text not null,
    received    integer not null,
    report      text not null,                  -- JSON
    primary key (service_id, integration, event_id)
) without rowid;
create index early_received on early (received);

-- Accepted, not yet handled. The writer assigns the numbers, here and in the outbox.
create table inbox (
    seq          integer primary key,
    conversation text not null,
    customers    integer not null,              -- 1: a customer's message, which may wait longer
    input        text not null                  -- JSON
);
create index inbox_conversation on inbox (conversation, customers, seq);

-- What each conversation decided, step by step. The steps of all conversations are appended in one
-- sequence, and each names the one before it of its conversation. Sorted by conversation, each step
-- would change another page.
create table journal (
    step         integer primary key,
    before       integer,                       -- the conversation's step before this one
    conversation text not null,
    seq          integer not null,              -- of the first of its records
    at           integer not null,
    records      text not null                  -- JSON, one record a line
);

-- What the gateway must still post to Genesys.
create table outbox (
    integration  text not null,
    lazy         integer not null,              -- 0: a person waits for it
    seq          integer not null,
    conversation text not null,
    key          text not null,                 -- what it is about; a newer receipt replaces an older one
    since        integer not null,
    owed         text not null,                 -- JSON
    -- Rows are read and written in this order. After a long outage of Genesys there are many.
    primary key (integration, lazy, seq)
) without rowid;
create unique index outbox_conversation on outbox (conversation, key);

-- What /readyz writes.
create table probe (
    id integer primary key check (id = 1),
    at integer not null
);
