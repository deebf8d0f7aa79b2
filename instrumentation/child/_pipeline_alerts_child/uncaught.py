"""The record of an exception that nobody caught, as a line of the journal."""

import sys
import time

from . import names
from .failures import failure, qualified
from .values import describe, quote

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from .context import Context

_LEVEL_NAMES = {names.WARNING: "WARNING", names.ERROR: "ERROR", names.CRITICAL: "CRITICAL"}
_NOWHERE = "uncaught"  # the logger of an exception without a frame, such as a syntax error


def line(
    context: "Context", number: int, error: BaseException, template: str, where: tuple[str, ...], level: int
) -> str:
    """The line: its logger and code location are those of the raise site.

    Args:
        context: the process's trace and stage.
        number: the second half of the uid.
        error: the exception.
        template: the message, with a place for each of `where`, the exception's type and its text.
        where: names that the template takes first.
        level: 30, 40 or 50.
    """
    args = ",".join(quote(str(part)) for part in (*where, qualified(type(error)), describe(error)))
    return '{"k":"log","u":%d,"t":%d,"n":%d,"l":"%s",%s,"m":%s,"a":[%s],"h":%s%s%s,"d":{"%s":true}}' % (
        number,
        time.time_ns(),
        level,
        _LEVEL_NAMES[level],
        _raise_site(error),
        quote(template),
        args,
        quote(_thread_name()),
        failure(error),
        context.where(),
        names.UNCAUGHT,
    )


def _raise_site(error: BaseException) -> str:
    trace = error.__traceback__
    if trace is None:
        return '"g":"%s"' % _NOWHERE
    while trace.tb_next is not None:
        trace = trace.tb_next
    frame = trace.tb_frame
    module = frame.f_globals.get("__name__")
    return '"g":%s,"f":%s,"o":%s,"i":%d' % (
        quote(module if isinstance(module, str) else _NOWHERE),
        quote(frame.f_code.co_filename),
        quote(frame.f_code.co_name),
        trace.tb_lineno or 0,
    )


def _thread_name() -> str:
    try:
        return str(sys.modules["threading"].current_thread().name)
    except Exception:
        return "MainThread"
