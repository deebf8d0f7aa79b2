"""Prefect logs one failure three times, and raises it once more: what of it is told as part of the first."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from alert_bridge.model import Severity
from tests.servers.engine import Engine, a_record

TASK = (
    'Traceback (most recent call last):\n  File "/x/site-packages/prefect/task_engine.py", line 850, in run_context\n'
    '    yield self\n  File "flow.py", line 14, in train\n    raise ValueError("loss is nan")\nValueError: loss is nan'
)
THROUGH_FLOW = TASK.replace("\n  File", '\n  File "flow.py", line 20, in month\n    return x.result()\n  File', 1)
FROM_STATE = (
    'Traceback (most recent call last):\n  File "flow.py", line 20, in month\n    return x.result()\n'
    '  File "/x/site-packages/prefect/states.py", line 161, in _get_state_result\n'
    "    raise await aget_state_exception(state)\nValueError: loss is nan"
)
_spans = count(1)


def said(body, trace="", *, severity=Severity.ERROR, event="", **attributes):
    """A record of the one process, each in a span and a trace of its own, as tasks in a process pool are."""
    if trace:
        attributes |= {
            "exception.type": "ValueError",
            "exception.message": "loss is nan",
            "exception.stacktrace": trace,
        }
    record = a_record(body, severity, event=event, attributes={"process.pid": 7, **attributes})
    number = next(_spans)
    scope = "prefect.task_runs" if "ask run" in body else "prefect.flow_runs" if "Encountered" in body else "__main__"
    return replace(record, scope=scope, trace_id=f"{number:032x}", span_id=f"{number:016x}")


@pytest.mark.parametrize("again", [THROUGH_FLOW, FROM_STATE], ids=["thread", "process"])
def test_a_failed_task_of_a_prefect_flow_is_one_incident(tmp_path, again):
    engine = Engine(tmp_path)
    story = [
        said("Task run failed with exception: ValueError('loss is nan')", TASK),
        said("Finished in state Failed('Task run encountered an exception ValueError: loss is nan')"),
        said("Encountered exception during execution: ValueError('loss is nan')", again),
        said("uncaught ValueError: loss is nan", again, severity=Severity.CRITICAL, **{"pipeline.uncaught": True}),
        said("native_month ended with exit code 1", event="pipeline.process.died", **{"process.exit.code": 1}),
    ]

    for record in story:
        engine.post(record)

    (told,) = [incident for incident in engine.incidents() if not incident.root_id]
    assert told.title == "ValueError: loss is nan"
    engine.close()


def test_two_tasks_that_fail_for_different_reasons_stay_two_incidents(tmp_path):
    engine = Engine(tmp_path)

    engine.post(said("Task run failed with exception: ValueError('loss is nan')", TASK))
    engine.post(
        said("Task run failed with exception", TASK.replace("train", "fetch").replace("loss is nan", "no such host"))
    )

    assert len([incident for incident in engine.incidents() if not incident.root_id]) == 2
    engine.close()


def test_a_flow_that_fails_by_itself_is_one_incident_beside_an_error_that_a_task_only_logged(tmp_path):
    engine = Engine(tmp_path)
    own = TASK.replace("/x/site-packages/prefect/task_engine.py", "/x/site-packages/prefect/flow_engine.py")
    engine.post(replace(said("Skipping a broken tile"), scope="mylib"))

    engine.post(said("Encountered exception during execution: ValueError('loss is nan')", own))
    engine.post(said("uncaught ValueError", own, severity=Severity.CRITICAL, **{"pipeline.uncaught": True}))

    told = [incident.title for incident in engine.incidents() if not incident.root_id]
    assert sorted(told) == ["Skipping a broken tile", "ValueError: loss is nan"]
    engine.close()
