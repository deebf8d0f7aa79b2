"""The journal of a run that this process is by itself, without a sender, and what it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from instrumentation import misuse, running
from instrumentation.journal import Journal


@contextmanager
def own_journal(folder: Path) -> Iterator[Journal]:
    """Stages and metrics are written to it meanwhile."""
    opened = Journal(str(folder))
    opened.open()
    running.begin(opened)
    misuse._said.clear()
    try:
        yield opened
    finally:
        running.end()
        opened.close()


def lines(journal: Journal, kind: str) -> list[dict[str, Any]]:
    """What it holds of a kind: `log`, `span`, `metric`."""
    parsed = [json.loads(line) for line in Path(journal.path).read_text(encoding="utf-8").splitlines()]
    return [line for line in parsed if line["k"] == kind]


def warnings(journal: Journal) -> list[str]:
    """What it says of wrong use, in order."""
    return [line["m"] % tuple(line["a"]) for line in lines(journal, "log") if line["n"] == 30]
