-- Customers' messages that Genesys will never accept. A partial index by state would also do. But
-- if an index contains the state, each change of a message's state writes all indexes of that
-- message.
create table tidegate.dead_letter (
    id           text not null,
    direction    text not null,
    integration  text not null,
    primary key (id, direction, integration),
    foreign key (id, direction, integration) references tidegate.message on delete cascade
);
insert into tidegate.dead_letter (id, direction, integration)
select id, direction, integration from tidegate.message where direction = 'inbound' and state = 'refused';
