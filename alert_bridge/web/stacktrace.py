"""A Python stack trace in parts: own frames to read, library frames to fold, the exception at the end. Pure.

Text that is no Python traceback stays as it is, in one part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from alert_bridge.web.wording import visible

__all__ = ["Part", "parts"]

MAX_CHARS: Final = 40_000  # the end is kept: the cause of a Python traceback stands last
_FRAME: Final = re.compile(r'^\s*(?:\| )?\s*File "([^"\n]{1,1000})", line \d+')
_LIBRARY: Final = re.compile(r"(?:site-packages|dist-packages|lib/python\d|\\Lib\\|^<frozen )")

_GAP: Final = "… "  # how the line begins that stands where characters were left out, here or on the way in

Kind = Literal["text", "own", "library", "exception"]


@dataclass(frozen=True, slots=True)
class Part:
    """Lines that belong together. ``frames`` counts the frames in it."""

    kind: Kind
    text: str
    frames: int = 0


def _kind(line: str, current: Kind) -> Kind:
    frame = _FRAME.match(line)
    if frame:
        return "library" if _LIBRARY.search(frame[1]) else "own"
    if line.startswith((" ", "\t")) and current in ("own", "library"):
        return current  # the source line and its markers belong to their frame
    if not line.strip() or line.startswith(("Traceback ", "During handling", "The above exception")):
        return "text"
    return "exception" if line[:1].isalpha() or line[:1] == "_" else "text"


def parts(stacktrace: str) -> tuple[Part, ...]:
    """The trace cut where its kind changes, in its own order; a very long one loses its beginning, and says so."""
    cut = len(stacktrace) - MAX_CHARS
    text = f"… {cut:,} characters before this\n{stacktrace[cut:]}" if cut > 0 else stacktrace
    groups: list[tuple[Kind, list[str], int]] = []
    current: Kind = "text"
    follows_a_gap = False
    for line in visible(text).strip("\n").split("\n"):
        kind: Kind = "text" if follows_a_gap else _kind(line, current)  # the rest of a line says nothing of itself
        follows_a_gap = line.startswith(_GAP)
        frames = 1 if _FRAME.match(line) else 0
        if groups and groups[-1][0] == kind:
            groups[-1][1].append(line)
            groups[-1] = (kind, groups[-1][1], groups[-1][2] + frames)
        else:
            groups.append((kind, [line], frames))
        current = kind
    return tuple(Part(kind, "\n".join(lines), frames) for kind, lines, frames in groups)
