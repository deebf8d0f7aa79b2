-- How often an incident came back within the time in which that is no news.
ALTER TABLE incidents ADD COLUMN flaps INTEGER NOT NULL DEFAULT 0;
