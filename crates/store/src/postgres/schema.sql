-- Times are milliseconds since 1970-01-01 UTC. JSON is stored as text, so that it stays unchanged,
-- whatever it contains. Every name is qualified, because a pooler may hand each transaction to
-- another session.

create table tidegate.conversation (
    id           text primary key,
    integration  text not null,
    customer     text not null,                 -- JSON
    seq          bigint not null default 0,     -- of the last record: the fence
    token        text,                          -- of the last append, to recognize its repetition
    due          bigint,                        -- when it is to be woken
    watched      text,                          -- Genesys's conversation, while it is watched
    snapshot     text,                          -- JSON, the state after snapshot_seq
    snapshot_seq bigint not null default 0,
    pruned_seq   bigint not null default 0
);
create index conversation_due on tidegate.conversation (due) where due is not null;
create index conversation_watched on tidegate.conversation (integration, id) where watched is not null;

create table tidegate.message (
    place        bigint generated always as identity,
    integration  text not null,
    direction    text not null,
    id           text not null,
    foreign_id   text not null,
    conversation text not null,
    received     bigint not null,
    state        text not null,
    reason       text,
    receipt      text,
    settled      bigint,
    body         bytea not null,
    primary key (id, direction, integration)
);
create index message_conversation on tidegate.message (conversation);

-- The chat service's id for a message. A report, and the answer that tells this id, both lock this
-- row, so that neither overlooks the other.
create table tidegate.service_name (
    service_id   text not null,
    integration  text not null,
    received     bigint not null,
    message      text,                          -- null while only a report has used the id
    conversation text,
    primary key (service_id, integration)
);
create index service_name_received on tidegate.service_name (received);
create index service_name_conversation on tidegate.service_name (conversation);

create table tidegate.event (
    id          text not null,
    integration text not null,
    received    bigint not null,
    primary key (id, integration)
);
create index event_received on tidegate.event (received);

create table tidegate.early (
    service_id  text not null,
    integration text not null,
    event_id    text not null,
    received    bigint not null,
    report      text not null,                  -- JSON
    primary key (service_id, integration, event_id)
);
create index early_received on tidegate.early (received);

create table tidegate.inbox (
    seq          bigint generated always as identity primary key,
    conversation text not null,
    customers    boolean not null,
    input        text not null                  -- JSON
);
create index inbox_conversation on tidegate.inbox (conversation, customers, seq);

create table tidegate.journal (
    conversation text not null,
    seq          bigint not null,
    at           bigint not null,
    message      text,                          -- which message the record is about
    record       text not null,                 -- JSON
    primary key (conversation, seq)
);

create sequence tidegate.outbox_seq;
create table tidegate.outbox (
    seq          bigint not null default nextval('tidegate.outbox_seq'),
    integration  text not null,
    conversation text not null,
    key          text not null,                 -- what it is about; a newer receipt replaces an older one
    lazy         boolean not null,
    since        bigint not null,
    owed         text not null,                 -- JSON
    primary key (conversation, key)
);
create index outbox_order on tidegate.outbox (integration, lazy, seq);

-- What /readyz writes.
create table tidegate.probe (
    id integer primary key check (id = 1),
    at timestamptz not null
);

-- Which process drives the conversations, and until when by the database's own clock.
create table tidegate.driver (
    id      integer primary key check (id = 1),
    process text not null,
    until   timestamptz not null
);
