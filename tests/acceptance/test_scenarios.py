"""Every way in which the demo breaks, through a real Collector and bridge: exactly these messages, and no more.

`python -m tests.acceptance.scenarios` prints the same as a table.
"""

from __future__ import annotations

import pytest

from tests.acceptance.scenarios import SCENARIOS, play, rows, verdict

pytestmark = [pytest.mark.collector, pytest.mark.slow, pytest.mark.timeout(900)]
LANES = 2  # so many at once, on as many workers


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xdist_group(f"scenarios-{number % LANES}"))
        for number, name in enumerate(SCENARIOS)
    ],
)
def test_a_broken_month_tells_exactly_those_whom_it_concerns(name, tmp_path, capsys):
    seen = play(name, tmp_path)

    with capsys.disabled():
        print("", *rows(name, seen), sep="\n")
    assert verdict(name, seen) == [], seen.output[-3_000:]
