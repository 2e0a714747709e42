-- What the store's clock said when a process last began to write here, and how long the machine had been running then: a later
-- process of the same boot goes on from there, whatever the wall clock says by then.
create table clock (
    id     integer primary key check (id = 1),
    boot   text,                                -- which run of the machine; null where that is not known
    uptime integer not null,                    -- milliseconds
    time   integer not null
);
