-- What people ask for (silences, orders), what is not told now, and what the bridge itself watches.

-- A silence holds back what matches until it ends. The row is the whole truth: intake reads it in its own transaction.
CREATE TABLE silences (
    id          TEXT PRIMARY KEY,
    conditions  TEXT NOT NULL,    -- JSON [[key, glob], …]; all must match
    incident_id TEXT NOT NULL,    -- or one incident; empty: by the conditions
    critical    INTEGER NOT NULL, -- 1: CRITICAL too, because somebody said so
    author      TEXT NOT NULL,
    reason      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    ends_at     INTEGER NOT NULL,
    ended_by    TEXT NOT NULL,    -- who ended it early; empty: it ends by itself
    applied_at  INTEGER NOT NULL, -- when what was open already fell silent; 0: not yet
    released_at INTEGER NOT NULL  -- when what it held back was told; 0: not yet
);
CREATE INDEX silences_by_state ON silences (released_at, ends_at);

-- What a person wants of one incident: written by a command or a page, carried out by the bridge within a second.
CREATE TABLE orders (
    id             INTEGER PRIMARY KEY,
    at             INTEGER NOT NULL,
    kind           TEXT NOT NULL, -- acknowledge, assign, resolve
    incident_id    TEXT NOT NULL,
    author         TEXT NOT NULL,
    value          TEXT NOT NULL, -- to whom, for assign
    carried_out_at INTEGER NOT NULL, -- 0: not yet
    outcome        TEXT NOT NULL
);
CREATE INDEX orders_waiting ON orders (carried_out_at);

-- A digest is told like an incident and is none: lists of incidents leave it out.
ALTER TABLE incidents ADD COLUMN kind TEXT NOT NULL DEFAULT 'problem';
ALTER TABLE incidents ADD COLUMN acknowledged_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incidents ADD COLUMN assigned_to TEXT NOT NULL DEFAULT '';

ALTER TABLE conversations ADD COLUMN silenced INTEGER NOT NULL DEFAULT 0;     -- of the suppressed: held back by a silence
ALTER TABLE conversations ADD COLUMN silent_until INTEGER NOT NULL DEFAULT 0; -- a silence covers it so long; 0: none
ALTER TABLE conversations ADD COLUMN retell_at INTEGER NOT NULL DEFAULT 0;    -- when the last silence ended
ALTER TABLE conversations ADD COLUMN quiet_until INTEGER NOT NULL DEFAULT 0;  -- waits for the end of quiet hours; 0: does not
CREATE INDEX conversations_quiet ON conversations (quiet_until) WHERE quiet_until > 0;
CREATE INDEX conversations_silent ON conversations (silent_until) WHERE silent_until > 0;

-- Ends of runs that the bridge has looked at: expectations judged, digest told. What ended before this step is history.
CREATE TABLE reviews (
    run_id      TEXT PRIMARY KEY,
    seen_at     INTEGER NOT NULL, -- when the bridge first saw that the run ended
    reviewed_at INTEGER NOT NULL  -- 0: waits for the bulk lane
);
INSERT INTO reviews (run_id, seen_at, reviewed_at) SELECT run_id, ended, ended FROM runs WHERE ended > 0;
ALTER TABLE runs ADD COLUMN named INTEGER NOT NULL DEFAULT 0; -- 1: its pipeline's name was given, not guessed
