-- A node takes over a lease when it has itself observed it unchanged for as long as the lease
-- lasts. No clock of the database's machine counts.
alter table tidegate.lease
    add column renewal bigint not null default 0,   -- counts renewals, takes and releases
    add column lasts   bigint not null default 0,   -- how long the lease lasts, in milliseconds
    add column server  text;                        -- the server's start at which it was written
alter table tidegate.node
    add column beat    bigint not null default 0,   -- counts the rounds
    add column lasts   bigint not null default 0;
-- No node ever had these leases, so they are free at once.
update tidegate.lease set server = extract(epoch from pg_postmaster_start_time())::text
where node = '' and until = '-infinity';
