-- Several nodes: which of them live, and which of them drives each shard of the conversations.
-- `until` is by the database's own clock. A shard is the second and third character of a
-- conversation's id.
drop table tidegate.driver;

create table tidegate.node (
    name  text primary key,
    until timestamptz not null
);

create table tidegate.lease (
    shard text primary key,
    node  text not null,                        -- empty: no node
    until timestamptz not null
);
insert into tidegate.lease (shard, node, until)
select lpad(to_hex(n), 2, '0'), '', '-infinity' from generate_series(0, 255) as n;
