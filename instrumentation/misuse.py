"""What a program does wrong with us: said once, as a WARNING of the run, and never raised into the program."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from typing import Final, ParamSpec

from instrumentation import events
from instrumentation.child._pipeline_alerts_child.values import describe
from instrumentation.running import journal as open_journal

__all__ = ["forgiving", "say_once", "text_of"]

MAX_SAID: Final = 100  # different ones of a process
MAX_TEXT_CHARS: Final = 1_024  # of a name, and of what is said of a wrong one
WARNING: Final = 30
_TEMPLATE: Final = "pipeline-alerts was not used as it can be: %s"

P = ParamSpec("P")

_said: Final[dict[str, object]] = {}  # by whom first; no lock, which a fork or a signal handler could find held


def say_once(what: str) -> None:
    """Tells of it, if there is a run to tell of and it was not said before in this process. Never raises."""
    with contextlib.suppress(Exception):  # not even a full disk
        journal = open_journal()
        what = what[:MAX_TEXT_CHARS]
        if journal is None or len(_said) >= MAX_SAID or _said.setdefault(what, mine := object()) is not mine:
            return
        journal.owns(None)
        line = events.log_line(
            journal.next_number(), time.time_ns(), level=WARNING, template=_TEMPLATE, arguments=[what]
        )
        journal.append(line, WARNING)


def forgiving(function: Callable[P, None]) -> Callable[P, None]:
    """The function, which says once what it cannot do instead of raising it: a figure must not stop a training."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the edge that must not fail
            say_once(f"{function.__name__}(): {describe(error)}")

    return call


def text_of(value: object, of: str) -> str:
    """The value as a name of some length; one that is not text is said once, as what it is ``of``."""
    if isinstance(value, str):
        return str.__str__(value)[:MAX_TEXT_CHARS]
    said = describe(value)[:MAX_TEXT_CHARS]
    say_once(f"{of} is text, not {type(value).__name__}: {said}")
    return said
