"""Points as rows of W&B: keys, axes, and distributions that lose nothing."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alert_bridge.exporters.wandb.histograms import BINS_MOST, bins_of
from alert_bridge.exporters.wandb.rows import STEP, TIME, measured, rows, stage_measured
from alert_bridge.exporters.wandb.runs import wandb_id
from alert_bridge.model import MetricPoint, Span
from instrumentation import attributes as names

numbers = st.floats(allow_nan=True, allow_infinity=True)
points = st.builds(
    lambda name, step, time, value: MetricPoint(
        name, "", "gauge", time, value, {} if step is None else {names.METRIC_STEP: step}
    ),
    st.sampled_from(["loss", "val/loss", "rows"]),
    st.none() | st.integers(0, 5),
    st.integers(0, 5),
    numbers,
)


def point(name: str, **said: object) -> MetricPoint:
    return MetricPoint(name, "", "gauge", 1, 1.0, {key.replace("__", "."): value for key, value in said.items()})


@settings(deadline=None)  # a busy machine
@given(st.lists(points, max_size=40))
def test_every_value_is_in_exactly_one_row_at_its_time_and_step(batch) -> None:
    found = [
        (key, repr(value), row.time, row.step)
        for row in rows(measured(each) for each in batch)
        for key, value in row.cells.items()
    ]

    wanted = [(each.name, repr(each.value), each.time, each.attributes.get(names.METRIC_STEP)) for each in batch]
    assert sorted(found, key=repr) == sorted(wanted, key=repr)


def test_what_is_measured_together_is_one_row() -> None:
    together = [MetricPoint(name, "", "gauge", 7, 1.0, {names.METRIC_STEP: 2}) for name in ("loss", "accuracy")]

    (row,) = rows(measured(each) for each in together)

    assert (row.cells, row.axis) == ({"loss": 1.0, "accuracy": 1.0}, STEP)


def test_without_a_step_the_axis_is_time() -> None:
    (row,) = rows([measured(point("loss"))])

    assert row.axis == TIME


@pytest.mark.parametrize(
    ("given_point", "key"),
    [
        (point("loss"), "loss"),
        (point("val.loss"), "val_loss"),
        (point("month-wise/RMSLE"), "month-wise/RMSLE"),
        (point("loss", pipeline__model__name="orange_pasta"), "orange_pasta/loss"),
        (point("loss", pipeline__model__name="orange", cicd__pipeline__task__name="train"), "orange/train/loss"),
        (point("loss", split="val"), "loss_val"),
        (point("loss", log__record__uid="a-1", process__pid=7), "loss"),
        (point(names.STAGE_DURATION, cicd__pipeline__task__name="fetch data"), "stage/fetch_data/duration_s"),
        (point(names.PROCESS_PEAK_MEMORY), "process/peak_memory_bytes"),
        (point("æøå"), "unnamed"),
    ],
)
def test_a_key_says_model_stage_and_name_in_characters_that_w_and_b_sorts_by(given_point, key) -> None:
    assert measured(given_point).key == key


def test_stages_of_foreign_programs_have_durations_and_ours_are_not_counted_twice() -> None:
    said = {names.STAGE: "fetch"}
    foreign = Span("t", "s", "", "fetch", 1, 1_000_000_000, 3_500_000_000, 0, attributes=said, scope="theirs")
    ours = Span("t", "s", "", "fetch", 1, 1_000_000_000, 3_500_000_000, 0, attributes=said, scope="instrumentation")
    other = Span("t", "s", "", "GET /", 1, 1, 2, 0)

    assert stage_measured(foreign).cells == {"stage/fetch/duration_s": 2.5}
    assert (stage_measured(ours), stage_measured(other)) == (None, None)


@settings(deadline=None)  # the same
@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=600),
    st.floats(-1e6, 1e6),
    st.floats(0.001, 1e3),
)
def test_a_distribution_keeps_every_count_in_ascending_bins(counts, first, width) -> None:
    bounds = [first + width * number for number in range(len(counts) - 1)]
    said = {"count": sum(counts), "sum": 0.0, "bounds": bounds, "counts": counts}

    bins = bins_of(said)

    if bins is None:
        assert sum(counts) == 0
        return
    assert sum(bins.counts) == sum(counts)
    assert len(bins.edges) == len(bins.counts) + 1
    assert len(bins.counts) <= BINS_MOST
    assert list(bins.edges) == sorted(set(bins.edges))


@settings(deadline=None)  # the same
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200), st.integers(-4, 6))
def test_an_exponential_distribution_puts_every_value_between_its_edges(values, scale) -> None:
    bins = bins_of(exponential(values, scale))

    assert bins is not None
    assert sum(bins.counts) == len(values)
    tolerance = 1e-6
    for value in values:
        assert bins.edges[0] - tolerance <= value <= bins.edges[-1] * (1 + tolerance) + tolerance


def exponential(values: list[float], scale: int) -> dict:
    """As OpenTelemetry's data model puts values into buckets."""
    sides: dict[str, dict[int, int]] = {"positive": {}, "negative": {}}
    zeros = 0
    for value in values:
        if abs(value) < 1e-6:
            zeros += 1
            continue
        index = math.ceil(math.log2(abs(value)) * 2.0**scale) - 1
        side = sides["positive" if value > 0 else "negative"]
        side[index] = side.get(index, 0) + 1
    said: dict = {"count": len(values), "sum": sum(values), "scale": scale, "zero_count": zeros}
    for name, side in sides.items():
        low, high = (min(side), max(side)) if side else (0, -1)
        said[name] = [low, [side.get(index, 0) for index in range(low, high + 1)]]
    return json.loads(json.dumps(said))


def test_a_distribution_without_values_draws_nothing_and_a_summary_is_its_quantiles() -> None:
    empty = {"count": 0, "sum": 0.0, "bounds": [], "counts": [0]}
    summary = MetricPoint(
        "took", "s", "summary", 1, json.dumps({"count": 3, "sum": 6.0, "quantiles": [[0.5, 2.0], [0.99, "NaN"]]})
    )

    cells = measured(summary).cells

    assert bins_of(empty) is None
    assert {key: repr(value) for key, value in cells.items()} == {
        "took_count": "3.0",
        "took_sum": "6.0",
        "took_p50": "2.0",
        "took_p99": "nan",
    }


def test_ids_are_what_w_and_b_takes_and_as_different_as_the_runs() -> None:
    chance = random.Random(1)
    run_ids = ["a/b", "a-b", "a:b", "x" * 300, "x" * 301, *(f"run {chance.random()}" for _ in range(20))]

    ids = [wandb_id(run_id) for run_id in run_ids]

    assert len(set(ids)) == len(run_ids)
    assert wandb_id("fatalities_003_559_a") == "fatalities_003_559_a-otel"
    assert all(len(each) <= 128 and not set(each) & set("/\\#?%: ") for each in ids)
