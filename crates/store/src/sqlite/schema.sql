-- Times are milliseconds since 1970-01-01 UTC, so that they sort. JSON is JSON, so that a person can read it.

-- One row a customer of an integration. Every step changes it: what is long and does not change with each has a table of its own.
create table conversation (
    id           text primary key,
    integration  text not null,
    customer     text not null,                 -- JSON
    seq          integer not null default 0,    -- of the last record: the fence
    due          integer,                       -- when it wants to be woken
    watched      text,                          -- Genesys's conversation, while its end has to be learnt
    pruned_seq   integer not null default 0,
    step         integer,                       -- the last of its steps in the journal
    message      integer,                       -- the last of its messages
    oldest       integer not null default 0     -- when the first of them was decided; 0: there are none
) without rowid;
create index conversation_oldest on conversation (oldest);
create index conversation_due on conversation (due) where due is not null;
create index conversation_watched on conversation (integration, id) where watched is not null;

-- What the records up to `seq` come to, where there are many.
create table snapshot (
    conversation text primary key,
    seq          integer not null,
    state        text not null                  -- JSON
) without rowid;

-- One row a message: dedupe, and what people ask. Each names the one before it: an index by conversation would change a page of
-- its own for each message.
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
    service_id   text,                          -- what the chat service calls it
    settled      integer
);
create unique index message_id on message (id, direction, integration);
create index message_service_id on message (service_id, integration) where service_id is not null;

-- What was said, under its message's number. It never changes, and what changes is short without it.
create table body (
    seq          integer primary key,
    body         blob not null
);
create trigger message_gone after delete on message begin delete from body where seq = old.seq; end;

-- Events that are no messages: only their ids, for dedupe.
create table event (
    id          text not null,
    integration text not null,
    received    integer not null,
    primary key (id, integration)
) without rowid;
create index event_received on event (received);

-- Reports that came before the message they name.
create table early (
    service_id  text not null,
    integration text not null,
    event_id    text not null,
    received    integer not null,
    report      text not null,                  -- JSON
    primary key (service_id, integration, event_id)
) without rowid;
create index early_received on early (received);

-- Accepted, not yet handled. The writer gives the numbers, here and in the outbox.
create table inbox (
    seq          integer primary key,
    conversation text not null,
    customers    integer not null,              -- 1: a customer's message, which may have to wait longer than the rest
    input        text not null                  -- JSON
);
create index inbox_conversation on inbox (conversation, customers, seq);

-- What each conversation decided, step by step. Steps are written one behind the other, whosever they are, and each names the
-- one before it: sorted by conversation, each would change a page of its own.
create table journal (
    step         integer primary key,
    before       integer,                       -- the conversation's step before this one
    conversation text not null,
    seq          integer not null,              -- of the first of its records
    at           integer not null,
    records      text not null                  -- JSON, a line each
);

-- What Genesys is owed.
create table outbox (
    integration  text not null,
    lazy         integer not null,              -- 0: somebody waits for it
    seq          integer not null,
    conversation text not null,
    key          text not null,                 -- what it is about; a newer receipt replaces an older one
    since        integer not null,
    owed         text not null,                 -- JSON
    -- The order in which it is read, and written: where Genesys was away for long, there is much.
    primary key (integration, lazy, seq)
) without rowid;
create unique index outbox_conversation on outbox (conversation, key);

-- What /readyz writes.
create table probe (
    id integer primary key check (id = 1),
    at integer not null
);
