-- control.db: what happened, who was told, and why. Small, transactional, kept for years, and made to be read by a
-- person with `sqlite3 control.db`. Times are nanoseconds since the Unix epoch, UTC. One process writes.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- Counters that must survive a restart: refused requests, duplicates, dead letters …
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
);

-- Identities of records already counted, so that a second copy does not count; pruned by age.
CREATE TABLE seen (
    uid      TEXT PRIMARY KEY,
    taken_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX seen_by_age ON seen (taken_at);

-- A problem known by its fingerprint, for years.
CREATE TABLE issues (
    fingerprint TEXT PRIMARY KEY,
    version     INTEGER NOT NULL,
    rung        TEXT NOT NULL,
    components  TEXT NOT NULL, -- JSON [[name, value], …], in the order they were hashed
    title       TEXT NOT NULL,
    pipeline    TEXT NOT NULL,
    environment TEXT NOT NULL,
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    events      INTEGER NOT NULL
);

CREATE TABLE issue_days (
    fingerprint TEXT NOT NULL REFERENCES issues (fingerprint) ON DELETE CASCADE,
    day         TEXT NOT NULL, -- UTC, ISO 8601
    events      INTEGER NOT NULL,
    PRIMARY KEY (fingerprint, day)
);

-- One episode of an issue, from opening to resolving.
CREATE TABLE incidents (
    id              TEXT PRIMARY KEY,
    fingerprint     TEXT NOT NULL REFERENCES issues (fingerprint),
    title           TEXT NOT NULL,
    pipeline        TEXT NOT NULL,
    environment     TEXT NOT NULL,
    stage           TEXT NOT NULL, -- of the earliest event
    stages          TEXT NOT NULL, -- JSON list of all
    models          TEXT NOT NULL, -- JSON list of the models that reported it
    severity        INTEGER NOT NULL,
    state           TEXT NOT NULL, -- open, resolved
    opened_at       INTEGER NOT NULL,
    first_event     INTEGER NOT NULL,
    last_event      INTEGER NOT NULL,
    last_taken_at   INTEGER NOT NULL,
    count           INTEGER NOT NULL,
    folded          INTEGER NOT NULL, -- consequences counted here but not as the problem itself
    sample          TEXT NOT NULL,    -- JSON of the latest record: the text that is told
    owner           TEXT NOT NULL,
    runbook         TEXT NOT NULL,
    effect          TEXT NOT NULL,
    acknowledged_by TEXT NOT NULL,
    root_id         TEXT NOT NULL,
    resolved_at     INTEGER NOT NULL, -- when we knew; 0 while open
    closed_event    INTEGER NOT NULL, -- event time of what resolved it; later records are a new episode
    closed_by_run   TEXT NOT NULL,
    seen_before     INTEGER NOT NULL
);
CREATE INDEX incidents_by_issue ON incidents (fingerprint, opened_at);
CREATE INDEX incidents_open ON incidents (state, pipeline, environment);

CREATE TABLE incident_runs (
    incident_id TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    run_id      TEXT NOT NULL,
    events      INTEGER NOT NULL,
    first_event INTEGER NOT NULL,
    PRIMARY KEY (incident_id, run_id)
);
CREATE INDEX incident_runs_by_run ON incident_runs (run_id);

-- The counted records of an incident; the newest are kept, the counts in incidents stay exact.
CREATE TABLE occurrences (
    record_uid  TEXT PRIMARY KEY,
    incident_id TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    time        INTEGER NOT NULL,
    run_id      TEXT NOT NULL,
    stage       TEXT NOT NULL,
    trace_id    TEXT NOT NULL,
    span_id     TEXT NOT NULL,
    body        TEXT NOT NULL
);
CREATE INDEX occurrences_by_incident ON occurrences (incident_id, time);

-- One incident with one recipient. matched = told + queued + suppressed + dead, always.
CREATE TABLE conversations (
    id             INTEGER PRIMARY KEY,
    incident_id    TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    channel        TEXT NOT NULL,
    address        TEXT NOT NULL,
    audiences      TEXT NOT NULL, -- JSON list
    duty           TEXT NOT NULL, -- act, inform
    why            TEXT NOT NULL,
    state          TEXT NOT NULL, -- open, dead, folded
    opened_at      INTEGER NOT NULL,
    first_event    INTEGER NOT NULL,
    matched        INTEGER NOT NULL,
    told           INTEGER NOT NULL,
    queued         INTEGER NOT NULL,
    suppressed     INTEGER NOT NULL,
    dead           INTEGER NOT NULL,
    reference      TEXT NOT NULL, -- the channel's own
    first_told_at  INTEGER NOT NULL,
    last_told_at   INTEGER NOT NULL,
    last_post_at   INTEGER NOT NULL, -- the last new message, not an edit
    posted         INTEGER NOT NULL, -- records told when it was posted
    told_severity  INTEGER NOT NULL,
    told_resolved  INTEGER NOT NULL, -- 1: the last thing they heard is that it is over
    reminders      INTEGER NOT NULL, -- in a row, without news
    stands_in_for  TEXT NOT NULL,    -- the channel whose place it took
    UNIQUE (incident_id, channel, address)
);

-- The outbox, and what became of it. At most one row per conversation is queued or sending.
CREATE TABLE notices (
    id              INTEGER PRIMARY KEY,
    conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    reason          TEXT NOT NULL,
    state           TEXT NOT NULL, -- queued, sending, delivered, suppressed, dead
    due_at          INTEGER NOT NULL,
    wanted_at       INTEGER NOT NULL, -- when it should be told, for saying how late it is
    retry_at        INTEGER NOT NULL, -- not before, because the channel failed or asked for a pause
    attempts        INTEGER NOT NULL,
    covers          INTEGER NOT NULL, -- records it told
    last_error      TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    closed_at       INTEGER NOT NULL
);
CREATE INDEX notices_pending ON notices (state, due_at);
CREATE INDEX notices_by_conversation ON notices (conversation_id, state);

CREATE TABLE receipts (
    id        INTEGER PRIMARY KEY,
    notice_id INTEGER NOT NULL REFERENCES notices (id) ON DELETE CASCADE,
    at        INTEGER NOT NULL,
    outcome   TEXT NOT NULL, -- delivered, previewed, retryable, permanent, ambiguous
    detail    TEXT NOT NULL
);
CREATE INDEX receipts_by_notice ON receipts (notice_id);

-- Why a record or an incident was, or was not, told.
CREATE TABLE decisions (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    subject TEXT NOT NULL, -- a record's uid or an incident's id
    step    TEXT NOT NULL,
    text    TEXT NOT NULL
);
CREATE INDEX decisions_by_subject ON decisions (subject, at);
CREATE INDEX decisions_by_age ON decisions (at);

-- Pairs of record and recipient as intake counted them, apart from the conversations: the other side of the books.
CREATE TABLE ledger (
    channel TEXT PRIMARY KEY,
    matched INTEGER NOT NULL
);

-- Runs and stages as their lifecycle events tell them: for resolving, and for pages when the bulk lane is away.
CREATE TABLE runs (
    run_id      TEXT PRIMARY KEY,
    pipeline    TEXT NOT NULL,
    environment TEXT NOT NULL,
    trace_id    TEXT NOT NULL,
    started     INTEGER NOT NULL, -- 0: unknown
    ended       INTEGER NOT NULL, -- 0: still running
    result      TEXT NOT NULL,
    facts       TEXT NOT NULL -- JSON [[label, value], …] for people
);
CREATE INDEX runs_by_pipeline ON runs (pipeline, environment, ended);

CREATE TABLE steps (
    run_id      TEXT NOT NULL,
    stage       TEXT NOT NULL, -- empty: the run itself
    pipeline    TEXT NOT NULL,
    environment TEXT NOT NULL,
    started     INTEGER NOT NULL,
    ended       INTEGER NOT NULL,
    result      TEXT NOT NULL,
    PRIMARY KEY (run_id, stage)
);
CREATE INDEX steps_by_result ON steps (pipeline, environment, stage, result, ended);

-- Which incident a process ended with: its uncaught exception, or its death as the supervisor saw it.
CREATE TABLE process_ends (
    run_id      TEXT NOT NULL,
    pid         TEXT NOT NULL,
    kind        TEXT NOT NULL, -- uncaught, died
    incident_id TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    PRIMARY KEY (run_id, pid, kind)
);

-- Messages that would have been sent, exactly as their channel would have sent them.
CREATE TABLE previews (
    id          INTEGER PRIMARY KEY,
    reference   TEXT NOT NULL UNIQUE,
    at          INTEGER NOT NULL,
    channel     TEXT NOT NULL,
    address     TEXT NOT NULL,
    audiences   TEXT NOT NULL,
    incident_id TEXT NOT NULL,
    payload     TEXT NOT NULL,
    edits       INTEGER NOT NULL
);

CREATE TABLE dead_letters (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    why     TEXT NOT NULL,
    excerpt BLOB NOT NULL
);

-- One address of one channel: whether it works, as far as we know.
CREATE TABLE health (
    channel           TEXT NOT NULL,
    address           TEXT NOT NULL,
    broken_since      INTEGER NOT NULL, -- 0: works
    last_delivered_at INTEGER NOT NULL,
    last_failed_at    INTEGER NOT NULL,
    last_error        TEXT NOT NULL,
    PRIMARY KEY (channel, address)
);
