-- By age: problems of the last minute, and incidents that are old enough to go.
CREATE INDEX incidents_by_age ON incidents (opened_at);
