"""Flow runs and task runs of Prefect as stages of the run, in its trace; in threads and processes of pools too.

Prefect asks OpenTelemetry for a span for each. Where the program set no tracer provider, it gets an empty one, and
we give it one with a place in our trace: Prefect makes it current, so records and other spans are found in it. Where
there is a provider, its spans stay what and where they are. Only looks, at places that do not fail; what Prefect
tells its server is the same as without us.
"""

from __future__ import annotations

import sys
import time

from . import names
from .after import after
from .context import parse_traceparent
from .environment import Environment
from .failures import qualified, stack_trace
from .steps import Step
from .values import describe

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from .context import Context
    from .journal import Journal

_NAME, _STEP = "_pipeline_alerts_name", "_pipeline_alerts_step"  # on Prefect's telemetry of a run
_LABEL = "__OTEL_TRACEPARENT"  # of a flow run, where Prefect itself looks for the span around a task
_RESULTS = {"COMPLETED": "success", "FAILED": "failure", "CRASHED": "error", "CANCELLED": "cancellation"}
_SAMPLED = "01"


def watch(module: ModuleType, journal: Journal, context: Context) -> None:
    """Begin to look at one of `names.PREFECT_MODULES`; does nothing to what is not the Prefect that we know."""
    if module.__name__ == names.PREFECT_FLOWS:
        after(module.BaseFlowRunEngine, "__post_init__", lambda engine: _name(engine, engine.flow))
    elif module.__name__ == names.PREFECT_TASKS:
        after(module.BaseTaskRunEngine, "__post_init__", lambda engine: _name(engine, engine.task))
    else:
        PrefectRuns(journal, context).watch(module.RunTelemetry)


class PrefectRuns:
    """Tells of the flow runs and task runs of this process.

    Args:
        journal: where to.
        context: where in the run this process is; learns which spans are which stages.
    """

    def __init__(self, journal: Journal, context: Context) -> None:
        self._journal = journal
        self._context = context
        self._environment = Environment()

    def watch(self, telemetry: Any) -> None:
        """Begin to look at Prefect's class for the spans of a run."""
        after(telemetry, "_start_span", self._started)
        after(telemetry, "update_state", self._changed)
        after(telemetry, "record_exception", self._raised)
        after(telemetry, "end_span_on_success", self._ended)
        after(telemetry, "end_span_on_failure", self._failed)

    def _started(self, telemetry: Any, run: Any, *_: Any, **__: Any) -> tuple[None, Any] | None:
        """Answers as Prefect's method does where there is no provider: no label for its server, and our span."""
        is_flow = not hasattr(run, "task_key")
        name = str(getattr(telemetry, _NAME, "") or run.name)
        flow_run = run.id if is_flow else run.flow_run_id
        facts = {"prefect.run.name": run.name, "prefect.flow-run.id": str(flow_run or "")}
        if not is_flow:
            facts["prefect.task-run.id"] = str(run.id)
        own = _own_span(telemetry.span)
        if own is None:
            trace, parent = self._around(run)
            step = _Step(name, trace, parent, facts, title=run.name)
            telemetry.span = _empty_span(step)
            run.labels.pop(_LABEL, None)
            if is_flow:
                run.labels[_LABEL] = step.traceparent  # stays here: its tasks look for it, in other processes too
        else:
            step = _Step(name, "%032x" % own.trace_id, _parent(telemetry.span), facts, span="%016x" % own.span_id)
        setattr(telemetry, _STEP, step)
        self._context.know(step.span, name)
        self._environment.enter(step)
        step.begin(self._journal)
        return (None, telemetry.span) if own is None else None

    def _around(self, run: Any) -> tuple[str, str]:
        """Trace and span of what the run is within: what is current here, else what Prefect says of it."""
        if not self._context.is_in_span:
            # A deployment's flow run has the label of who ordered it; a pool's process was handed the flow run.
            flow_run = getattr(sys.modules["prefect.context"].FlowRunContext.get(), "flow_run", None)
            for known in (run, flow_run):
                trace, span = parse_traceparent(str((getattr(known, "labels", None) or {}).get(_LABEL, "")))
                if trace:
                    return trace, span
        return self._context.trace()

    @staticmethod
    def _changed(telemetry: Any, state: Any) -> None:
        step = _step(telemetry)
        if step is not None:
            kind = str(getattr(state.type, "value", state.type))
            step.result = _RESULTS.get(kind, "")
            said = {"prefect.state.type": kind, "prefect.state.message": state.message or ""}
            step.events.append((time.time_ns(), str(state.name or kind), said))

    @staticmethod
    def _raised(telemetry: Any, error: BaseException) -> None:
        step = _step(telemetry)
        if step is not None:
            said = {"exception.type": qualified(type(error)), "exception.message": describe(error)}
            step.events.append((time.time_ns(), "exception", {**said, "exception.stacktrace": stack_trace(error)}))

    def _failed(self, telemetry: Any, message: Any = None) -> None:
        self._ended(telemetry, message, "failure")

    def _ended(self, telemetry: Any, message: Any = None, result: str = "success") -> None:
        step = _step(telemetry)
        if step is not None:
            self._environment.leave(step)
            # A flow that returns a failed state ends its span well all the same: its last state knows better.
            step.end(self._journal, step.result or result, str(message or ""), step.title)
            self._context.forget(step.span)


class _Step(Step):
    """A flow run or a task run under way; without a title its span is told by the program's own provider."""

    def __init__(
        self, name: str, trace: str, parent: str, facts: dict[str, Any], *, title: str = "", span: str = ""
    ) -> None:
        super().__init__(name, trace, parent, facts, span)
        self.title = title
        self.result = ""

    @property
    def traceparent(self) -> str:
        return "00-%s-%s-%s" % (self.trace, self.span, _SAMPLED)


def _name(engine: Any, flow_or_task: Any) -> None:
    setattr(engine._telemetry, _NAME, flow_or_task.name)  # noqa: SLF001 - nothing public knows both


def _step(telemetry: Any) -> _Step | None:
    found: _Step | None = getattr(telemetry, _STEP, None)
    return found if found is not None and not found.has_ended else None


def _own_span(span: Any) -> Any:
    """The context of the span that the program's own provider made; None if it set none, or tells of no spans."""
    trace = sys.modules["opentelemetry.trace"]
    provider = trace.get_tracer_provider()
    context = span.get_span_context()
    is_without = isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider))
    return None if is_without or not context.is_valid else context


def _empty_span(step: _Step) -> Any:
    trace = sys.modules["opentelemetry.trace"]
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    return trace.NonRecordingSpan(
        trace.SpanContext(int(step.trace, 16), int(step.span, 16), is_remote=False, trace_flags=flags)
    )


def _parent(span: Any) -> str:
    parent = getattr(span, "parent", None)
    return "%016x" % parent.span_id if parent else ""
