-- Lists for operators, the newest first. No step changes a column of these indexes unless the
-- conversation opens, holds a message, or fails to post one.
alter table tidegate.conversation
    add column created  bigint not null default 0,    -- when its first message came
    add column standing smallint not null default 0;  -- bits: 1 open, 2 held, 4 failing
-- One pass over the messages: there is no index of a conversation's messages by time.
update tidegate.conversation as c set created = m.first
from (select conversation, min(received) as first from tidegate.message group by 1) as m
where m.conversation = c.id;
-- The next step of each other conversation says how it stands.
update tidegate.conversation set standing = 1 where watched is not null;
create index conversation_created on tidegate.conversation (integration, created, id);
create index conversation_open on tidegate.conversation (integration, created, id) where standing & 1 > 0;
create index conversation_held on tidegate.conversation (integration, created, id) where standing & 2 > 0;
create index conversation_failing on tidegate.conversation (integration, created, id) where standing & 4 > 0;

-- Messages that did not arrive: agents' messages that failed, and customers' messages that Genesys
-- will never accept. A partial index by state would also do. But if an index contains the state,
-- each change of a message's state writes all indexes of that message.
create table tidegate.undelivered (
    direction    text not null,
    integration  text not null,
    place        bigint not null,
    id           text not null,
    primary key (direction, integration, place),
    unique (id, direction, integration),
    foreign key (id, direction, integration) references tidegate.message on delete cascade
);
insert into tidegate.undelivered (direction, integration, place, id)
select direction, integration, place, id from tidegate.message
where (direction = 'inbound' and state = 'refused') or (direction = 'outbound' and state = 'failed');
drop table tidegate.dead_letter;
