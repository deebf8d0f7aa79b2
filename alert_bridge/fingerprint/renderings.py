"""Tracebacks as notebooks and consoles draw them, rewritten line by line as the interpreter prints them.

IPython and Jupyter (``File x.py:3, in f(a)``, ``Cell In[2], line 1``, ``----> 3 code``) and rich (a box per exception,
``❱ 3 code``). What surrounds the failing line is left out, and so are the values of variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

__all__ = ["HEADER", "is_drawn", "redrawn"]

HEADER = "Traceback (most recent call last):"

_DRAWN = re.compile(r"Traceback \(most recent call last\)(?!:)")
_NOTEBOOK_HEADER = re.compile(r"[A-Za-z_][\w.]{0,200} {2,80}Traceback \(most recent call last\)$")
_BOX_HEADER = re.compile(r"[╭+][─-]{1,400} Traceback \(most recent call last\) [─-]{1,400}[╮+]$")
_CELL = re.compile(r"(?:Cell In|Input In ?|In) ?\[\d{1,9}\](?:, line (\d{1,9}))?(?:, in (.{1,400}))?$")
_PLACE = re.compile(r"File (.{1,4000}):(\d{1,9})(?:, in (.{1,400}))?$")
_OLD_PLACE = re.compile(r"(\S{1,4000}) in ([\w<>.]{1,200})(?:\(.{0,400})?$")
_ARROW = re.compile(r"-{1,8}> ?\d{1,9} ?(.*)$")
_CONTEXT = re.compile(r" {1,12}\d{1,9}(?: |$)")
_BOX_PLACE = re.compile(r"(.{1,4000}):(\d{1,9}) in (\S{1,400})$")
_BOX_ARROW = re.compile(r"[❱>] {0,12}\d{1,9} (.*)$")
_RULER = "-" * 20


def is_drawn(text: str) -> bool:
    """Whether a text may hold such a traceback."""
    return _DRAWN.search(text) is not None


def redrawn(lines: Iterable[str]) -> Iterator[str]:
    """The lines with every drawing in the form of the interpreter, and all else as it is."""
    drawing = ""
    for line in lines:
        if _NOTEBOOK_HEADER.match(line):
            drawing = "notebook"
            yield HEADER
        elif _BOX_HEADER.match(line.strip()):
            drawing = "box"
            yield HEADER
        elif drawing == "box" and line.lstrip()[:1] in {"│", "|"}:
            yield from _in_a_box(line.strip()[1:-1].strip())
        elif drawing == "box":
            drawing = ""
            if line.lstrip()[:1] not in {"╰", "+"}:
                yield line
        elif drawing == "notebook" and (found := _in_a_notebook(line)) is not None:
            yield from found
        else:
            drawing = ""
            if not line.startswith(_RULER):
                yield line


def _in_a_box(inside: str) -> Iterator[str]:
    if found := _BOX_PLACE.match(inside):
        yield f'  File "{found[1]}", line {found[2]}, in {found[3]}'
    elif found := _BOX_ARROW.match(inside):
        yield "    " + found[1].lstrip("│| ").rstrip()


def _in_a_notebook(line: str) -> list[str] | None:
    """What a line of a notebook's traceback says; None once it is over."""
    if not line.strip() or _CONTEXT.match(line):
        return []
    if found := _ARROW.match(line):
        return ["    " + found[1].strip()]
    if found := _CELL.match(line):
        return [f'  File "<cell>", line {found[1] or 0}, in {_name(found[2])}']
    if found := _PLACE.match(line):
        return [f'  File "{found[1]}", line {found[2]}, in {_name(found[3])}']
    if found := _OLD_PLACE.match(line):
        return [f'  File "{found[1]}", line 0, in {_name(found[2])}']
    return None


def _name(function: str | None) -> str:
    name = (function or "").partition("(")[0].strip()
    return name if name and not name.startswith("<cell line") else "<module>"
