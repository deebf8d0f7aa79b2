"""No input breaks the fingerprint or keeps it busy; `tests/benchmarks/fingerprint_fuzz.py` tries 10^5 of them."""

from __future__ import annotations

import random

import pytest

from alert_bridge.fingerprint import of
from tests.benchmarks.fingerprint_fuzz import (
    LIMIT_S,
    RUN_CHARS,
    RUNS,
    SEED,
    WAYS,
    _characters,
    _cut,
    _pieces,
    around,
    nested_groups,
    slowest_of,
)

DEEP = 300


@pytest.mark.parametrize("run", RUNS)
def test_no_run_of_a_megabyte_takes_more_than_50_ms_of_a_core(run: str):
    long = run * (RUN_CHARS[-1] // len(run))

    assert max(map(slowest_of, around(long))) < LIMIT_S


def test_no_depth_of_exception_groups_takes_more_than_50_ms_of_a_core():
    assert slowest_of(nested_groups(DEEP)) < LIMIT_S


@pytest.mark.parametrize("make", [_characters, _pieces, _cut], ids=["characters", "pieces", "cuts"])
def test_no_random_text_breaks_it_or_takes_more_than_50_ms_of_a_core(make):
    dice = random.Random(SEED)
    texts = [make(dice) for _ in range(300)]

    assert max(map(slowest_of, texts)) < LIMIT_S
    assert all(of(way(text)).value.startswith("v1-") for text in texts for way in WAYS)
