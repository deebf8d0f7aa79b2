"""A `LogRecord` as a line of the journal. Reads the record, changes nothing on it, never raises, imports no `logging`.

Most of a call's text never changes, so it is kept per call site. Redaction is left to the parent. Every log call of a
program waits for `Encoder.encode`, so what plain calls need is written out there, without calls of our own.
"""

import sys
import time
from _thread import get_ident

from . import names
from .context import OPENTELEMETRY, STAGES, Context
from .values import MAX_TEXT_CHARS, PLAIN, ascii_quote, describe, quote, text

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_SITES = 4_096  # call sites kept ready; beyond, all are forgotten and learnt again
MAX_EXTRAS_CHARS = 262_144  # of all extras of a record as JSON
_NS_PER_S = 1e9
_modules = sys.modules

# What a record has by itself (Python 3.9 to 3.14, what formatters add, what OpenTelemetry adds and we keep as `tr` and
# `sp`); everything else is the user's extras.
STANDARD = frozenset(
    (  # noqa: SIM905 - one string reads better than forty
        "name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno funcName created"
        " msecs relativeCreated thread threadName processName process taskName message asctime"
        " otelTraceID otelSpanID otelTraceSampled otelServiceName"
    ).split()
)
_BARE_SIZE = 21 if sys.version_info >= (3, 12) else 20  # attributes of a record without extras


class Encoder:
    """Turns records into lines; one per process, shared by threads (its caches only ever save work)."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._sites = _Sites()
        self._busy: set[int] = set()

    def encode(self, record: "Any", number: int, own: bool = True) -> bytes:
        """The record's line, ready to be written.

        Args:
            record: a `logging.LogRecord`, or whatever the program passed as one.
            number: the second half of its uid.
            own: whether it was made in this process, not brought here by a queue.
        """
        try:
            # Before anybody asks for its dictionary: since Python 3.11 an object has none until then, and is faster.
            template, args, created = record.msg, record.args, record.created
            context = self.context
            tail = context.start if OPENTELEMETRY not in _modules and STAGES not in _modules else context.where()
            message = known = None
            if not args and type(template) is str:
                message = template
            elif type(template) is str and type(args) is tuple:
                for value in args:
                    if type(value) not in PLAIN:  # formatting it runs code of the program's
                        break
                else:
                    try:
                        message = template % args
                        known = template  # it comes again: the site is known with it
                    except Exception:  # malformed
                        pass
            if message is None:
                message, said = self._outside(_formatted, template, args)
                tail += said
            quoted = ascii_quote(message)
            if len(quoted) > MAX_TEXT_CHARS or "\\ud" in quoted:
                quoted = quote(message)
            place = (
                record.name,
                record.levelno,
                record.levelname,
                record.pathname,
                record.lineno,
                record.funcName,
                record.threadName,
                known,
            )
            before, after = self._sites[place]
            if record.exc_info or record.exc_text or record.stack_info or len(record.__dict__) != _BARE_SIZE or not own:
                tail += self._outside(_rest, record.__dict__) + ("" if own else ',"p":' + text(record.process))
            when = int(created * _NS_PER_S) if type(created) is float else time.time_ns()
            return f'{{"k":"log","u":{number},"t":{when}{before}{quoted}{after}{tail}}}\n'.encode()
        except Exception as error:
            return _least(record, number, error).encode("ascii")

    def _outside(self, work: "Callable[..., Any]", *given: object) -> "Any":
        """Runs code that calls the program's own `__str__`, which may log the very object that is being described."""
        thread = get_ident()  # not the record's, which can come from a queue, or be switched off
        if thread in self._busy:
            return work(*given, _type_only)
        self._busy.add(thread)
        try:
            return work(*given, describe)
        finally:
            self._busy.discard(thread)


class _Sites(dict):  # type: ignore[type-arg]
    """What is ready of every call site's lines, by what never changes there."""

    def __missing__(self, place: tuple[object, ...]) -> tuple[str, str]:
        if len(self) >= MAX_SITES:
            self.clear()
        site = self[place] = _site(*place)
        return site


def _site(
    name: object,
    number: object,
    level: object,
    path: object,
    line: object,
    function: object,
    thread: object,
    template: object,
) -> tuple[str, str]:
    """What a site's lines have before and after the message, as far as it never changes."""
    if type(number) is not int:
        number = int(number) if isinstance(number, (int, float)) else 0
    before = ',"n":%d,"l":%s,"g":%s,"f":%s' % (number, text(_word(level)), text(_word(name)), text(_word(path)))
    if function is not None:
        before += ',"o":' + text(_word(function))
    if isinstance(line, int):
        before += ',"i":%d' % line
    if thread is not None:
        before += ',"h":' + text(_word(thread))
    return before + ',"m":', "" if template is None else ',"mt":' + text(_word(template))


def _word(value: object) -> str:
    return value if type(value) is str else describe(value)


def _formatted(template: object, args: object, words: "Callable[[object], str]") -> tuple[str, str]:
    """The message, and its template if it had arguments; or the template, and the arguments if they do not fit."""
    if type(template) is not str:
        template = words(template)
    if not args:
        return template, ""
    try:
        if words is describe:
            return template % args, ',"mt":' + quote(template)
    except Exception:  # malformed, which the parent says
        pass
    shown = [text(value) if words is describe else quote(words(value)) for value in _each(args)]
    return template, ',"a":[%s]' % ",".join(shown)


def _each(args: object) -> tuple[object, ...]:
    return args if isinstance(args, tuple) else (args,)


def _type_only(value: object) -> str:
    return value if type(value) is str else "<%s>" % type(value).__name__


def _rest(fields: "dict[str, Any]", words: "Callable[[object], str]") -> str:
    said = ""
    if fields["exc_info"] or fields["exc_text"]:
        from .failures import failure  # most programs never need it, and every child would wait for it

        said = failure(fields["exc_info"], fields["exc_text"])
    extras = {name: value for name, value in fields.items() if name not in STANDARD}
    event = extras.pop(names.OTEL_EVENT_NAME, None)
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
    return '{"k":"log","u":%d,"t":%d,"n":%d,"l":%s,"g":%s,"m":%s,"d":{"%s":%s}}\n' % (
        number,
        time.time_ns(),
        level if type(level) is int else 0,
        text(describe(getattr(record, "levelname", ""))),
        text(describe(getattr(record, "name", ""))),
        text(describe(getattr(record, "msg", ""))),
        names.ENCODING_ERROR,
        quote(type(error).__name__),
    )
