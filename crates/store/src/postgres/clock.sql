-- What the store's clock said, and the database's own at that moment. Each node that lives brings it up to date again and again, so
-- that a step of the database's clock is forgotten with the next time; only a node that starts looks at the difference.
create table tidegate.clock (
    id   integer primary key check (id = 1),
    time bigint not null,
    at   timestamptz not null
);
