-- One exporter's own state: how far it followed the telemetry, what became of it, and what it must not forget.
--
-- Times are nanoseconds since the Unix epoch, UTC. Per signal, and at any moment:
-- cursor - began = sent + skipped + refused + dropped.

CREATE TABLE cursors (
    signal    TEXT PRIMARY KEY, -- logs, spans, points: the highest id that is done with; incidents: a time
    began     INTEGER NOT NULL, -- where following began: what is older was never asked for
    cursor    INTEGER NOT NULL,
    attempted INTEGER NOT NULL, -- the highest id that the target may have seen: beyond the cursor after a crash
    sent      INTEGER NOT NULL DEFAULT 0, -- the target has it
    skipped   INTEGER NOT NULL DEFAULT 0, -- not for this target: by policy, or told another way
    refused   INTEGER NOT NULL DEFAULT 0, -- the target would not have it, ever
    dropped   INTEGER NOT NULL DEFAULT 0  -- retention removed it first
);

-- What the exporter itself needs after a restart, committed together with the cursors. Keys and values are its own.
CREATE TABLE memory (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL -- JSON
) WITHOUT ROWID;

CREATE TABLE health (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
