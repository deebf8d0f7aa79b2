-- What belongs together within a run: its stages as a tree, where each problem showed, and what is told as part of it.

CREATE TABLE stage_spans (
    run_id   TEXT NOT NULL,
    span_id  TEXT NOT NULL,
    parent   TEXT NOT NULL, -- the span above it
    stage    TEXT NOT NULL,
    upstream TEXT NOT NULL, -- JSON [stage, …] that it needs
    PRIMARY KEY (run_id, span_id)
);

-- Where a told problem showed in a run, and what is at its bottom.
CREATE TABLE sightings (
    run_id      TEXT NOT NULL,
    incident_id TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    span_id     TEXT NOT NULL,
    root        TEXT NOT NULL,
    trouble     TEXT NOT NULL, -- JSON: what folding knows of it
    PRIMARY KEY (run_id, incident_id, span_id, root)
);

-- Problems told as part of another, for pages and messages.
CREATE TABLE folds (
    root_id     TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    run_id      TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    rule        TEXT NOT NULL, -- re-report, echo, consequence
    title       TEXT NOT NULL,
    stage       TEXT NOT NULL,
    severity    INTEGER NOT NULL,
    first_event INTEGER NOT NULL,
    events      INTEGER NOT NULL,
    PRIMARY KEY (root_id, run_id, fingerprint)
);

-- Fingerprints that were a problem of their own in a run where nothing else could have caused them: never folded again.
CREATE TABLE loners (
    fingerprint TEXT PRIMARY KEY,
    run_id      TEXT NOT NULL
);
