"""The ladder: which of the things that a record says decides which problem it is. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from alert_bridge.fingerprint.chain import key
from alert_bridge.fingerprint.mask import mask
from alert_bridge.fingerprint.renderings import HEADER, is_drawn
from alert_bridge.fingerprint.stacktrace import parse

__all__ = ["Said", "climb"]

LEAST_CONSTANT_WORDS = 2  # of a template that says nothing but "%s"
MAX_TEMPLATE_CHARS = 1000
MAX_HEADING_CHARS = 300

_PLACEHOLDER = re.compile(
    r"%(?:\(\w{1,80}\))?[-+ #0]{0,5}(?:\d{1,4}|\*)?(?:\.(?:\d{1,4}|\*))?[sdriouxXeEfFgGca]|\{[^{}]{0,80}\}"
)
_HEADING = re.compile(  # what interpreters and notebooks write above a traceback of their own
    r"Exception in thread |Process [\w-]{1,80}:\s*$|Exception ignored in|Exception in callback |-{20}"
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a record says, as text; empty where it says nothing."""

    scope: str = ""
    own: str = ""
    body: str = ""
    exception_type: str = ""
    exception_message: str = ""
    stacktrace: str = ""
    template: str = ""
    logger: str = ""
    code_file: str = ""
    code_function: str = ""
    program: str = ""


def climb(what: Said) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The first rung that holds, and its parts."""
    if what.own:
        return "user", (("fingerprint", what.own),)
    if parts := key(parse(what.stacktrace or _traceback_in(what.body))):
        return "stack", parts
    if what.exception_type:
        kind = what.exception_type.rpartition(".")[2]
        message = mask(_telling_line(what.exception_message))
        return "exception", (("type", kind), ("message", message), ("function", what.code_function))
    if _says_enough(what):
        return "template", (("template", what.template[:MAX_TEMPLATE_CHARS]), ("logger", what.logger))
    text = ("text", mask(what.body if what.body.strip() else _last_line(what.stacktrace)))
    if what.code_file or what.code_function:
        file = what.code_file.replace("\\", "/").rpartition("/")[2]
        return "location", (text, ("file", file), ("function", what.code_function))
    return "program", (text, ("logger", what.logger), ("program", what.program))


def _traceback_in(body: str) -> str:
    """A body that is nothing but a traceback; one that only quotes a traceback is told by its own words."""
    if HEADER[:-1] not in body:
        return ""
    first, _, rest = body.lstrip().partition("\n")
    if first.startswith((HEADER, "+ Exception Group " + HEADER)) or is_drawn(first):
        return body
    if first.endswith(HEADER) and rest.startswith('  File "', len(first) - len(HEADER)):
        return body  # with what a log shipper puts before every line
    return rest if _HEADING.match(first) and HEADER[:-1] in rest[:MAX_HEADING_CHARS] else ""


def _telling_line(message: str) -> str:
    """The first line, or the last one of a traceback that stands where a message should."""
    first = message.lstrip().partition("\n")[0]
    return _last_line(message) if first.endswith(HEADER) or is_drawn(first) else first


def _last_line(text: str) -> str:
    return text.rstrip().rpartition("\n")[2]


def _says_enough(what: Said) -> bool:
    """Whether the template tells the call apart: it has words of its own, and was written as a template."""
    template = what.template[:MAX_TEMPLATE_CHARS]
    if not template:
        return False
    if what.template == what.body and not _PLACEHOLDER.search(template):
        return False  # formatted before logging: its data stands in it
    words = [word for word in _PLACEHOLDER.sub(" ", template).split() if any(char.isalpha() for char in word)]
    return len(words) >= LEAST_CONSTANT_WORDS
