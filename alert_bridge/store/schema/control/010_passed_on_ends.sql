-- When and how the processes of a run ended: a shell passes on how a process in it ended, and that is one problem.
ALTER TABLE process_ends ADD COLUMN ended_at INTEGER NOT NULL DEFAULT 0;   -- event time
ALTER TABLE process_ends ADD COLUMN how TEXT NOT NULL DEFAULT '';          -- signal or exit code; empty: unknown
ALTER TABLE process_ends ADD COLUMN of_program INTEGER NOT NULL DEFAULT 0; -- 1: of the program, not of one below it
