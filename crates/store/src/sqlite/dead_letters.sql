-- Customers' messages that Genesys will never have, so that they can be counted without reading the
-- others.
create index message_refused on message (integration) where direction = 'inbound' and state = 'refused';
