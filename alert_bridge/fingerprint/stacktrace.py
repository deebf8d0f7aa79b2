"""Python tracebacks from text to values: chains root first, frames, exception groups, tracebacks inside messages.

Reads what any Python from 3.6 on, any executor and any log shipper prints. Never raises; what it cannot read it leaves
out. Linear in the text: every expression is anchored and none backtracks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from alert_bridge.fingerprint.renderings import HEADER as _HEADER
from alert_bridge.fingerprint.renderings import is_drawn, redrawn

__all__ = ["Frame", "Raised", "parse"]

MAX_TEXT_CHARS = 60_000  # the head and the tail of anything longer
MAX_LINES = 3_000  # likewise
MAX_DEPTH = 8  # exception groups and tracebacks inside messages
MAX_MESSAGE_LINES = 40

_GROUP_HEADER = "+ Exception Group " + _HEADER
_SEPARATORS = frozenset(
    {
        "The above exception was the direct cause of the following exception:",
        "During handling of the above exception, another exception occurred:",
    }
)
_ANSI = re.compile(r"\x1b\[[0-9;]{0,32}[A-Za-z]")
_FILE = re.compile(r'[\s>]{0,80}File "([^"]{1,4096})", line (\d{1,9})(?:, in (.{1,1000}))?$')
_REPEATED = re.compile(r"\s*\[Previous line repeated (\d{1,9}) more times?\]$")
_TYPE = re.compile(
    r"((?:[^\W\d]\w{0,200}|<locals>)(?:\.(?:[^\W\d]\w{0,200}|<locals>)){0,30})(?:\((\w{1,200})\))?(?:: ?(.*))?$",
    re.DOTALL,
)
_MEMBER = re.compile(r"\s*\+(?:-\+)?-{3,} (?:\d{1,6}|\.\.\.) -{3,}$")
_MEMBERS_END = re.compile(r"\s*\+-{3,}$")


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of a stack. ``source`` is empty where the interpreter had no text for it."""

    path: str
    function: str
    source: str
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class Raised:
    """One exception of a chain; ``members`` are the chains inside an exception group."""

    type: str
    message: str
    frames: tuple[Frame, ...]
    members: tuple[tuple[Raised, ...], ...] = field(default=())
    remote: bool = False  # came as text from another process
    carrier: bool = False  # its message is another process's traceback: it says where that surfaced, not what failed


def parse(text: str) -> tuple[Raised, ...]:
    """The chain of exceptions in a text, root cause first; empty if there is no traceback in it."""
    if _HEADER[:-1] not in text:
        return ()
    text = _clean(text)
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES // 2], *lines[-MAX_LINES // 2 :]]
    return tuple(_chain(list(redrawn(lines)) if is_drawn(text) else lines, 0))


def _clean(text: str) -> str:
    if "\\n" in text and "\n" not in text:
        text = text.replace("\\n", "\n").replace('\\"', '"')  # as it stands in a JSON document
    if len(text) > MAX_TEXT_CHARS:
        half = MAX_TEXT_CHARS // 2
        head, tail = text[:half], text[-half:]
        text = head[: head.rfind("\n") + 1] + tail[tail.find("\n") + 1 :]  # half a line would end a stack
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _without_prefix(text)


def _without_prefix(text: str) -> str:
    """Cuts what a log shipper put before every line: its width is the header's column, if the next line has it too."""
    for header, next_line in (("  " + _GROUP_HEADER, '  |   File "'), (_HEADER, '  File "')):
        start = text.find(header)
        line_start = text.rfind("\n", 0, max(start, 0)) + 1
        width, end = start - line_start, text.find("\n", start)
        if (
            width > 0
            and end >= 0
            and text.startswith(next_line, end + 1 + width)
            and text[line_start:start].strip(" |")
        ):
            return "\n".join(line[width:] for line in text[line_start:].split("\n"))
    return text


def _chain(lines: list[str], depth: int) -> list[Raised]:
    """All exceptions in the lines, in the order printed, which is root first."""
    chain: list[Raised] = []
    at = 0
    while at < len(lines) and depth < MAX_DEPTH:
        line = lines[at]
        if not line.endswith(_HEADER):
            at += 1
        elif line.lstrip().startswith(_GROUP_HEADER):
            at = _group(lines, at, depth, chain)
        else:
            at = _block(lines, at + 1, depth, chain)
    return chain


def _block(lines: list[str], at: int, depth: int, chain: list[Raised]) -> int:
    """Reads one traceback whose header is before ``at``; appends what it holds; returns where to go on."""
    frames, at = _frames(lines, at)
    if at >= len(lines) or lines[at].startswith((" ", "\t")) or not (found := _TYPE.match(lines[at])):
        return at
    start, at = at + 1, _message_end(lines, at + 1, found[3] or "", found[1])
    message_lines = [found[3] or "", *lines[start:at]]
    if found[2] and any(map(_FILE.match, message_lines)):
        message_lines.insert(1, _HEADER)  # Error(Cause): a cluster's task, with the frames of its worker
    nested = _chain(message_lines, depth + 1) if any(line.endswith(_HEADER) for line in message_lines) else []
    chain.extend(replace(one, remote=True) for one in nested)
    message = "\n".join(message_lines[:MAX_MESSAGE_LINES]).strip()
    chain.append(Raised(found[1], message, tuple(frames), carrier=bool(nested)))
    return at


def _message_end(lines: list[str], at: int, first: str, kind: str) -> int:
    """Where a message ends whose first line is given: at a separator, or at the next exception's header.

    A header is the message's own right behind its words, or if carrying a traceback is what the type is for.
    """
    before, begun, is_carrier = first, bool(first.strip()), kind.endswith("RemoteTraceback")
    while at < len(lines) and lines[at] not in _SEPARATORS:
        line = lines[at]
        if line == _HEADER and not (is_carrier or (begun and before.strip())):
            break
        before, begun = line, begun or bool(line.strip())
        at += 1
    return at


def _frames(lines: list[str], at: int) -> tuple[list[Frame], int]:
    frames: list[Frame] = []
    while at < len(lines):
        line = lines[at]
        if not line:
            at += 1
        elif found := _FILE.match(line):
            at += 1
            source = ""
            if at < len(lines) and lines[at][:1] in (" ", "\t") and not _FILE.match(lines[at]):
                source = "" if _REPEATED.match(lines[at]) else lines[at].strip()
                at += bool(source)
            frames.append(Frame(found[1], (found[3] or "").strip(), source))
        elif repeated := _REPEATED.match(line):
            if frames:
                last = frames[-1]
                frames[-1] = Frame(last.path, last.function, last.source, last.repeats + int(repeated[1]))
            at += 1
        elif line[:1] in (" ", "\t"):
            at += 1  # carets, further source lines, cut text
        else:
            break
    return frames, at


def _group(lines: list[str], at: int, depth: int, chain: list[Raised]) -> int:
    """Reads an exception group whose header is at ``at``: its own traceback, then each member's."""
    column = lines[at].index("+")
    margin = " " * column + "|"
    own: list[str] = [_HEADER]
    at += 1
    while at < len(lines) and lines[at].startswith(margin):
        own.append(lines[at][column + 2 :])
        at += 1
    members: list[tuple[Raised, ...]] = []
    inner = " " * (column + 2) + "|"
    while at < len(lines) and _MEMBER.match(lines[at]):
        at += 1
        body: list[str] = []
        while at < len(lines) and not _at_border(lines[at], column + 2):
            body.append(lines[at][column + 4 :] if lines[at].startswith(inner) else lines[at])
            at += 1
        members.append(tuple(_chain(body, depth + 1)))
    if at < len(lines) and _MEMBERS_END.match(lines[at]):
        at += 1
    head = _chain(own, depth + 1)
    chain.extend(head[:-1])
    if head:
        last = head[-1]
        chain.append(Raised(last.type, last.message, last.frames, tuple(members)))
    return at


def _at_border(line: str, column: int) -> bool:
    """Whether the line ends a member: the next one's ruler or the closing one, at this member's own column."""
    return (
        line[:column].isspace()
        and line[column : column + 1] == "+"
        and bool(_MEMBER.match(line) or _MEMBERS_END.match(line))
    )
