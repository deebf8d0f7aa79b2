"""Wrong use of stages and metrics: it raises nothing, loses nothing that is right, and is said once."""

from __future__ import annotations

import decimal
import fractions
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instrumentation import log_metrics, stage
from instrumentation.journal import Journal
from instrumentation.stages import current_stage
from tests.servers.own_journal import lines, own_journal, warnings

log: Any = log_metrics
any_stage: Any = stage


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __float__(self) -> float:
        raise LookupError("no number")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no items")

    def __bool__(self) -> bool:
        raise RuntimeError("neither")


@pytest.fixture(autouse=True)
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    monkeypatch.delenv("PIPELINE_ALERTS_STAGE", raising=False)
    with own_journal(tmp_path) as opened:
        yield opened
    assert "PIPELINE_ALERTS_STAGE" not in os.environ
    assert current_stage() == ""


def points(journal: Journal) -> dict[str, Any]:
    return {line["na"]: line["va"] for line in lines(journal, "metric") if "task.duration" not in line["na"]}


@pytest.mark.parametrize(
    ("name", "as_it_is_told"),
    [
        (5, "5"),
        (Hostile(), "<Hostile: str() raised RuntimeError>"),
        (b"bytes", "b'bytes'"),
        ({"a": 1}, "{'a': 1}"),
        (np.str_("train"), "train"),
        ("", "stage"),
    ],
)
def test_a_stage_of_any_name_is_a_stage(name: Any, as_it_is_told: str, journal: Journal) -> None:
    for _ in range(2):
        with any_stage(name):
            assert current_stage() == os.environ["PIPELINE_ALERTS_STAGE"] == as_it_is_told

    assert [line["na"] for line in lines(journal, "span")] == [as_it_is_told] * 2
    assert len(warnings(journal)) == (0 if isinstance(name, str) else 1)


@pytest.mark.parametrize("name", ["nul\0byte", "lone\ud800half", "file\udce9name", "x" * 1_000_000, "ünïcode 行"])
def test_programs_can_be_started_in_a_stage_of_any_name(name: str, journal: Journal) -> None:
    with stage(name):
        done = subprocess.run([sys.executable, "-c", "print('started')"], capture_output=True)

    assert done.stdout == b"started\n"
    assert len(lines(journal, "span")) == 1
    assert len(lines(journal, "span")[0]["na"]) < 2_000


@pytest.mark.parametrize(
    "more",
    [{"model": 5}, {"model": Path("heron")}, {"upstream": 5}, {"upstream": ["fetch", 3]}, {"upstream": Hostile()}],
)
def test_other_wrong_arguments_are_said_once_and_told_as_text(more: dict[str, Any], journal: Journal) -> None:
    for _ in range(2):
        with any_stage("train", **more):
            pass

    assert len(lines(journal, "span")) == 2
    assert len(warnings(journal)) == 1


def test_nothing_is_upstream_of_a_stage_whose_upstream_is_none(journal: Journal) -> None:
    with any_stage("train", upstream=None, model=None):
        pass

    assert "pipeline.stage.upstream" not in lines(journal, "span")[0]["d"]
    assert warnings(journal) == []


def test_an_argument_that_there_is_not_is_said_once(journal: Journal) -> None:
    for _ in range(2):
        with any_stage("train", modle="heron"):
            pass
        log({"loss": 1}, stpe=3)

    assert [line["na"] for line in lines(journal, "span")] == ["train", "train"]
    assert [text.partition(": ")[2] for text in warnings(journal)] == [
        "stage() takes no modle=",
        "log_metrics(): log_metrics() got an unexpected keyword argument 'stpe'",
    ]


def test_numbers_of_every_kind_are_points(journal: Journal) -> None:
    log(
        {
            "int": 3, "bool": True, "nan": float("nan"), "inf": -np.inf, "f32": np.float32(0.5), "f16": np.float16(0.5),
            "i64": np.int64(7), "npbool": np.bool_(True), "one": np.array([0.5]), "decimal": decimal.Decimal("0.5"),
            "fraction": fractions.Fraction(1, 2), "long": 10**30, "u64": np.uint64(2**64 - 1),
        }
    )  # fmt: skip

    assert points(journal) == {
        "int": 3, "bool": 1, "nan": "nan", "inf": "-inf", "f32": 0.5, "f16": 0.5, "i64": 7, "npbool": 1, "one": 0.5,
        "decimal": 0.5, "fraction": 0.5, "long": 1e30, "u64": float(2**64 - 1),
    }  # fmt: skip
    assert [type(value) for value in points(journal).values()].count(bool) == 0
    assert warnings(journal) == []


@pytest.mark.parametrize(
    "value",
    [None, "0.5", b"1", {"nested": 1}, [1.0], np.arange(3), 10**400, 1j, np.complex64(1),
     Hostile(), object, lambda: 1.0],
)  # fmt: skip
def test_what_is_no_number_is_left_out_said_once_and_costs_the_others_nothing(value: Any, journal: Journal) -> None:
    for _ in range(3):
        log({"before": 1, "odd": value, "after": 2}, step=1)

    assert points(journal) == {"before": 1, "after": 2}
    assert len(lines(journal, "metric")) == 6
    assert warnings(journal) == [
        "pipeline-alerts was not used as it can be: log_metrics() leaves out odd, which is no number"
    ]


@pytest.mark.parametrize("step", ["x", float("nan"), float("inf"), 10**30, None, Hostile(), [3]])
def test_a_step_that_is_none_costs_no_point(step: Any, journal: Journal) -> None:
    for _ in range(2):
        log({"loss": 1}, step=step)

    assert [line["d"] for line in lines(journal, "metric")] == [{}, {}]
    assert len(warnings(journal)) == (0 if step is None else 1)


@pytest.mark.parametrize(("step", "told"), [(np.int64(3), 3), (3.0, 3), (True, 1), (-2, -2)])
def test_steps_of_other_types_are_told_as_whole_numbers(step: Any, told: int, journal: Journal) -> None:
    log({"loss": 1}, step=step)

    assert [line["d"] for line in lines(journal, "metric")] == [{"pipeline.metric.step": told}]


@pytest.mark.parametrize("values", [None, 5, "loss", [1, 2], Hostile()])
def test_figures_that_have_no_names_are_said_once(values: Any, journal: Journal) -> None:
    for _ in range(2):
        log(values)

    assert points(journal) == {}
    assert len(warnings(journal)) == 1


def test_what_is_said_of_wrong_use_is_bounded(journal: Journal) -> None:
    for number in range(300):
        log({f"odd {number}": None})

    assert len(warnings(journal)) == 100


def test_twenty_thousand_points_are_twenty_thousand_points(journal: Journal) -> None:
    for step in range(20):
        log_metrics({f"loss {number}": 1 / (number + 1) for number in range(1_000)}, step=step)

    told = lines(journal, "metric")
    assert len({(line["na"], line["d"]["pipeline.metric.step"]) for line in told}) == len(told) == 20_000


def test_a_full_disk_and_wrong_use_together_raise_nothing(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(journal, "append", full)

    log({"odd": None, "loss": 1}, step="x")
    with any_stage(5, model=6, other=7):
        pass
