"""Spans as the rows of a waterfall: who is whose child, where each bar lies, what failed. Pure.

Spans come from many processes and may be lost or still running, so a parent may be missing: its children then stand at
the top and say so. A cycle, which only broken senders produce, is cut the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from alert_bridge.model import AttributeValue, Span
from alert_bridge.web.wording import duration, percent, visible
from instrumentation import attributes as names

__all__ = ["MAX_ROWS", "Row", "Waterfall", "stage_path", "waterfall"]

MAX_ROWS: Final = 500  # spans drawn on one page
MAX_INDENT_STEPS: Final = 12  # deeper rows are nested, but drawn no further to the right
MAX_DEPTH: Final = 60  # browsers give up on nesting far below the depth that a broken sender can produce
UNFOLDED_ROWS: Final = 30  # a tree of at most this many rows is shown whole
_STATUS_ERROR: Final = 2
_MIN_SHARE: Final = 0.003  # narrower bars would not be seen
_VALUE_CHARS: Final = 2000
_SAID: Final = (names.STAGE, names.STAGE_RESULT, names.MODEL_NAME)  # attributes that the row itself shows


@dataclass(frozen=True, slots=True)
class Row:
    """One span. ``x`` and ``width`` are SVG percentages of the whole time; ``closes`` lists end after this row."""

    span_id: str
    name: str
    process: str
    indent: int
    x: str
    width: str
    length: str
    failed: bool
    is_focus: bool  # the record that is looked at was written in this span
    is_echo: bool  # another record of the same incident was
    is_open: bool
    is_orphan: bool
    has_children: bool
    closes: int
    message: str
    facts: tuple[tuple[str, str], ...]
    mark: str  # SVG percentage of the moment of the record that is looked at, or empty


@dataclass(frozen=True, slots=True)
class Waterfall:
    """All rows, depth first, and how much was left out."""

    rows: tuple[Row, ...]
    total: str
    half: str
    left_out: int
    failures: int


def _children(spans: Sequence[Span]) -> dict[str, list[Span]]:
    """Span id of the parent (empty for the top) to its children by start."""
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda each: (each.start, -each.end)):
        parent = span.parent_id if span.parent_id in known and span.parent_id != span.span_id else ""
        children.setdefault(parent, []).append(span)
    return children


def _depth_first(spans: Sequence[Span]) -> list[tuple[Span, int, bool]]:
    """(span, depth, has children) in reading order; spans of a cycle come last, at the top."""
    children = _children(spans)
    ordered: list[tuple[Span, int, bool]] = []
    seen: set[str] = set()

    def walk(roots: Sequence[Span]) -> None:
        stack = [(span, 0) for span in reversed(roots)]
        while stack:
            span, depth = stack.pop()
            if span.span_id in seen:
                continue
            seen.add(span.span_id)
            below = [child for child in children.get(span.span_id, ()) if child.span_id not in seen]
            ordered.append((span, depth, bool(below)))
            stack.extend((child, min(depth + 1, MAX_DEPTH)) for child in reversed(below))

    walk(children.get("", ()))
    for span in spans:
        walk([span])
    return ordered


def _ancestors(spans: Sequence[Span], starts: Collection[str]) -> set[str]:
    parents = {span.span_id: span.parent_id for span in spans}
    path: set[str] = set()
    for start in starts:
        current = start
        while current in parents and current not in path:
            path.add(current)
            current = parents[current]
    return path


def _chosen(
    ordered: Sequence[tuple[Span, int, bool]], limit: int, *first: Collection[str]
) -> Sequence[tuple[Span, int, bool]]:
    """At most ``limit`` rows, in their order: those of the first set go before those of the next, and all others last.

    Each set holds the ancestors of its members, so that no row is drawn without the rows around it.
    """
    if len(ordered) <= limit:
        return ordered

    def rank(index: int) -> int:
        span_id = ordered[index][0].span_id
        return next((number for number, ids in enumerate(first) if span_id in ids), len(first))

    return [ordered[index] for index in sorted(sorted(range(len(ordered)), key=rank)[:limit])]


def stage_path(spans: Sequence[Span], span_id: str) -> tuple[str, ...]:
    """Names of the spans from the root to this one; empty if it is not among them."""
    by_id = {span.span_id: span for span in spans}
    path: list[str] = []
    current = span_id
    while current in by_id and len(path) < MAX_ROWS:
        path.append(by_id[current].name)
        current = by_id[current].parent_id
    return tuple(reversed(path))


def _facts(attributes: Mapping[str, AttributeValue]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, visible(str(value)[:_VALUE_CHARS])) for name, value in sorted(attributes.items()) if name not in _SAID
    )


def _process(span: Span) -> str:
    name = span.attributes.get(names.MODEL_NAME) or span.resource.get(names.SERVICE_NAME) or ""
    pid = span.resource.get(names.PROCESS_PID)
    return " · ".join(str(part) for part in (name, pid) if part)


def waterfall(
    spans: Sequence[Span], *, focus: str = "", echoes: Collection[str] = (), moment: int = 0, limit: int = MAX_ROWS
) -> Waterfall:
    """The rows of a trace, at most ``limit``: the way to what failed is among them, however large the trace.

    ``focus`` is the id of the span in which the record that is looked at was written, at ``moment``; ``echoes`` are
    those in which the same incident was reported, too.
    """
    ordered = _depth_first(spans)
    failing = {span.span_id for span in spans if span.status == _STATUS_ERROR}
    open_ids = _ancestors(spans, failing | {focus, *echoes})
    shown = _chosen(ordered, limit, _ancestors(spans, {focus}), open_ids)
    start = min((span.start for span in spans), default=0)
    end = max((span.end for span in spans), default=0)
    total = max(end - start, 1)
    known = {span.span_id for span in spans}
    shows_all = len(shown) <= UNFOLDED_ROWS

    rows = []
    for index, (span, depth, has_children) in enumerate(shown):
        following = shown[index + 1][1] if index + 1 < len(shown) else 0
        opens_list = has_children and following > depth
        share = max((span.end - span.start) / total, _MIN_SHARE)
        x = min(max((span.start - start) / total, 0.0), 1 - _MIN_SHARE)
        is_focus = span.span_id == focus
        rows.append(
            Row(
                span_id=span.span_id,
                name=visible(span.name),
                process=visible(_process(span)),
                indent=min(depth, MAX_INDENT_STEPS),
                x=percent(x),
                width=percent(min(share, 1 - x)),
                length=duration(span.end - span.start),
                failed=span.span_id in failing,
                is_focus=is_focus,
                is_echo=span.span_id in echoes and not is_focus,
                is_open=is_focus or span.span_id in open_ids or (shows_all and opens_list),
                is_orphan=bool(span.parent_id) and span.parent_id not in known,
                has_children=opens_list,
                closes=0 if opens_list else depth - following,
                message=visible(span.status_message[:_VALUE_CHARS]),
                facts=_facts(span.attributes),
                mark=percent(min(max((moment - start) / total, 0.0), 1.0)) if is_focus and moment else "",
            )
        )
    return Waterfall(
        rows=tuple(rows),
        total=duration(end - start),
        half=duration((end - start) // 2),
        left_out=len(ordered) - len(shown),
        failures=len(failing),
    )
