-- Lists for operators, the newest first. Every row of an index that has no `where` is written once,
-- with its conversation. The others contain few conversations or messages.
alter table conversation add column created integer not null default 0;  -- when its first message came
alter table conversation add column standing integer not null default 0; -- bits: 1 open, 2 held, 4 failing
update conversation set created = coalesce(
    (select received from message where message.seq = conversation.message), oldest);
update conversation set created = oldest where oldest > 0 and oldest < created;
-- The next step of each other conversation says how it stands.
update conversation set standing = 1 where watched is not null;
create index conversation_created on conversation (integration, created);
create index conversation_open on conversation (integration, created) where standing & 1;
create index conversation_held on conversation (integration, created) where standing & 2;
create index conversation_failing on conversation (integration, created) where standing & 4;
create index message_failed on message (integration) where direction = 'outbound' and state = 'failed';
