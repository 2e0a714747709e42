-- Customers' messages that Genesys will never have. An index of the messages with such a state
-- would do, but a state that stands in an index makes each of its changes, one a message, write all
-- indexes of the message.
create table tidegate.dead_letter (
    id           text not null,
    direction    text not null,
    integration  text not null,
    primary key (id, direction, integration),
    foreign key (id, direction, integration) references tidegate.message on delete cascade
);
insert into tidegate.dead_letter (id, direction, integration)
select id, direction, integration from tidegate.message where direction = 'inbound' and state = 'refused';
