"""W&B runs of the program as stages: `wandb.init(job_type="train")` begins the stage "train", its finish ends it.

Only looks, at places that the calls pass on their way and that do not fail: a wrapper around `wandb.init` or
`Run.alert` would show in the traceback of a call that fails. Never imports W&B, which the program has done by then.
"""

from __future__ import annotations

import atexit
import sys

from . import names
from .after import after
from .steps import Step, tell

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from typing import Any

    from .context import Context
    from .journal import Journal

RUN_MODULE, INTERFACE_MODULE, UTIL_MODULE = "wandb.sdk.wandb_run", "wandb.sdk.interface.interface", "wandb.util"
OWN_DISTRIBUTION = "pipeline-alerts-child"


class _Stage(Step):
    """A W&B run under way."""

    def __init__(self, name: str, url: str, trace: str, parent: str, outer: _Stage | None) -> None:
        super().__init__(name, trace, parent, {names.WANDB_RUN_URL: url})
        self.outer = outer


class WandbRuns:
    """Tells of the W&B runs of this process.

    Args:
        journal: where to.
        context: where in the run this process is; follows the W&B run that was opened last.
    """

    def __init__(self, journal: Journal, context: Context) -> None:
        self._journal = journal
        self._context = context
        self._of_interface: dict[int, _Stage] = {}
        self._current: _Stage | None = None

    def watch(self) -> None:
        """Begin to look; does nothing to what is not the W&B that we know."""
        _leave_us_out(sys.modules[UTIL_MODULE])
        run = sys.modules[RUN_MODULE].Run
        interface = sys.modules[INTERFACE_MODULE].InterfaceBase
        after(run, "_on_ready", self._opened)
        after(interface, "deliver_exit", self._finished)
        after(interface, "publish_alert", self._alerted)

    def _opened(self, run: Any, *_: Any, **__: Any) -> None:
        if getattr(run, "_is_attached", False):  # another process's run
            return
        settings = run._settings  # noqa: SLF001 - its properties write to W&B's log
        is_offline = getattr(settings, "_offline", False)
        url = "" if is_offline else str(getattr(settings, "run_url", None) or "")
        name = getattr(settings, "run_job_type", None)
        if not name:
            if url:
                self._tell("W&B run opened: %s", url, said={names.WANDB_RUN_URL: url})
            return
        interface = getattr(run, "_interface", None) or run._backend.interface  # noqa: SLF001 - the same
        trace, parent = self._context.trace()
        stage = _Stage(str(name), url, trace, parent, self._current)
        if not self._of_interface:
            atexit.unregister(self._at_exit)
            atexit.register(self._at_exit)  # before W&B's own, which was registered earlier
        self._of_interface[id(interface)] = stage
        self._enter(stage)
        stage.begin(self._journal)

    def _finished(self, interface: Any, exit_code: Any = 0, *_: Any, **__: Any) -> None:
        stage = self._of_interface.pop(id(interface), None)
        if stage is not None:
            self._end(stage, exit_code)

    def _alerted(self, _interface: Any, title: Any, said: Any = "", level: Any = "", *_: Any, **__: Any) -> None:
        attributes = {names.WANDB_ALERT_LEVEL: str(level)}
        self._tell("W&B alert: %s: %s", str(title), str(said), event=names.EVENT_WANDB_ALERT, said=attributes)

    def _at_exit(self) -> None:
        try:
            # W&B's replacement of `sys.exit` knows the code; an uncaught exception is one, too.
            code = getattr(getattr(sys.exit, "__self__", None), "exit_code", 0)
            error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
            while self._of_interface:
                _, stage = self._of_interface.popitem()  # the latest first
                self._end(stage, code or (1 if error is not None else 0))
        except Exception:
            pass

    def _end(self, stage: _Stage, exit_code: Any) -> None:
        stage.end(self._journal, "failure" if exit_code else "success", title=stage.name)
        if stage is self._current:
            outer = stage.outer
            while outer is not None and outer.has_ended:
                outer = outer.outer
            self._enter(outer)

    def _enter(self, stage: _Stage | None) -> None:
        self._current = stage
        if stage is None:
            self._context.leave()
        else:
            self._context.enter(stage.trace, stage.span, stage.name)

    def _tell(self, template: str, *arguments: str, event: str = "", said: dict[str, Any]) -> None:
        tell(self._journal, template, arguments, event, said, self._context.where())


def _leave_us_out(util: Any) -> None:
    """W&B keeps a list of what is installed, in which our folder on the path would be a line more."""
    original = util.working_set

    def working_set() -> Any:
        return (each for each in original() if getattr(each, "key", "") != OWN_DISTRIBUTION)

    util.working_set = working_set
