"""What programs learn that are started in a stage: its name and its span, through this process's environment."""

from __future__ import annotations

import os
import threading

from . import names

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from typing import Any

MAX_NAME_CHARS = 1_024  # of a stage; a variable of 128 KiB would keep Linux from starting any program


class Environment:
    """The innermost stage of the main thread that is still under way, as environment variables.

    They are the whole process's, so only the main thread writes them: a stage in another thread would put its name on
    the subprocesses of all. Stages of concurrent tasks may end in any order; each takes out only itself, and what was
    there before the first comes back after the last. A stage is anything with a `name` and a `traceparent`.
    """

    def __init__(self) -> None:
        self._active: list[Any] = []  # replaced, never changed: other threads read it
        self._before: dict[str, str | None] = {}

    @property
    def innermost(self) -> Any:
        """The stage that subprocesses started now belong to, or None."""
        active = self._active
        return active[-1] if active else None

    def enter(self, stage: Any) -> None:
        """It is the innermost now."""
        if threading.current_thread() is not threading.main_thread():
            return
        if not self._active:
            self._before = {name: os.environ.get(name) for name in (names.ENV_STAGE, names.ENV_TRACEPARENT)}
        self._active = [*self._active, stage]
        self._show()

    def leave(self, stage: Any) -> None:
        """It is over, or paused; nothing if it is not here."""
        if any(one is stage for one in self._active):
            self._active = [one for one in self._active if one is not stage]
            self._show()

    def replace(self, stage: Any) -> None:
        """All that this process does is for this one stage of another process, or for none."""
        if not self._active:
            self._before = dict.fromkeys((names.ENV_STAGE, names.ENV_TRACEPARENT))
        self._active = [stage] if stage is not None else []
        self._show()

    def _show(self) -> None:
        said = self._before
        if self._active:
            innermost = self._active[-1]
            said = {names.ENV_STAGE: _sayable(innermost.name), names.ENV_TRACEPARENT: innermost.traceparent}
        for name, value in said.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _sayable(name: str) -> str:
    """A name that every environment takes."""
    name = name[:MAX_NAME_CHARS].replace("\0", "")
    try:
        os.fsencode(name)
    except UnicodeError:
        return name.encode("ascii", "backslashreplace").decode("ascii")
    return name
