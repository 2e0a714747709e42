-- Who is signed in to the console.
create table console_session (
    hash    text primary key,       -- SHA-256 of the cookie's token, in hex
    name    text not null,          -- the user's
    password text not null,         -- which password opened it: a hash of its hash
    until   integer not null        -- when the session ends, in milliseconds
) without rowid, strict;
