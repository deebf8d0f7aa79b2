"""Stages and metrics as lines of a journal: what they say, and what they leave alone."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace

from instrumentation import log_metrics, stage
from instrumentation.journal import Journal
from instrumentation.stages import current_stage, current_trace
from tests.servers.own_journal import lines, own_journal

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    monkeypatch.setenv("TRACEPARENT", TRACEPARENT)
    monkeypatch.delenv("PIPELINE_ALERTS_STAGE", raising=False)
    with own_journal(tmp_path) as opened:
        yield opened


def test_a_stage_is_a_start_an_end_a_span_and_a_duration(journal: Journal) -> None:
    with stage("train", model="heron", upstream="fetch"):
        assert current_stage() == "train"

    start, end = lines(journal, "log")
    (span,) = lines(journal, "span")
    (point,) = lines(journal, "metric")
    assert (start["ev"], end["ev"]) == ("pipeline.stage.start", "pipeline.stage.end")
    assert (start["st"], end["st"], start["n"], end["n"]) == ("train", "train", 20, 20)
    assert start["d"]["pipeline.stage.upstream"] == ["fetch"]
    assert end["d"]["cicd.pipeline.task.run.result"] == "success"
    assert (span["na"], span["pa"], span["tr"]) == ("train", "b7ad6b7169203331", "0af7651916cd43dd8448eb211c80319c")
    assert (point["na"], point["un"]) == ("cicd.pipeline.task.duration", "s")
    assert current_stage() == ""
    assert current_trace() is None


def test_a_clock_that_is_set_back_makes_no_stage_end_before_it_began(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = time.time_ns()
    with stage("train"):
        monkeypatch.setattr(time, "time_ns", lambda: before - 3600 * 10**9)

    (span,) = lines(journal, "span")
    assert span["te"] >= span["t"] >= before


def test_the_innermost_stage_tells_the_failure_and_the_others_only_that_they_failed(journal: Journal) -> None:
    def nested() -> None:
        with stage("ensemble"), stage("model"), stage("train"):
            raise ValueError("no rows")

    with pytest.raises(ValueError, match="no rows"):
        nested()

    ends = [line for line in lines(journal, "log") if line["ev"] == "pipeline.stage.end"]
    assert [(line["st"], line["n"]) for line in ends] == [("train", 40), ("model", 20), ("ensemble", 20)]
    assert {line["d"]["cicd.pipeline.task.run.result"] for line in ends} == {"failure"}
    assert ends[0]["e"]["t"] == "ValueError"
    assert "no rows" in ends[0]["e"]["s"]


@pytest.mark.parametrize(
    ("error", "result"),
    [(SystemExit(0), "success"), (SystemExit(3), "failure"), (KeyboardInterrupt(), "cancellation"),
     (asyncio.CancelledError(), "cancellation"), (MemoryError(), "failure")],
)  # fmt: skip
def test_a_stage_ends_as_its_exception_means(journal: Journal, error: BaseException, result: str) -> None:
    with pytest.raises(type(error)), stage("x"):
        raise error

    assert lines(journal, "log")[-1]["d"]["cicd.pipeline.task.run.result"] == result


def test_a_decorated_function_keeps_its_name_and_result_and_each_call_is_a_stage(journal: Journal) -> None:
    @stage
    def fetch(month: int) -> int:
        """Gets it."""
        return month + 1

    assert (fetch(1), fetch(month=2)) == (2, 3)
    assert (fetch.__name__, fetch.__doc__) == ("fetch", "Gets it.")
    assert [line["na"] for line in lines(journal, "span")] == ["fetch", "fetch"]


def test_coroutines_side_by_side_are_stages_of_their_own(journal: Journal) -> None:
    seen: dict[str, str] = {}

    @stage("left")
    async def left() -> None:
        await asyncio.sleep(0.01)
        seen["left"] = current_stage()

    @stage("right")
    async def right() -> None:
        await asyncio.sleep(0)
        seen["right"] = current_stage()

    async def both() -> None:
        with stage("outer"):
            await asyncio.gather(left(), right())
            seen["outer"] = current_stage()

    asyncio.run(both())

    spans = {span["na"]: span for span in lines(journal, "span")}
    assert seen == {"left": "left", "right": "right", "outer": "outer"}
    assert {spans["left"]["pa"], spans["right"]["pa"]} == {spans["outer"]["sp"]}


def test_subprocesses_learn_the_stage_of_the_main_thread_and_nothing_afterwards(journal: Journal) -> None:
    with stage("outer"), stage("inner"):
        (trace, span) = current_trace() or ("", "")
        inside = dict(os.environ)
    after = dict(os.environ)

    assert inside["PIPELINE_ALERTS_STAGE"] == "inner"
    assert inside["TRACEPARENT"] == f"00-{trace}-{span}-01"
    assert "PIPELINE_ALERTS_STAGE" not in after
    assert after["TRACEPARENT"] == TRACEPARENT


def test_a_stage_in_another_thread_does_not_name_the_subprocesses_of_all(journal: Journal) -> None:
    seen = []

    def work() -> None:
        with stage("threaded"):
            seen.append((current_stage(), os.environ.get("PIPELINE_ALERTS_STAGE")))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert seen == [("threaded", None)]


def test_stages_that_end_out_of_order_leave_the_environment_as_it_was(journal: Journal) -> None:
    first, second = stage("first"), stage("second")
    first.__enter__()
    second.__enter__()

    first.__exit__(None, None, None)
    between = os.environ["PIPELINE_ALERTS_STAGE"]
    second.__exit__(None, None, None)

    assert between == "second"
    assert "PIPELINE_ALERTS_STAGE" not in os.environ
    assert os.environ["TRACEPARENT"] == TRACEPARENT


def test_stages_that_end_out_of_order_leave_the_current_span_as_it_was(journal: Journal) -> None:
    before = trace.get_current_span()
    first, second, third = stage("first"), stage("second"), stage("third")
    for one in (first, second, third):
        one.__enter__()

    first.__exit__(None, None, None)
    third.__exit__(None, None, None)
    between = f"{trace.get_current_span().get_span_context().span_id:016x}"
    second.__exit__(None, None, None)

    spans = {line["na"]: line["sp"] for line in lines(journal, "span")}
    assert between == spans["second"]
    assert trace.get_current_span() is before


def test_every_value_is_one_point_and_what_is_no_number_is_left_out(journal: Journal) -> None:
    class Scalar:
        def item(self) -> float:
            return 0.5

    with stage("train", model="heron"):
        log_metrics({"loss": 0.25, "epoch": 3, "auc": Scalar(), "note": "x", "nan": float("nan")}, step=7)  # type: ignore[dict-item]

    points = {line["na"]: line for line in lines(journal, "metric") if line["na"] != "cicd.pipeline.task.duration"}
    assert {name: line["va"] for name, line in points.items()} == {"loss": 0.25, "epoch": 3, "auc": 0.5, "nan": "nan"}
    assert points["loss"]["d"] == {"pipeline.metric.step": 7, "pipeline.model.name": "heron"}
    assert points["loss"]["st"] == "train"


def test_without_a_run_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)

    with stage("x"):
        log_metrics({"loss": 1.0})
        inside = dict(os.environ)

    assert inside == before
    assert current_stage() == ""


def test_a_journal_that_cannot_be_written_does_not_reach_the_program(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr(journal, "append", broken)

    with stage("x"):
        log_metrics({"loss": 1.0})
