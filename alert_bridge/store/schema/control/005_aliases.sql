-- Texts of problems that are told apart by their text alone. Those of one place that differ in one plain word become one
-- problem; see `alert_bridge.fingerprint.aliases`. Losing this table may split a problem, and never hides one.
CREATE TABLE alias_texts (
    id          INTEGER PRIMARY KEY, -- the order in which they were first seen: the first one leads its group
    place       TEXT NOT NULL,       -- JSON: everything of the fingerprint but the text
    text        TEXT NOT NULL,       -- masked
    fingerprint TEXT NOT NULL,
    seen_at     INTEGER NOT NULL,
    UNIQUE (place, text)
);

-- Merges that a person undid: texts of this form stay problems of their own.
CREATE TABLE alias_undone (
    id     INTEGER PRIMARY KEY,
    place  TEXT NOT NULL,
    form   TEXT NOT NULL,
    author TEXT NOT NULL,
    at     INTEGER NOT NULL,
    UNIQUE (place, form)
);
