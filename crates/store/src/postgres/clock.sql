-- What the store's clock said, and what the database's clock said at that moment. Each living node
-- updates the pair at intervals, so the next update corrects a step of the database's clock. Only a
-- node that starts uses the difference.
create table tidegate.clock (
    id   integer primary key check (id = 1),
    time bigint not null,
    at   timestamptz not null
);
