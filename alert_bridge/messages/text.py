"""Text as programs write it, made fit for people: no control codes, boxes or braces, and never longer than asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

__all__ = [
    "claims",
    "clean",
    "clip",
    "first_words",
    "last_words",
    "one_line",
    "outer_parts",
    "plain_name",
    "visible",
    "whole_lines",
    "without_braces",
]

MAX_INPUT_CHARS = 200_000  # what is looked at of one value; a 1 MB body costs no more than this
MAX_DICT_CHARS = 4_000
MAX_NAME_CHARS = 60
MIN_FRAMED_CHARS = 4  # a side, a space, at least one letter, a space, a side
SHORT_HEADING_CHARS = 24  # "WARNING:" alone on the first line of a box says nothing yet

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])?")
_BREAKS = re.compile(r"\r\n?|[\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# C0, C1, invisible and direction-changing characters, lone surrogates, private use: nothing that a reader can see.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff0-\ufffb]"
)
_BOX = re.compile(r"[\u2500-\u259f]+")
_RULE = re.compile(r"[\s\-=*#+_~|.]{3,}")
_SIDES = "|*#"
_DICT_QUOTES = re.compile(r"""(?:(?<=[{:,])|(?<=[:,]\s))['"]|['"](?=\s*[:,}])""")
_PLAIN_NAME = re.compile(r"[^\W_][\w .,:+&'()-]*")
_IDENTIFIER = re.compile(r"[0-9a-fA-F]{16,}|[0-9a-fA-F-]{32,}")


def visible(text: str) -> str:
    r"""The text without colour codes and characters that nobody sees; line breaks are ``\n``, every line is kept."""
    text = _ESCAPES.sub("", text[:MAX_INPUT_CHARS])
    return _INVISIBLE.sub("", _BREAKS.sub("\n", text).replace("\t", "    ")).strip("\n ")


def clean(text: str) -> str:
    """The same without frames around the words either."""
    lines = (_unframed(line) for line in visible(text).split("\n"))
    return "\n".join(line for line in lines if line is not None).strip("\n ")


def one_line(text: str) -> str:
    """The same on one line, each run of spaces as one."""
    return " ".join(clean(text).split())


def first_words(text: str) -> str:
    """The first line that says something; a dict that was logged as a message reads as `key: value; key: value`."""
    text = without_braces(text)
    lines = [stripped for line in clean(text).split("\n") if (stripped := " ".join(line.split()))]
    if not lines:
        return ""
    lines = [line for line in lines if any(map(str.isalnum, line))] or lines
    if len(lines) > 1 and len(lines[0]) <= SHORT_HEADING_CHARS and not lines[0].endswith("."):
        separator = " " if lines[0].endswith(":") else ": "
        return f"{lines[0]}{separator}{lines[1]}"
    return lines[0]


def last_words(text: str) -> str:
    """The last line that says something."""
    lines = (" ".join(line.split()) for line in reversed(clean(text).split("\n")))
    return next((line for line in lines if any(map(str.isalpha, line))), "")


def claims(value: object) -> bool:
    """Whether an attribute says yes, in whichever type a sender had at hand."""
    return value is True or (isinstance(value, str | int) and str(value).lower() in {"true", "1"})


def clip(text: str, most_chars: int) -> str:
    """At most so many characters; an ellipsis stands for what is missing."""
    return text if len(text) <= most_chars else text[: most_chars - 1].rstrip() + "…"


def plain_name(text: str) -> str:
    """A name that may stand in a sentence for readers of no code; empty if it is a path, an id or a command."""
    name = one_line(text)
    if len(name) > MAX_NAME_CHARS or not _PLAIN_NAME.fullmatch(name) or _IDENTIFIER.search(name):
        return ""
    return "" if re.search(r"\w\.\w", name) else name


def outer_parts(text: str, head_chars: int, tail_chars: int) -> str:
    """The beginning and the end in whole lines, with a line between them that says how many were left out."""
    if len(text) <= head_chars + tail_chars:
        return text
    lines = text.split("\n")
    head = whole_lines(lines, head_chars)
    tail = whole_lines(lines[::-1][: len(lines) - len(head)], tail_chars)[::-1]
    if not head or not tail:  # lines too long for their share: cut them instead
        return f"{text[:head_chars]}\n… the middle is left out; the full log has it …\n{text[-tail_chars:]}"
    left_out = len(lines) - len(head) - len(tail)
    return "\n".join((*head, f"… {left_out} lines left out; the full log has them …", *tail))


def whole_lines(lines: Iterable[str], most_chars: int) -> list[str]:
    """The first lines, as many as fit into so many characters with a line end each."""
    kept: list[str] = []
    for line in lines:
        most_chars -= len(line) + 1
        if most_chars < 0:
            break
        kept.append(line)
    return kept


def _unframed(line: str) -> str | None:
    """The line without a frame around it; None if it was nothing but frame."""
    bare = _BOX.sub(" ", line)
    if _RULE.fullmatch(bare) or (bare != line and not bare.strip()):
        return None
    if bare != line:
        return bare.strip()
    words = line.strip()
    if len(words) > MIN_FRAMED_CHARS and words[0] == words[-1] and words[0] in _SIDES and words[1] == words[-2] == " ":
        return words[1:-1].strip()
    return line.rstrip()


def without_braces(text: str) -> str:
    """A dict that was logged as a message, as `key: value; key: value`; any other text as it is."""
    stripped = text.strip()
    if not (stripped.startswith("{") and stripped.endswith("}") and len(stripped) <= MAX_DICT_CHARS):
        return text
    try:
        parsed = json.loads(stripped)
    except (ValueError, RecursionError):
        return _DICT_QUOTES.sub("", stripped)[1:-1].strip()
    return "; ".join(f"{key}: {value}" for key, value in parsed.items())
