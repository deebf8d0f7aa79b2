"""How fast errors are taken in when each is a problem of its own, and what that leaves behind.

    python -m tests.benchmarks.error_storm [RECORDS]

Real transactions on a real control.db; a request holds as many records as the Collector's batches do. The peer is the
same number of records that are one problem.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from tests.servers.engine import NS, Engine, a_record

REQUEST_RECORDS = 500
RECORDS_A_SECOND = 1_700  # as the clock of the storm goes: 10^5 a minute
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "klmnrst"]


def main(records: int = 20_000) -> None:
    """Prints a row per kind of storm."""
    print(f"{'storm':28}{'records/CPU s':>15}{'incidents':>11}{'posts':>8}{'control.db':>12}{'peak memory':>13}")
    for name, distinct in (("one problem", False), ("each its own, one run", True)):
        with tempfile.TemporaryDirectory() as folder:
            engine = Engine(Path(folder))
            used = 0.0
            for start in range(0, records, REQUEST_RECORDS):
                batch = [_record(number, engine.now, distinct) for number in range(start, start + REQUEST_RECORDS)]
                began = time.process_time()
                engine.post(*batch)
                used += time.process_time() - began
                engine.at(engine.seconds + REQUEST_RECORDS / RECORDS_A_SECOND)
            size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
            print(
                f"{name:28}{records / used:15,.0f}{len(engine.incidents()):11,}{len(engine.slack.posts):8,}"
                f"{size:9,.0f} MiB{peak:9,.0f} MiB"
            )
            balances = {book.balance for book in engine.books().values()}
            assert balances == {0}, balances
            engine.close()


def _record(number: int, now: int, distinct: bool):
    body = f"{_word(number)} {_word(number // len(WORDS))} shelf" if distinct else "cannot read the shelf"
    return a_record(body, at=now + number % NS, run="run-1", stage=f"stage-{number % 10}")


def _word(number: int) -> str:
    return WORDS[number % len(WORDS)] + WORDS[number // len(WORDS) % len(WORDS)]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
