"""Sees every record that `logging` accepts, by wrapping `Logger.callHandlers`. Adds no handler and no mark on records.

A handler on root would miss `propagate=False`, die by `handlers.clear()`, and turn `basicConfig()` into a no-op
that costs the user their console.
"""

import sys

from . import names

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType
    from typing import Any

    from .journal import Journal
    from .records import Encoder

_MARK = "_pipeline_alerts_journal"
_PRIVATE = "wandb"

left_out: "Callable[[Any], bool] | None" = None  # tells a record that was kept before it came to `logging`


def install(
    logging: "ModuleType", journal: "Journal", encoder: "Encoder", floor: int = 0, *, keeps_private: bool = False
) -> None:
    """Wraps the `logging` module's dispatch, once; does nothing to a module of that name that is not the real one.

    Args:
        logging: the module.
        journal: where its records go.
        encoder: makes lines of them.
        floor: the lowest level that is kept.
        keeps_private: whether what W&B says below WARNING is kept, too. It writes that to a file of its own, on loggers
            that it sets to DEBUG and cuts off from the program's: nobody's level let it pass.
    """
    original = dispatch_of(logging)
    if original is None or getattr(original, _MARK, None) is not None:
        return

    loud = floor if keeps_private else names.WARNING
    write, owns, numbers, encode, modules = journal.write, journal.owns, journal.numbers, encoder.encode, sys.modules

    def callHandlers(self: "Any", record: "Any") -> "Any":  # noqa: N802 - the method that it stands for
        # Before the original: a handler may end the process.
        try:
            level = record.levelno
            if type(level) is not int:
                level = int(level or 0)
            if (
                level >= floor
                and (level >= loud or _PRIVATE not in modules or not _is_private(record.name))
                and (left_out is None or not left_out(record))
            ):
                own = record.process == journal.pid or owns(record.process)
                write(encode(record, next(numbers), own), level)
        except Exception:
            pass
        return original(self, record)

    setattr(callHandlers, _MARK, journal)
    stand_in(logging.Logger, callHandlers)


def floor_of(logging: "ModuleType", wanted: str) -> int:
    """A level by its number or name; 0 for one that there is not."""
    if wanted.isdigit():
        return int(wanted)
    level = logging.getLevelName(wanted.upper()) if wanted else 0
    return level if isinstance(level, int) else 0


def dispatch_of(logging: "ModuleType") -> "Any":
    """`Logger.callHandlers` of the module as it is; None if it is not the `logging` that we know."""
    original = getattr(getattr(logging, "Logger", None), "callHandlers", None)
    return original if hasattr(original, "__code__") else None


def stand_in(owner: "Any", function: "Any") -> None:
    """Puts a function in the place of a class's method of that name, which nobody can tell from it.

    `logging` skips frames of its own file when it looks for the caller, and when it prints where a handler failed. In a
    traceback through us, every line of ours is the first of the method that it stands for.
    """
    original = getattr(owner, function.__name__)
    code = original.__code__
    function.__code__ = function.__code__.replace(
        co_filename=code.co_filename, co_firstlineno=code.co_firstlineno, **_on_one_line(function.__code__)
    )
    function.__qualname__ = original.__qualname__
    function.__doc__ = original.__doc__
    function.__module__ = original.__module__
    setattr(owner, function.__name__, function)


def _is_private(name: str) -> bool:
    return name == _PRIVATE or name.startswith(_PRIVATE + ".")


def installed(logging: "ModuleType") -> "Journal | None":
    """The journal that the module's records go to, or None."""
    found: Journal | None = getattr(logging.Logger.callHandlers, _MARK, None)
    return found


def _on_one_line(code: "CodeType") -> "dict[str, Any]":
    """The code's line table with everything on its first line and without columns (CPython, Objects/*_notes.txt)."""
    size = len(code.co_code)
    if sys.version_info >= (3, 11):
        units = range(0, size // 2, 8)
        return {"co_linetable": b"".join(bytes((0xE8 | min(8, size // 2 - at) - 1, 0)) for at in units)}
    if sys.version_info >= (3, 10):
        return {"co_linetable": b"\xfe\0" * (size // 254) + bytes((size % 254, 0))}
    return {"co_lnotab": b""}
