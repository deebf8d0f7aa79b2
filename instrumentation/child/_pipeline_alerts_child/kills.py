"""Whom the program kills itself, by `Popen.kill` or a time-out of `subprocess.run`: said before it happens.

The kernel does not tell who sent a SIGKILL, and nobody must be woken for this one.
"""

import signal

from . import hook, names

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from .context import Context
    from .journal import Journal


def watch(subprocess: "ModuleType", journal: "Journal", context: "Callable[[], Context]") -> None:
    """Has every kill said in the journal from now on. ``context`` tells where in the run this process is."""

    def send_signal(self: "Any", sig: "Any") -> "Any":
        try:
            if sig == signal.SIGKILL and self.returncode is None:
                _tell(self, journal, context())
        except Exception:
            pass
        return original(self, sig)

    original = subprocess.Popen.send_signal
    hook.stand_in(subprocess.Popen, send_signal)


def _tell(process: "Any", journal: "Journal", context: "Context") -> None:
    from .steps import tell  # few programs kill, and every one that imports `subprocess` would wait for it

    tell(
        journal,
        "SIGKILL to process %s",
        (str(process.pid),),
        names.EVENT_PROCESS_KILL,
        {names.PROCESS_PID: process.pid},
        context.where(),
    )
