-- Which conversations Genesys had with a customer, so that an id from Genesys finds them, also after
-- their end.
create table tidegate.genesys_conversation (
    id           text not null,                 -- Genesys's, as a key
    conversation text not null,
    since        bigint not null,
    primary key (id, conversation)
);
create index genesys_conversation_conversation on tidegate.genesys_conversation (conversation, since);
-- An unusual id is left out; nothing depends on it.
insert into tidegate.genesys_conversation (id, conversation, since)
select substring(record from '^\{"kind":"genesys_conversation","id":"([A-Za-z0-9._-]{1,64})"\}$'), conversation, min(at)
from tidegate.journal
where record ~ '^\{"kind":"genesys_conversation","id":"[A-Za-z0-9._-]{1,64}"\}$'
group by 1, 2;
insert into tidegate.genesys_conversation (id, conversation, since)
select watched, id, (extract(epoch from now()) * 1000)::bigint from tidegate.conversation
where watched ~ '^[A-Za-z0-9._-]{1,64}$'
on conflict do nothing;
