"""W&B runs of the program as stages: `wandb.init(job_type="train")` begins the stage "train", its finish ends it.

Only looks, at places that the calls pass on their way and that do not fail: a wrapper around `wandb.init` or
`Run.alert` would show in the traceback of a call that fails. Never imports W&B, which the program has done by then.
"""

from __future__ import annotations

import atexit
import os
import sys
import time

from . import names
from .context import parse_traceparent
from .values import quote, text

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .context import Context
    from .journal import Journal

RUN_MODULE, INTERFACE_MODULE, UTIL_MODULE = "wandb.sdk.wandb_run", "wandb.sdk.interface.interface", "wandb.util"
OWN_DISTRIBUTION = "pipeline-alerts-child"
_STAGES = "instrumentation.stages"
_LOGGER = "instrumentation"  # as stages that the program names itself
_MARK = "_pipeline_alerts"
_NS_PER_S = 1_000_000_000


class _Stage:
    """A W&B run under way."""

    def __init__(self, name: str, url: str, trace: str, parent: str, outer: _Stage | None) -> None:
        self.name, self.url = name, url
        self.trace, self.span, self.parent = trace, os.urandom(8).hex(), parent
        self.run_id = os.urandom(8).hex()
        self.outer = outer
        self.started = time.time_ns()
        self.pid = os.getpid()
        self.has_ended = False


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
        _after(run, "_on_ready", self._opened)
        _after(interface, "deliver_exit", self._finished)
        _after(interface, "publish_alert", self._alerted)

    def _opened(self, run: Any, *_: Any, **__: Any) -> None:
        if getattr(run, "_is_attached", False):  # another process's run
            return
        settings = run._settings  # noqa: SLF001 - its properties write to W&B's log
        is_offline = getattr(settings, "_offline", False)
        url = "" if is_offline else str(getattr(settings, "run_url", None) or "")
        name = getattr(settings, "run_job_type", None)
        self._journal.owns(None)
        if not name:
            if url:
                self._tell("W&B run opened: %s", (url,), "", {names.WANDB_RUN_URL: url})
            return
        interface = getattr(run, "_interface", None) or run._backend.interface  # noqa: SLF001 - the same
        trace, parent = self._around()
        stage = _Stage(str(name), url, trace, parent, self._current)
        if not self._of_interface:
            atexit.unregister(self._at_exit)
            atexit.register(self._at_exit)  # before W&B's own, which was registered earlier
        self._of_interface[id(interface)] = stage
        self._enter(stage)
        said = {names.STAGE_RUN_ID: stage.run_id, names.PARENT_SPAN: parent, names.WANDB_RUN_URL: url}
        self._tell("%s started", (stage.name,), names.EVENT_STAGE_START, said)

    def _finished(self, interface: Any, exit_code: Any = 0, *_: Any, **__: Any) -> None:
        stage = self._of_interface.pop(id(interface), None)
        if stage is not None:
            self._end(stage, exit_code)

    def _alerted(self, _interface: Any, title: Any, said: Any = "", level: Any = "", *_: Any, **__: Any) -> None:
        self._journal.owns(None)
        attributes = {names.WANDB_ALERT_LEVEL: str(level)}
        self._tell("W&B alert: %s: %s", (str(title), str(said)), names.EVENT_WANDB_ALERT, attributes)

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
        if stage.pid != os.getpid():  # a forked child does not end what its parent began
            return
        self._journal.owns(None)
        stage.has_ended = True
        now = time.time_ns()
        seconds = (now - stage.started) / _NS_PER_S
        result = "failure" if exit_code else "success"
        said = {names.STAGE_RESULT: result, names.DURATION: round(seconds, 6), names.STAGE_RUN_ID: stage.run_id}
        if stage.url:
            said[names.WANDB_RUN_URL] = stage.url
        where = ',"tr":"%s","sp":"%s","st":%s' % (stage.trace, stage.span, quote(stage.name))
        # INFO whatever the result: the exception is told where it is caught, or where nobody does.
        self._tell("%s ended: " + result, (stage.name,), names.EVENT_STAGE_END, said, where)
        self._journal.append(
            '{"k":"span","u":%d,"tr":"%s","sp":"%s","pa":"%s","na":%s,"ki":1,"t":%d,"te":%d,"sc":%d,"sm":"","d":%s}'
            % (
                self._journal.next_number(),
                stage.trace,
                stage.span,
                stage.parent,
                quote(stage.name),
                stage.started,
                now,
                2 if exit_code else 0,
                text({**said, names.STAGE: stage.name}),
            )
        )
        self._journal.append(
            '{"k":"metric","u":%d,"t":%d,"na":"%s","un":"s","mk":"gauge","va":%r,"d":%s}'
            % (
                self._journal.next_number(),
                now,
                names.STAGE_DURATION,
                seconds,
                text({names.STAGE: stage.name, names.STAGE_RESULT: result}),
            )
        )
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

    def _around(self) -> tuple[str, str]:
        """Trace and span of what the run is opened in."""
        if _STAGES in sys.modules:
            found = sys.modules[_STAGES].current_trace()
            if found:
                return found[0], found[1]
        if self._current is not None:
            return self._current.trace, self._current.span
        trace, span = parse_traceparent(os.environ.get(names.ENV_TRACEPARENT, ""))
        return (trace, span) if trace else (os.urandom(16).hex(), "")

    def _tell(
        self, template: str, arguments: tuple[str, ...], event: str, said: dict[str, Any], where: str = ""
    ) -> None:
        self._journal.append(
            '{"k":"log","u":%d,"t":%d,"n":%d,"l":"INFO","g":"%s","m":%s,"a":%s%s%s,"d":%s}'
            % (
                self._journal.next_number(),
                time.time_ns(),
                names.INFO,
                _LOGGER,
                quote(template),
                text(arguments),
                where or self._context.where(),
                ',"ev":"%s"' % event if event else "",
                text({name: value for name, value in said.items() if value != ""}),
            ),
            names.INFO,
        )


def _after(owner: Any, name: str, look: Callable[..., None]) -> None:
    """Has a method looked at when it has returned. What it returns, raises and is called stays its own."""
    original = getattr(owner, name)
    if getattr(original, _MARK, False):
        return

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        try:
            look(self, *args, **kwargs)
        except Exception:
            pass
        return result

    for attribute in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(method, attribute, getattr(original, attribute, None))
    setattr(method, _MARK, True)
    setattr(owner, name, method)


def _leave_us_out(util: Any) -> None:
    """W&B keeps a list of what is installed, in which our folder on the path would be a line more."""
    original = util.working_set

    def working_set() -> Any:
        return (each for each in original() if getattr(each, "key", "") != OWN_DISTRIBUTION)

    util.working_set = working_set
