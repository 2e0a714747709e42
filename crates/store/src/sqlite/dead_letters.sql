-- Customers' messages that Genesys will never accept. With this index they are counted without
-- reading the others.
create index message_refused on message (integration) where direction = 'inbound' and state = 'refused';
