"""What only git can say of a work tree: its branch, where it came from, whether it was changed."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from instrumentation import apart

__all__ = ["WorkTree", "ask"]

TIMEOUT_S: Final = 5.0
MAX_ANSWER_BYTES: Final = 65_536
_QUESTIONS: Final = """
g() { git --no-optional-locks -C "$tree" "$@"; }
tree=$1
branch=$(g rev-parse --abbrev-ref HEAD)
origin=$(g config --get remote.origin.url)
printf '%s\\n' "$branch" "$origin"
changed=$(g status --porcelain --untracked-files=no) && echo "${changed:+changed}"
"""


@dataclass(frozen=True, slots=True)
class WorkTree:
    """Empty where git does not say."""

    branch: str = ""
    origin: str = ""
    is_dirty: bool | None = None


def ask(work_tree: Path) -> Callable[[], WorkTree]:
    """Begins to ask, which may take git seconds; what it returns waits for the answer. Both are to be called once."""
    answer, asked = os.pipe2(os.O_CLOEXEC)
    apart.start_orphan(_QUESTIONS, [str(work_tree)], os.environ, stdout=asked)
    os.close(asked)
    return lambda: _read(answer)


def _read(answer: int) -> WorkTree:
    said = b""
    more = select.poll()
    more.register(answer, select.POLLIN)
    ends_at = time.monotonic() + TIMEOUT_S
    try:
        while len(said) < MAX_ANSWER_BYTES and more.poll(max(ends_at - time.monotonic(), 0.0) * 1000):
            piece = os.read(answer, MAX_ANSWER_BYTES)
            if not piece:
                break
            said += piece
    finally:
        os.close(answer)
    branch, origin, changed, *_ = [*said.decode("utf-8", "replace").split("\n"), "", "", ""]
    is_known = said.count(b"\n") > 2  # noqa: PLR2004 - the third line is there
    return WorkTree(branch, origin, bool(changed) if is_known else None)
