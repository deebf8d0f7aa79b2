-- The books of conversations that are gone, with their incidents, for age.
ALTER TABLE ledger ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN suppressed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN dead INTEGER NOT NULL DEFAULT 0;

-- What hangs on an incident is found by it, or every incident that goes would read these tables as a whole.
CREATE INDEX incidents_by_root ON incidents (root_id);
CREATE INDEX sightings_by_incident ON sightings (incident_id);
CREATE INDEX process_ends_by_incident ON process_ends (incident_id);
