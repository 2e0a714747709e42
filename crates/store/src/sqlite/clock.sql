-- What the store's clock said when a process last opened the file for writing, and the machine's
-- uptime at that moment. A later process of the same boot continues from there, whatever the wall
-- clock says.
create table clock (
    id     integer primary key check (id = 1),
    boot   text,                                -- identifies the boot; null if unknown
    uptime integer not null,                    -- milliseconds
    time   integer not null
);
