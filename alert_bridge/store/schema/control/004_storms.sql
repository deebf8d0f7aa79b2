-- How many new problems one address was told of lately: beyond a limit they are gathered in one message.
CREATE INDEX conversations_by_address ON conversations (channel, address, opened_at);
