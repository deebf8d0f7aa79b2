"""No input breaks the fingerprint or keeps it busy; `tests/benchmarks/fingerprint_fuzz.py` tries 10^5 of them."""

from __future__ import annotations

import random
import time

import pytest

from alert_bridge.fingerprint import Said, of
from tests.benchmarks.fingerprint_fuzz import HEADER, RUNS, SEED, WAYS, _cut, _pieces

GROWTH = 4  # times the text
LINEAR_MOST = 3.0  # of the growth: caches, the collector and a busy machine; a square would be GROWTH times
TIMED_FROM_S = 0.004  # anything faster is no measurement
SMALL_CHARS = 12_000


@pytest.mark.parametrize("run", RUNS)
def test_time_grows_no_faster_than_the_text(run):
    for start in ("", HEADER, HEADER + '  File "/app/a.py", line 3, in f\n    x\nValueError: '):
        for way in WAYS:
            small = best_of_three(way(start + run * (SMALL_CHARS // len(run))))
            large = best_of_three(way(start + run * (GROWTH * SMALL_CHARS // len(run))))

            assert large < TIMED_FROM_S or large < LINEAR_MOST * GROWTH * max(small, TIMED_FROM_S / GROWTH)


def test_no_mixture_of_pieces_of_tracebacks_breaks_it():
    dice = random.Random(SEED)
    texts = [_pieces(dice) for _ in range(300)] + [_cut(dice) for _ in range(300)]

    found = [of(way(text)) for text in texts for way in WAYS]

    assert all(one.value.startswith("v1-") for one in found)


def best_of_three(said: Said) -> float:
    times = []
    for _ in range(3):
        began = time.thread_time()
        of(said)
        times.append(time.thread_time() - began)
    return min(times)
