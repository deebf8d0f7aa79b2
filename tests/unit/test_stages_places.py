"""Where the program is while stages begin, pause and end in generators, threads, tasks and forks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import pickle
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from opentelemetry import trace

from instrumentation import place, stage
from instrumentation.journal import Journal
from instrumentation.stages import current_stage
from tests.servers.own_journal import lines, own_journal


@pytest.fixture(autouse=True)
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    monkeypatch.delenv("TRACEPARENT", raising=False)
    monkeypatch.delenv("PIPELINE_ALERTS_STAGE", raising=False)
    with own_journal(tmp_path) as opened:
        yield opened
    assert "PIPELINE_ALERTS_STAGE" not in os.environ
    assert current_stage() == ""
    assert not trace.get_current_span().get_span_context().is_valid


def here() -> tuple[str, str | None]:
    return current_stage(), os.environ.get("PIPELINE_ALERTS_STAGE")


def span_now() -> str:
    return f"{trace.get_current_span().get_span_context().span_id:016x}"


def spans(journal: Journal) -> dict[str, str]:
    return {line["na"]: line["sp"] for line in lines(journal, "span")}


@stage
def rows() -> Iterator[int]:
    yield 1
    yield 2


def test_who_goes_on_with_a_generator_in_another_stage_stays_in_that_one(journal: Journal) -> None:
    made = rows()
    with stage("first"):
        next(made)
    with stage("second"):
        next(made)
        between = here(), span_now()
        assert list(made) == []
        after = here(), span_now()

    assert between == after == (("second", "second"), spans(journal)["second"])


def test_a_stage_within_a_generator_is_left_between_two_values_and_gone_on_with(journal: Journal) -> None:
    seen = []

    @stage("read")
    def read() -> Iterator[int]:
        with stage("file"):
            yield 1
            seen.append((here(), span_now()))
        seen.append((here(), span_now()))

    with stage("main"):
        made = read()
        next(made)
        outside = here(), span_now()
        list(made)

    told = spans(journal)
    assert outside == (("main", "main"), told["main"])
    assert seen == [(("file", "file"), told["file"]), (("read", "read"), told["read"])]


def test_a_generator_that_nobody_ends_leaves_whoever_collects_it_where_they_are(journal: Journal) -> None:
    made = rows()
    with stage("first"):
        next(made)
    with stage("second"):
        del made
        gc.collect()
        assert here() == ("second", "second")

    ends = [line["st"] for line in lines(journal, "log") if line["ev"] == "pipeline.stage.end"]
    assert ends == ["first", "rows", "second"]


def test_a_task_within_a_generators_stage_can_go_on_with_that_generator(journal: Journal) -> None:
    async def main() -> None:
        got: asyncio.Queue[int] = asyncio.Queue()
        waiting: list[asyncio.Task[None]] = []

        @stage("source")
        async def source() -> AsyncIterator[int]:
            waiting.append(asyncio.create_task(more()))
            yield 1
            yield 2

        made = source()

        async def more() -> None:
            await asyncio.sleep(0)
            got.put_nowait(await anext(made))

        got.put_nowait(await anext(made))
        await waiting[0]
        await made.aclose()  # type: ignore[attr-defined]
        assert [got.get_nowait(), got.get_nowait()] == [1, 2]

    asyncio.run(main())

    assert list(spans(journal)) == ["source"]


def test_an_asynchronous_generator_that_the_loop_ends_adds_nothing_to_the_console(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    @stage("source")
    async def source() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def main() -> None:
        async for _ in source():
            break
        gc.collect()
        await asyncio.sleep(0)

    with caplog.at_level(logging.DEBUG, "opentelemetry"):
        asyncio.run(main())

    assert caplog.records == []
    assert list(spans(journal)) == ["source"]


def test_a_stage_may_end_in_another_thread_without_a_word_of_opentelemetry(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    begun = stage("moved")
    begun.__enter__()

    thread = threading.Thread(target=begun.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    with stage("next"):
        assert here() == ("next", "next")

    assert caplog.records == []
    assert list(spans(journal)) == ["moved", "next"]
    assert [line["pa"] for line in lines(journal, "span")] == ["", ""]


def test_one_stage_that_two_threads_are_in_ends_for_each_by_itself(journal: Journal) -> None:
    shared = stage("shared")
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()
    seen = {}

    def first() -> None:
        with shared:
            first_in.set()
            second_in.wait(30)
        seen["first"] = current_stage()
        first_out.set()

    def second() -> None:
        first_in.wait(30)
        with shared:
            second_in.set()
            first_out.wait(30)
            seen["second"] = current_stage()

    threads = [threading.Thread(target=one) for one in (first, second)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert seen == {"first": "", "second": "shared"}
    starts = [line["sp"] for line in lines(journal, "log") if line["ev"] == "pipeline.stage.start"]
    assert [line["sp"] for line in lines(journal, "span")] == starts


def test_a_stage_entered_within_itself_ends_twice_and_no_more(journal: Journal) -> None:
    twice = stage("twice")
    with twice:
        with twice:
            pass
        assert here() == ("twice", "twice")
    twice.__exit__(None, None, None)

    assert len(lines(journal, "span")) == 2


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # since Python 3.12; the child only leaves
def test_a_fork_does_not_end_what_its_parent_began(journal: Journal, tmp_path: Path) -> None:
    with stage("parents"):
        child = os.fork()
        if child:
            assert os.waitpid(child, 0)[1] == 0
    if not child:
        os._exit(0)

    ends = [path.read_text().count("pipeline.stage.end") for path in tmp_path.glob("*.jsonl")]
    assert sum(ends) == 1


def test_a_worker_that_lives_through_many_tasks_keeps_nothing_of_the_ones_before() -> None:
    before: list[weakref.ref[object]] = []
    thread = threading.Thread(target=_work_for_many, args=(before,))
    thread.start()
    thread.join()
    gc.collect()

    assert [ref for ref in before if ref() is not None] == []


def _work_for_many(before: list[weakref.ref[object]]) -> None:
    for number in range(1, 5):
        place.work_for("1" * 32, f"{number:016x}", "", "")
        assert span_now() == f"{number:016x}"
        before.append(weakref.ref(place._work[0]))
    place._work.pop().end()


class Big:
    """What a failing call holds."""


def test_a_failure_that_was_told_and_handled_keeps_nothing_of_what_it_held(journal: Journal) -> None:
    held: list[weakref.ref[Big]] = []

    def fail() -> None:
        big = Big()
        held.append(weakref.ref(big))
        with stage("try"):
            raise ValueError("no rows")

    with stage("whole"):
        for _ in range(3):
            with contextlib.suppress(ValueError):
                fail()
        gc.collect()
        assert [ref() for ref in held] == [None] * 3

    levels = [line["n"] for line in lines(journal, "log") if line["ev"] == "pipeline.stage.end"]
    assert levels == [40, 40, 40, 20]


def test_one_exception_raised_in_two_stages_is_told_in_both_and_not_around_them(journal: Journal) -> None:
    error = ValueError("kept for later")
    with contextlib.suppress(ValueError), stage("whole"):
        with contextlib.suppress(ValueError), stage("first"):
            raise error
        with stage("second"):
            raise error

    levels = {line["st"]: line["n"] for line in lines(journal, "log") if line["ev"] == "pipeline.stage.end"}
    assert levels == {"first": 40, "second": 40, "whole": 20}
    assert repr(pickle.loads(pickle.dumps(error))) == repr(error)


def test_causes_and_cycles_of_them_are_told_whole(journal: Journal) -> None:
    first, second = OSError(2, "not there"), RuntimeError("cannot go on")
    first.__cause__, second.__cause__ = second, first
    with contextlib.suppress(RuntimeError), stage("cycle"):
        raise second from first

    (end,) = [line for line in lines(journal, "log") if line["ev"] == "pipeline.stage.end"]
    assert end["e"]["t"] == "RuntimeError"
    assert "[Errno 2] not there" in end["e"]["s"]


def test_a_stage_in_a_coroutine_and_around_it_with_async_with() -> None:
    async def main() -> str:
        async with stage("outer"):
            await asyncio.sleep(0)
            return current_stage()

    assert asyncio.run(main()) == "outer"
