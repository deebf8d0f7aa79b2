"""What makes two tracebacks the same problem: the failing statement and its cause, never data, path, line or version.

The algorithm and what each rule is worth are measured in the grouping report: one missing rule hides a problem or
splits one. Pure; takes what `stacktrace.parse` gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby, pairwise

from alert_bridge.fingerprint.mask import mask
from alert_bridge.fingerprint.stacktrace import Frame, Raised

__all__ = ["key"]

CALLERS = 1  # in-app frames above the failing one that still tell problems apart
RECURSION_SEEN = 3  # a frame this often is part of the recursion
MAX_SOURCE_CHARS = 400
MAX_TYPES = 8

Parts = tuple[tuple[str, str], ...]

_ALIASES = {
    "timeout": "TimeoutError",
    "IOError": "OSError",
    "EnvironmentError": "OSError",
    "WindowsError": "OSError",
    "IndentationError": "SyntaxError",
}
_LIBRARY = re.compile(
    r"(?:^|[/\\])(?:site-packages|dist-packages)[/\\]|[/\\]lib(?:64)?[/\\]python\d|[/\\]Lib[/\\](?!site-packages)"
    r"|^<(?:frozen|__array_function__|attrs|decorator-gen|string)|\.pyx$|\.pxi$|pyspark\.zip[/\\]|py4j-[^/\\]{1,40}\.zip"
    r"|[/\\]python/pyspark[/\\]|_pipeline_alerts_child[/\\]"
)
_INLINED = frozenset({"<listcomp>", "<dictcomp>", "<setcomp>"})  # frames of their own only before Python 3.12
_CELL = re.compile(r"ipykernel_\d{1,12}[/\\]\d{1,20}\.py$|^<(?:ipython-input|command)-[\w-]{1,80}>$|^Cell |^Input In")
_FORWARDS = re.compile(r"\(\s*\*\w{1,40}\s*,\s*\*\*\w{1,40}\s*,?\s*\)")
_HAS_STRING = re.compile(r"""[frbuFRBU]{0,2}["']""")
_SPACE = re.compile(r"\s+")
_CODE_SAYS_IT = frozenset(
    {"KeyError", "IndexError", "ZeroDivisionError", "NameError", "UnboundLocalError", "AssertionError"}
)
_TELLS_WHERE_IN_THE_DATA = frozenset({"JSONDecodeError", "UnicodeDecodeError", "UnicodeEncodeError"})
_NAMES_TYPES = frozenset({"TypeError", "AttributeError"})
_RAISES = re.compile(r"\braise |warn\(")
_VALUE = re.compile(r"<[^<>]{1,200} at 0x[0-9a-fA-F]{1,16}>|(?<![\w.'-])\d{1,19}(?![\w.'])")
_METHOD_QUALIFIER = re.compile(r"(?:[A-Za-z_]\w{0,80}\.){1,8}(?=[A-Za-z_]\w{0,80}\(\))")
_SUGGESTION = re.compile(r"\.? Did you (?:mean|forget).*$", re.DOTALL)


def key(chain: Sequence[Raised]) -> Parts:
    """The parts that say which problem a chain is, in the order they are hashed; empty if the chain is."""
    links = _meaningful(chain)
    if not links:
        return ()
    root = links[0]
    types = " < ".join(
        [kind for kind, _ in groupby(_short(one.type) for one in links)][:MAX_TYPES]
    )  # retries read as one
    if root.members:
        members = sorted({repr(key(member)) for member in root.members if member})
        return (("types", types), ("members", " | ".join(members)), *_raise_sites(links[1:]))
    if _short(root.type) == "RecursionError":
        return (("types", types), ("recursion", " | ".join(_recursion(root.frames))))
    stack = _in_app(_logical_stack(links))
    parts: list[tuple[str, str]] = [("types", types)]
    if stack:
        parts.append(("frame", _described(stack[-1], full=True)))
        parts.extend(("caller", _described(frame, full=False)) for frame in _callers(stack))
    elif root.frames:
        parts.append(("library", _described(root.frames[-1], full=False)))
    parts.extend(_raise_sites(links[1:]))
    message = _message(root)
    if message:
        parts.append(("message", message))
    return tuple(parts)


def _meaningful(chain: Sequence[Raised]) -> list[Raised]:
    """The chain without links that only carry another one: executors' wrappers, cancellations behind a time-out."""
    links: list[Raised] = []
    for one in chain:
        if one.carrier and not one.frames:
            continue
        kind = _short(one.type)
        if links:
            before = links[-1]
            if one.carrier or (kind, one.message) == (_short(before.type), before.message.removesuffix('"""').strip()):
                continue  # the parent's view of what the child already said
            if kind == "TimeoutError" and _short(before.type) == "CancelledError":
                while links and _short(links[-1].type) == "CancelledError":
                    links.pop()
        links.append(one)
    return links


def _short(kind: str) -> str:
    last = kind.rpartition(".")[2]
    return _ALIASES.get(last, last)


def _logical_stack(links: Sequence[Raised]) -> list[Frame]:
    """The root's frames below those that led to its `try`: a cause lists only what lies inside."""
    stack = list(links[0].frames)
    for outer in links[1:]:
        if not stack or links[0].remote:
            break
        first = _place(stack[0])
        above = [_place(frame) for frame in outer.frames]
        if first in above:
            stack = [*outer.frames[: above.index(first)], *stack]
        elif not _in_app(stack):
            stack = [*outer.frames, *stack]
    return stack


def _place(frame: Frame) -> tuple[str, str]:
    return _basename(frame.path), frame.function


def _in_app(frames: Iterable[Frame]) -> list[Frame]:
    """The user's own frames, without what only some versions show or what only passes a call on."""
    own: list[Frame] = []
    for frame in frames:
        if is_library(frame.path):
            continue
        if frame.function in _INLINED and own:
            own[-1] = Frame(own[-1].path, own[-1].function, frame.source or own[-1].source)
        else:
            own.append(frame)
    return [frame for at, frame in enumerate(own) if at == len(own) - 1 or not _FORWARDS.search(frame.source)]


@lru_cache(maxsize=4096)
def is_library(path: str) -> bool:
    """Whether a path belongs to an installed package or the standard library."""
    return bool(_LIBRARY.search(path))


def _callers(stack: Sequence[Frame]) -> list[Frame]:
    """Who called the failing function, up to the entry point: that and what is above only say how it was started."""
    callers: list[Frame] = []
    for below, frame in pairwise(reversed(stack)):
        if _is_entry_point(below) or _is_entry_point(frame) or len(callers) == CALLERS:
            break
        callers.append(frame)
    return callers


def _is_entry_point(frame: Frame) -> bool:
    return frame.function in {"<module>", "main"}


def _described(frame: Frame, *, full: bool) -> str:
    source = "" if frame.path == "<string>" else _SPACE.sub("", frame.source)[:MAX_SOURCE_CHARS]  # there from 3.13 on
    if not full:
        source = source.partition("(")[0]
    where = _basename(frame.path) if not is_library(frame.path) else _package_relative(frame.path)
    return f"{where}:{frame.function}:{source}"


def _basename(path: str) -> str:
    return "<cell>" if _CELL.search(path) else path.replace("\\", "/").rpartition("/")[2]


def _package_relative(path: str) -> str:
    for mark in ("site-packages/", "dist-packages/"):
        _, found, inside = path.replace("\\", "/").rpartition(mark)
        if found:
            return inside
    return _basename(path)


def _recursion(frames: Sequence[Frame]) -> list[str]:
    seen: dict[str, int] = {}
    for frame in frames:
        if frame.function in _INLINED:
            continue
        place = _described(frame, full=True)
        seen[place] = seen.get(place, 0) + frame.repeats
    often = sorted(place for place, times in seen.items() if times >= RECURSION_SEEN)
    return often or [_described(frame, full=True) for frame in frames[-1:]]


def _raise_sites(wrappers: Sequence[Raised]) -> Parts:
    sites = []
    for one in wrappers:
        own = _in_app(one.frames)
        if own:
            sites.append(("wrapped", f"{_basename(own[-1].path)}:{own[-1].function}"))
    return tuple(site for site, _ in groupby(sites))[:MAX_TYPES]


def _message(root: Raised) -> str:
    """The root's message, masked, unless the failing line already says it."""
    kind = _short(root.type)
    if kind in _TELLS_WHERE_IN_THE_DATA:
        return ""
    source = _own_source(root)
    if source and (kind in _CODE_SAYS_IT or (_RAISES.search(source) and _HAS_STRING.search(source))):
        return ""
    text = root.message.split("\n", 1)[0]
    if kind in _NAMES_TYPES and not _RAISES.search(source):  # then the interpreter or a library wrote it
        return _VALUE.sub("*", _SUGGESTION.sub("", _METHOD_QUALIFIER.sub("", text)))
    return mask(_first_sentence(text))


def _own_source(root: Raised) -> str:
    """The failing line, if it is the user's own."""
    last = root.frames[-1] if root.frames else None
    return "" if last is None or is_library(last.path) else last.source


def _first_sentence(text: str) -> str:
    end = text.find(". ")
    return text if end < 0 else text[:end]
