-- What is told as part of another incident: a message that was posted before that was known is edited once to say so.
ALTER TABLE conversations ADD COLUMN told_folded INTEGER NOT NULL DEFAULT 0; -- 1: its message says whose part it is

-- Where each problem showed, also one that is told as part of another: then ``incident_id`` is the one that tells it.
CREATE TABLE sightings_by_problem (
    run_id      TEXT NOT NULL,
    incident_id TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    problem     TEXT NOT NULL, -- fingerprint
    span_id     TEXT NOT NULL,
    root        TEXT NOT NULL, -- what is at its bottom
    severity    INTEGER NOT NULL, -- the worst that showed there
    trouble     TEXT NOT NULL, -- JSON: what folding knows of it
    PRIMARY KEY (run_id, incident_id, problem, span_id, root)
);
INSERT INTO sightings_by_problem (run_id, incident_id, problem, span_id, root, severity, trouble)
    SELECT run_id, incident_id, json_extract(trouble, '$.problem'), span_id, root,
        json_extract(trouble, '$.severity'), trouble FROM sightings ORDER BY rowid;
DROP TABLE sightings;
ALTER TABLE sightings_by_problem RENAME TO sightings;
