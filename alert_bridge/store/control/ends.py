"""Which incident each end of a process, stage or run belongs to, in control.db, and which other one tells its cause."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from alert_bridge.incidents import Ending
from alert_bridge.incidents.passing import (
    PASSED_ON_WITHIN_S,
    End,
    end_of,
    ends_its_process,
    is_last_word,
    pids_of,
    tells_why,
)
from alert_bridge.model import Record
from alert_bridge.store.control.rows import record_from
from instrumentation import attributes as names

__all__ = ["EndRows"]

NS = 1_000_000_000
_OF_A_PROCESS = (Ending.UNCAUGHT, Ending.KILLED, Ending.DIED)


class EndRows:
    """Statements over process ends, within one transaction."""

    connection: sqlite3.Connection

    def note_ending(self, record: Record, ending: Ending, incident_id: str) -> None:
        """Remember which incident the end of a process, a stage or a run belongs to.

        Of several of one process the latest counts that says how it ended, so that the order of arrival does not.
        """
        if not record.run_id:
            return
        end = end_of(record, ending)
        self.connection.execute(
            "INSERT INTO process_ends (run_id, pid, kind, incident_id, ended_at, how, of_program)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id, pid, kind) DO UPDATE SET"
            " incident_id = excluded.incident_id, ended_at = excluded.ended_at, how = excluded.how,"
            " of_program = excluded.of_program"
            " WHERE excluded.how <> '' AND (process_ends.how = '' OR excluded.ended_at > process_ends.ended_at)",
            (record.run_id, _pid(record, ending), ending.value, incident_id, end.time, end.how, int(end.of_program)),
        )

    def cause_of(self, record: Record, ending: Ending) -> str:
        """The incident that already tells why this process, stage or run ended badly; empty if none does."""
        if ending in (Ending.UNCAUGHT, Ending.SILENT) or not record.run_id:
            return ""
        if ending is Ending.KILLED:
            return self._passed_on(record, ending)  # no exception or error of its own does that
        if ending is Ending.DIED:
            return self._own_exception(record) or self._passed_on(record, ending) or self._last_word(record)
        if ending is Ending.UNMET and not self._ended_badly(record.run_id):
            return ""  # the run says that all is well, and it is not
        if ending is Ending.STOPPED:
            row = self.connection.execute(
                "SELECT incident_id FROM process_ends WHERE run_id = ? AND kind = 'silent'", (record.run_id,)
            ).fetchone()
        else:
            row = self.connection.execute(
                "SELECT r.incident_id FROM incident_runs r JOIN incidents i ON i.id = r.incident_id"
                " WHERE r.run_id = ? AND i.severity >= 17 AND i.root_id = '' ORDER BY i.opened_at DESC LIMIT 1",
                (record.run_id,),
            ).fetchone()
        return "" if row is None else str(row["incident_id"])

    def unexplained_ends(self, record: Record, ending: Ending | None, cause_id: str) -> Sequence[str]:
        """Incidents that only say that something of this run ended, now that ``cause_id`` says why."""
        if ending not in (None, Ending.UNCAUGHT, Ending.KILLED):
            return ()
        rows = self.connection.execute(
            "SELECT e.*, i.first_event, i.sample FROM process_ends e JOIN incidents i ON i.id = e.incident_id"
            " WHERE e.run_id = ? AND (e.of_program OR e.kind IN ('stage', 'run', 'died'))"
            " AND i.root_id = '' AND i.id <> ?",
            (record.run_id, cause_id),
        )
        explained = (row["incident_id"] for row in rows if _is_explained(row, record, ending))
        return list(dict.fromkeys(explained))  # one incident may be of several deaths

    def _own_exception(self, record: Record) -> str:
        pids = sorted(pids_of(record))
        row = self.connection.execute(
            "SELECT incident_id FROM process_ends WHERE run_id = ? AND kind = 'uncaught' AND how <> ''"  # noqa: S608 - only places
            f" AND pid IN ({', '.join('?' * len(pids))}) ORDER BY incident_id",
            (record.run_id, *pids),
        ).fetchone()
        return "" if row is None else str(row["incident_id"])

    def _passed_on(self, record: Record, ending: Ending) -> str:
        """The incident of the latest end of a process that this one only passes on."""
        end = end_of(record, ending)
        around = int(PASSED_ON_WITHIN_S * NS)
        rows = self.connection.execute(
            "SELECT * FROM process_ends WHERE run_id = ? AND ended_at BETWEEN ? AND ? AND how <> ''"
            " ORDER BY ended_at DESC, incident_id",
            (record.run_id, record.time - around, record.time + around),
        )
        return next((str(row["incident_id"]) for row in rows if tells_why(_end(row), end)), "")

    def _last_word(self, record: Record) -> str:
        """The incident whose latest record is the last that was heard of the program before this end of it."""
        rows = self.connection.execute(
            "SELECT i.id, i.sample FROM incident_runs r JOIN incidents i ON i.id = r.incident_id"
            " WHERE r.run_id = ? AND i.last_event BETWEEN ? AND ? ORDER BY i.last_event DESC, i.id",
            (record.run_id, record.time - int(PASSED_ON_WITHIN_S * NS), record.time),
        )
        return next((row["id"] for row in rows if _is_last_word_in(row, record)), "")

    def _ended_badly(self, run_id: str) -> bool:
        row = self.connection.execute("SELECT ended, result FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        return row is not None and row["ended"] > 0 and row["result"] != names.RESULT_SUCCESS


def _is_explained(row: sqlite3.Row, record: Record, ending: Ending | None) -> bool:
    kind = Ending(row["kind"])
    if kind in (Ending.STAGE, Ending.RUN):
        return True
    if kind is Ending.DIED and ending is not Ending.KILLED and _told_by(row, record, ending):
        return True
    if ending is None:
        return False
    # An incident of several deaths goes with this end only if its first one does.
    return tells_why(end_of(record, ending), _end(row, since=row["first_event"]))


def _told_by(row: sqlite3.Row, record: Record, ending: Ending | None) -> bool:
    """Whether an exception or an error tells why a process ended with the exit code that this row is of."""
    pid = record.text(names.PROCESS_PID)
    raised = ending is Ending.UNCAUGHT and ends_its_process(record)
    if raised and row["pid"] == pid:
        return True
    if not row["of_program"]:
        return False
    end = record_from(row["sample"])  # a program ends once in a run, so this is the record
    return (raised and pid in pids_of(end)) or is_last_word(record, end)


def _is_last_word_in(row: sqlite3.Row, end: Record) -> bool:
    sample = record_from(row["sample"])
    return sample.run_id == end.run_id and is_last_word(sample, end)


def _end(row: sqlite3.Row, *, since: int = 0) -> End:
    return End(Ending(row["kind"]), since or row["ended_at"], row["how"], bool(row["of_program"]))


def _pid(record: Record, ending: Ending) -> str:
    return record.text(names.PROCESS_PID) if ending in _OF_A_PROCESS else ""
