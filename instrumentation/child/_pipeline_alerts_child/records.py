"""A `LogRecord` as a line of the journal. Reads the record, changes nothing on it, never raises, imports no `logging`.

Two thirds of a call's text never change, so they are kept per call site. Arguments that are plain values stay apart
from the template, which leaves formatting and redaction to the parent.
"""

from __future__ import annotations

import sys
import time
from operator import itemgetter

from . import names
from .context import Context
from .values import MAX_TEXT_CHARS, ascii_quote, describe, plain, quote, text

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_SITES = 4_096  # call sites kept ready; beyond, all are forgotten and learnt again
MAX_EXTRAS_CHARS = 262_144  # of all extras of a record as JSON
_NS_PER_S = 1_000_000_000

# What a record has by itself (Python 3.9 to 3.14, what formatters add, what OpenTelemetry adds and we keep as `tr` and
# `sp`); everything else is the user's extras.
STANDARD = frozenset(
    (  # noqa: SIM905 - one string reads better than forty
        "name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno funcName created"
        " msecs relativeCreated thread threadName processName process taskName message asctime"
        " otelTraceID otelSpanID otelTraceSampled otelServiceName"
    ).split()
)
_PLACE_NAMES = ("name", "levelno", "levelname", "pathname", "lineno", "funcName", "threadName")
_PLACE = itemgetter(*_PLACE_NAMES)
_PLACE_AND_TEMPLATE = itemgetter(*_PLACE_NAMES, "msg")
_BARE_SIZE = 21 if sys.version_info >= (3, 12) else 20  # attributes of a record without extras

_LEAST_INT, _LARGEST_INT = -(1 << 63), (1 << 63) - 1  # what OTLP can carry as a number
_LEAST_FLOAT, _LARGEST_FLOAT = float("-inf"), float("inf")  # which have no form in JSON themselves


class Encoder:
    """Turns records into lines; one per process, shared by threads (its caches only ever save work)."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._sites: dict[tuple[object, ...], str] = {}
        self._busy: set[int] = set()

    def line(self, record: Any, number: int, own: bool = True) -> str:
        """The record's line.

        Args:
            record: a `logging.LogRecord`, or whatever the program passed as one.
            number: the second half of its uid.
            own: whether it was made in this process, not brought here by a queue.
        """
        try:
            fields = record.__dict__
            message, args = fields["msg"], fields["args"]
            said, template = _arguments(args) if args else "", ""
            if said and type(message) is str:  # a template, which comes again: the site is known with it
                place = _PLACE_AND_TEMPLATE(fields)
            else:
                if said is None or type(message) is not str:
                    message, said, template = self._outside(_formatted, fields, message, args)
                place = _PLACE(fields)
                if said:
                    place += (message,)
                else:  # a finished message, which rarely comes again
                    said = quote(message)
            said = (self._sites.get(place) or self._learn(place)) + said
            said += template + self.context.where()
            if len(fields) != _BARE_SIZE or fields["exc_info"] or fields["exc_text"] or fields["stack_info"]:
                said += self._outside(_rest, fields, fields)
            if not own:
                said += ',"p":' + text(fields["process"])
            created = fields["created"]
            when = int(created * _NS_PER_S) if type(created) is float else time.time_ns()
        except Exception as error:
            return _least(record, number, error)
        return f'{{"k":"log","u":{number},"t":{when},{said}}}'

    def _learn(self, place: tuple[object, ...]) -> str:
        if len(self._sites) >= MAX_SITES:
            self._sites.clear()
        fixed = self._sites[place] = _fixed(*place)
        return fixed

    def _outside(self, work: Callable[..., Any], fields: dict[str, Any], *given: object) -> Any:
        """Runs code that calls the program's own `__str__`, which may log the very object that is being described."""
        thread = fields["thread"]
        if thread in self._busy:
            return work(*given, _type_only)
        self._busy.add(thread)
        try:
            return work(*given, describe)
        finally:
            self._busy.discard(thread)


def _fixed(
    name: object,
    number: object,
    level: object,
    path: object,
    line: object,
    function: object,
    thread: object,
    *message: object,
) -> str:
    if type(number) is not int:
        number = int(number) if isinstance(number, (int, float)) else 0
    said = '"n":%d,"l":%s,"g":%s,"f":%s' % (number, text(_word(level)), text(_word(name)), text(_word(path)))
    if function is not None:
        said += ',"o":' + text(_word(function))
    if isinstance(line, int):
        said += ',"i":%d' % line
    if thread is not None:
        said += ',"h":' + text(_word(thread))
    return said + ',"m":' + "".join([text(part) for part in message])


def _word(value: object) -> str:
    return value if type(value) is str else describe(value)


def _arguments(args: object) -> str | None:
    """`,"a":[…]` if every argument is a plain value that the parent formats just as well; else None."""
    if type(args) is not tuple:
        return None
    parts = []
    for value in args:
        kind = type(value)
        if kind is str:
            parts.append(ascii_quote(value))
        elif (kind is int and _LEAST_INT <= value <= _LARGEST_INT) or (
            kind is float and _LEAST_FLOAT < value < _LARGEST_FLOAT
        ):
            parts.append(repr(value))
        elif kind is bool:
            parts.append("true" if value else "false")
        elif value is None:
            parts.append("null")
        else:
            return None
    joined = ",".join(parts)
    if "\\ud" in joined or len(joined) > MAX_TEXT_CHARS:
        joined = ",".join([quote(value) if type(value) is str else text(value) for value in args])
    return f',"a":[{joined}]'


def _formatted(message: object, args: object, words: Callable[[object], str]) -> tuple[str, str, str]:
    """Template and plain arguments, if they come to the same or the call is malformed; else the message and `mt`."""
    template = message if type(message) is str else words(message)
    if not args:
        return template, "", ""
    if words is not describe:
        return template, ',"a":[%s]' % ",".join(quote(words(value)) for value in _each(args)), ""
    if type(args) is tuple and not _asks_for_repr(template):
        short = tuple([plain(value) for value in args])  # calls the program's `__str__` once, like any handler would
        arguments = _arguments(short)
        try:
            if arguments and template % short is not None:
                return template, arguments, ""
        except Exception:  # the argument was more of a number than its text is, or the call is malformed
            pass
    try:
        return template % args, "", ',"mt":' + quote(template)
    except Exception:  # a malformed call: keep what was given, the parent says so
        return template, ',"a":[%s]' % ",".join(text(value) for value in _each(args)), ""


def _asks_for_repr(template: str) -> bool:
    """Whether an argument may be shown as `repr()` (`%r`, `%-20r`, `%a`), which its text cannot stand for."""
    for piece in template.split("%")[1:]:
        conversion = piece.lstrip("#0123456789.*+- ")[:1]
        if conversion in ("r", "a"):
            return True
    return False


def _each(args: object) -> tuple[object, ...]:
    return args if isinstance(args, tuple) else (args,)


def _type_only(value: object) -> str:
    return value if type(value) is str else "<%s>" % type(value).__name__


def _rest(fields: dict[str, Any], words: Callable[[object], str]) -> str:
    said = ""
    if fields["exc_info"] or fields["exc_text"]:
        from .failures import failure  # most programs never need it, and every child would wait for it

        said = failure(fields["exc_info"], fields["exc_text"])
    extras = {name: value for name, value in fields.items() if name not in STANDARD}
    event = extras.pop(names.EVENT_NAME_EXTRA, None)
    if type(event) is str:
        said += ',"ev":' + quote(event)
    if fields["stack_info"]:
        extras[names.CODE_STACKTRACE] = fields["stack_info"]
    if extras:
        if words is not describe:
            extras = {name: words(value) for name, value in extras.items()}
        data = text(extras)
        if len(data) > MAX_EXTRAS_CHARS:
            data = text({name: "<cut: %d characters>" % len(text(value)) for name, value in extras.items()})
        said += ',"d":' + data
    return said


def _least(record: object, number: int, error: Exception) -> str:
    """What can be kept of a record that defeats the encoder."""
    level = getattr(record, "levelno", 0)
    return '{"k":"log","u":%d,"t":%d,"n":%d,"l":%s,"g":%s,"m":%s,"d":{"%s":%s}}' % (
        number,
        time.time_ns(),
        level if type(level) is int else 0,
        text(describe(getattr(record, "levelname", ""))),
        text(describe(getattr(record, "name", ""))),
        text(describe(getattr(record, "msg", ""))),
        names.ENCODING_ERROR,
        quote(type(error).__name__),
    )
