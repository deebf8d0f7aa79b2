"""The W&B exporter writes real offline runs: what is in W&B's own file is what was measured, each value once."""

from __future__ import annotations

import contextlib
import json
import math
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from alert_bridge.model import MetricPoint, Severity
from alert_bridge.store.exports import export_states
from instrumentation import attributes as names
from tests.servers.exporters import ExportersProcess
from tests.servers.wandb import axes, file_of_run, has_ended, history, names_this_host, records

FLUSHED_WITHIN_S = 2.5  # a second, and a moment for W&B's own process to get to it on a busy machine
OFFLINE = {"WANDB_MODE": "offline"}
RUN = "fatalities_003_559_a"


@pytest.fixture
def run(stored):
    """A run that has begun."""
    run = stored.run(RUN)
    run.start()
    return run


def point(
    name: str, value: float | str, *, at: int, step: int | None = None, kind: str = "gauge", **said
) -> MetricPoint:
    attributes = {key.replace("__", "."): text for key, text in said.items()}
    if step is not None:
        attributes[names.METRIC_STEP] = step
    resource = {names.SERVICE_NAME: "monthly_run", names.PIPELINE_NAME: "monthly_run", names.RUN_ID: RUN}
    return MetricPoint(name, "1", kind, at, value, attributes, resource)


def losses(steps: range) -> list[MetricPoint]:
    return [point("loss", float(step), at=time.time_ns(), step=step) for step in steps]


def file_of(state: Path, run: str = RUN, part: str = "") -> Path | None:
    return file_of_run(state / "wandb" / "wandb", f"offline-run-*-{run}-otel{part}")


def is_finished(state: Path, run: str = RUN, part: str = "") -> bool:
    path = file_of(state, run, part)
    return path is not None and has_ended(path)


def values_of(rows: list[dict], key: str) -> Counter:
    """Each value with its place on its axis, however often; NaN is made equal to itself."""
    return Counter((repr(row[key]), row.get("step"), round(row["time_s"] * 1000)) for row in rows if key in row)


def expected(points: list[MetricPoint], name: str) -> Counter:
    return Counter(
        (repr(float(each.value)), each.attributes.get(names.METRIC_STEP), round(each.time / 1e9 * 1000))
        for each in points
        if each.name == name
    )


def normal(counter: Counter) -> Counter:
    return Counter({(repr(float(value)), step, at): count for (value, step, at), count in counter.items()})


def summary_of(path: Path) -> dict:
    said: dict = {}
    for record in records(path):
        if record.WhichOneof("record_type") == "summary":
            for item in record.summary.update:
                said["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
    return said


def ten_thousand_points(now: int) -> list[MetricPoint]:
    """Losses, sums and distributions, out of order, with what is not a number among them."""
    chance = random.Random(559)
    points = [
        point("loss", chance.gauss(1, 0.5), at=now + number * 1000_000, step=number, pipeline__model__name="orange")
        for number in range(5_000)
    ]
    points += [point("rows", float(number * 7), at=now + number * 1000_000, kind="sum") for number in range(4_990)]
    for number, value in enumerate((math.nan, math.inf, -math.inf, 1e308, 5e-324)):
        points.append(point("odd", value, at=now + number * 1000_000, step=100 - number))
    for number in range(5):
        said = {"count": 6, "sum": 9.5, "min": 0.5, "max": 4.0, "bounds": [1.0, 2.0], "counts": [1, 2, 3 + number]}
        points.append(point("batch_s", json.dumps(said), at=now + number * 1000_000, kind="histogram"))
    chance.shuffle(points)
    return points


def test_every_value_in_the_file_is_what_was_measured_once_and_on_its_axis(stored, run):
    points = ten_thousand_points(time.time_ns())
    with ExportersProcess(stored.state, OFFLINE) as exporters:
        for at in range(0, len(points), 500):
            stored.store.append_metrics(points[at : at + 500])
        run.end()
        exporters.until(lambda: is_finished(stored.state))

    rows = history(file_of(stored.state))
    assert len(points) == 10_000
    assert normal(values_of(rows, "orange/loss")) == expected(points, "loss")
    assert normal(values_of(rows, "rows")) == expected(points, "rows")
    assert normal(values_of(rows, "odd")) == expected(points, "odd")
    drawn = [
        [row["batch_s/_type"], row["batch_s/values"], row["batch_s/bins"]] for row in rows if "batch_s/values" in row
    ]
    assert sorted(drawn) == [["histogram", [1, 2, 3 + number], [0.5, 1, 2, 4]] for number in range(5)]
    assert [row["batch_s_sum"] for row in rows if "batch_s_sum" in row] == [9.5] * 5
    drawn_over = axes(file_of(stored.state))
    assert {name: drawn_over[name] for name in ("orange/loss", "odd", "rows", "batch_s")} == {
        "orange/loss": "step", "odd": "step", "rows": "time_s", "batch_s": "time_s"
    }  # fmt: skip


def test_the_books_say_what_became_of_each_point_and_what_waits(stored, run):
    now = time.time_ns()
    stored.store.append_metrics([point("loss", float(step), at=now + step, step=step) for step in range(20)])
    mirrored = {names.WANDB_MIRRORED.replace(".", "__"): True}
    stored.store.append_metrics(
        [point("loss", float(step), at=now + step, step=step, **mirrored) for step in range(20, 25)]
    )
    with ExportersProcess(stored.state, OFFLINE) as exporters:
        exporters.until(
            lambda: [b for s in export_states(stored.state) for b in s.books if b.signal == "points" and b.sent]
        )
    stored.store.append_metrics([point("loss", 0.0, at=now + step, step=step) for step in range(25, 32)])

    (state,) = export_states(stored.state)
    books = {book.signal: book for book in state.books}
    points = books["points"]
    assert (points.sent, points.skipped, points.refused, points.dropped, points.waiting) == (20, 5, 0, 0, 7)
    assert {signal: book.balance for signal, book in books.items()} == {"logs": 0, "spans": 0, "points": 0}


def test_a_run_in_w_and_b_says_how_it_ended_and_where_its_page_is(stored):
    run = stored.run(RUN, **{names.HOST_NAME: "secret-host"})
    run.start()
    run.log("a secret in a log line")
    with ExportersProcess(stored.state, OFFLINE) as exporters:
        run.log("it broke", Severity.ERROR)
        run.log("it broke for good", Severity.CRITICAL)
        run.end("failure", exit_code=3, **{names.PEAK_MEMORY: 123_000_000, names.DURATION: 12.5})
        exporters.until(lambda: is_finished(stored.state))
        exporters.until(lambda: "result" in summary_of(file_of(stored.state)))

    path = file_of(stored.state)
    summary = summary_of(path)
    assert (summary["result"], summary["exit_code"], summary["peak_memory_bytes"]) == ("failure", 3, 123_000_000)
    assert summary["page"] == f"https://alerts.example.org/runs/{RUN}"
    assert (summary["records/INFO"], summary["records/ERROR"], summary["records/CRITICAL"]) == (3, 1, 1)
    (opened,) = [record.run for record in records(path) if record.WhichOneof("record_type") == "run"][:1]
    assert (opened.run_group, opened.job_type, opened.project) == (RUN, "otel", "monthly_run")
    (ended,) = [record.exit for record in records(path) if record.WhichOneof("record_type") == "exit"]
    assert ended.exit_code == 3
    said = "\n".join(map(str, records(path)))  # without the check sums between them, which may be any bytes
    never = ("secret-host", "a secret", "it broke", str(Path.home()), str(stored.state))
    assert not [word for word in never if word in said]
    assert not names_this_host(said.encode())


def test_a_kill_loses_at_most_the_last_second_and_the_next_life_loses_nothing(stored, run):
    points: list[MetricPoint] = []
    handed_over: list[tuple[float, int]] = []  # when, how many points W&B had been given by then

    def measure(count: int) -> None:
        new = losses(range(len(points), len(points) + count))
        stored.store.append_metrics(new)
        points.extend(new)
        handed_over.append((time.monotonic(), sent(stored.state, "points")))

    def steps_in_the_file() -> set[int]:
        path = file_of(stored.state)
        return {row["step"] for row in history(path) if "loss" in row} if path is not None else set()

    with ExportersProcess(stored.state, OFFLINE) as exporters:
        measure(100)
        exporters.until(lambda: len(steps_in_the_file()) >= 100)
        until = time.monotonic() + 2 * FLUSHED_WITHIN_S
        while time.monotonic() < until:
            measure(5)
            time.sleep(0.05)
        exporters.kill()
        killed_at = time.monotonic()
    left = steps_in_the_file()
    due = max(count for at, count in handed_over if at <= killed_at - FLUSHED_WITHIN_S)
    measure(50)
    with ExportersProcess(stored.state, OFFLINE) as exporters:
        run.end()
        exporters.until(lambda: is_finished(stored.state))

    assert due >= 100
    assert left >= set(range(due))
    assert normal(values_of(history(file_of(stored.state)), "loss")) == expected(points, "loss")


def sent(state: Path, signal: str) -> int:
    return sum(book.sent for each in export_states(state) for book in each.books if book.signal == signal)


def test_what_comes_after_the_end_is_in_the_run_all_the_same(stored, run):
    first, late = losses(range(10)), losses(range(10, 15))
    with ExportersProcess(stored.state, OFFLINE) as exporters:
        stored.store.append_metrics(first)
        run.end()
        exporters.until(lambda: is_finished(stored.state))
        finished = file_of(stored.state)
        stored.store.append_metrics(late)
        exporters.until(lambda: is_finished(stored.state) and file_of(stored.state) != finished)

    assert normal(values_of(history(file_of(stored.state)), "loss")) == expected([*first, *late], "loss")


def test_what_comes_after_a_sync_by_hand_is_in_a_w_and_b_run_of_its_own(stored, run):
    first, late = losses(range(10)), losses(range(10, 15))
    with ExportersProcess(stored.state, OFFLINE) as exporters:
        stored.store.append_metrics(first)
        run.end()
        exporters.until(lambda: is_finished(stored.state))
        synced = file_of(stored.state)
        synced.with_name(f"{synced.name}.synced").touch()  # as `wandb sync` leaves it
        stored.store.append_metrics(late[:2])
        exporters.until(lambda: has_part(stored.state, 2))
        exporters.kill()
    with ExportersProcess(stored.state, OFFLINE) as exporters:
        stored.store.append_metrics(late[2:])
        exporters.until(lambda: is_finished(stored.state, part="-2"))
        exporters.until(lambda: len(loss_of(stored.state, "-2")) == len(late))

    assert normal(values_of(history(synced), "loss")) == expected(first, "loss")
    assert normal(loss_of(stored.state, "-2")) == expected(late, "loss")


def has_part(state: Path, number: int) -> bool:
    path = file_of(state, part=f"-{number}")
    return path is not None and path.exists()


def loss_of(state: Path, part: str) -> Counter:
    """What is in the file; nothing while it is written anew."""
    path = file_of(state, part=part)
    with contextlib.suppress(FileNotFoundError):
        return values_of(history(path), "loss") if path is not None else Counter()
    return Counter()
