-- A lease is taken over when a node has itself seen it unchanged for as long as it lasts: no clock of this machine counts.
alter table tidegate.lease
    add column renewal bigint not null default 0,   -- counts renewals and takes
    add column lasts   bigint not null default 0,   -- for how many milliseconds its holder relies on it
    add column server  text;                        -- which start of the server it was written on
alter table tidegate.node
    add column beat    bigint not null default 0,   -- counts the rounds
    add column lasts   bigint not null default 0;
-- Nobody ever had them.
update tidegate.lease set server = extract(epoch from pg_postmaster_start_time())::text
where node = '' and until = '-infinity';
