-- Which conversations Genesys had with a customer, so that an id from Genesys finds them, also after
-- their end.
create table genesys_conversation (
    id           text not null,                 -- Genesys's, as a key
    conversation text not null,
    since        integer not null,
    primary key (id, conversation)
) without rowid;
create index genesys_conversation_conversation on genesys_conversation (conversation, since);
-- One record is one line. Damaged rows and unusual ids are left out; nothing depends on them.
insert or ignore into genesys_conversation (id, conversation, since)
select id, conversation, at from (
    select iif(record.type = 'object', json_extract(record.value, '$.kind'), null) as kind,
           iif(record.type = 'object', json_extract(record.value, '$.id'), null) as id,
           journal.conversation, journal.at
    from journal, json_each(iif(json_valid('[' || replace(records, char(10), ',') || ']'),
                                '[' || replace(records, char(10), ',') || ']', '[]')) as record
    where records like '%"kind":"genesys_conversation"%'
)
where kind = 'genesys_conversation' and typeof(id) = 'text'
    and length(id) between 1 and 64 and id not glob '*[^A-Za-z0-9._-]*';
insert or ignore into genesys_conversation (id, conversation, since)
select watched, id, unixepoch() * 1000 from conversation
where length(watched) between 1 and 64 and watched not glob '*[^A-Za-z0-9._-]*';
