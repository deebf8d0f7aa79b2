"""Messages of loguru, whose loggers are its own, as records of `logging`: what it hands to the first of its handlers.

Who sends `logging` to loguru, or loguru to `logging`, has one message pass both: it is kept where it was said.
"""

from __future__ import annotations

import logging
import sys
from threading import local

from . import hook
from .records import STANDARD

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

MAX_FRAMES = 60  # looked through for a record of `logging` that is on its way to loguru
_COLLIDED = "extra."  # before the name of what is bound under a name that a record has itself

_this_thread = local()


def watch(module: Any, keep: Callable[[Any], object]) -> None:
    """Has every message kept, from now on.

    Args:
        module: `loguru._handler`; left alone if it is not the one that we know.
        keep: takes a `logging.LogRecord`; what it raises goes nowhere.
    """
    original: Any = getattr(getattr(module, "Handler", None), "emit", None)
    if not hasattr(original, "__code__"):
        return

    def emit(self: Any, record: Any, *rest: Any, **more: Any) -> Any:
        outer = getattr(_this_thread, "message", "")
        try:
            _look(record, keep)
            _this_thread.message = record["message"]
        except Exception:
            pass
        try:
            return original(self, record, *rest, **more)
        finally:
            _this_thread.message = outer

    hook.stand_in(module.Handler, emit)
    hook.left_out = _is_passed_on


def _is_passed_on(record: Any) -> bool:
    """Whether a record of `logging` is a message that loguru handles at this moment in this thread."""
    message = getattr(_this_thread, "message", "")
    return bool(message) and message in record.getMessage()


def as_logged(said: dict[str, Any]) -> logging.LogRecord:
    """A record of loguru's as one of `logging`; what is bound to it becomes `extra`."""
    level, error = said["level"], said["exception"]
    record = logging.LogRecord(
        said["name"] or "root",
        level.no,
        said["file"].path,
        said["line"],
        said["message"],
        None,
        tuple(error) if error else None,
        said["function"],
    )
    record.levelname = level.name
    for name, value in said["extra"].items():
        record.__dict__[_COLLIDED + name if name in STANDARD else name] = value
    return record


def _look(said: dict[str, Any], keep: Callable[[Any], object]) -> None:
    """Keeps a message that passes its first handler, and did not come from `logging`."""
    mark = id(said), said["time"]  # no reference: it would keep alive what the exception's frames hold
    if mark == getattr(_this_thread, "last", None):
        return
    _this_thread.last = mark
    if not _comes_from_logging(said["message"]):
        keep(as_logged(said))


def _comes_from_logging(message: str) -> bool:
    home = logging.Logger.__init__.__code__.co_filename
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - as `logging` does
    for _ in range(MAX_FRAMES):
        if frame is None:
            break
        if frame.f_code.co_filename == home and frame.f_code.co_name in ("callHandlers", "handle"):
            record = frame.f_locals.get("record")
            if isinstance(record, logging.LogRecord) and record.getMessage() in message:
                return True
        frame = frame.f_back
    return False
