"""Schedules against known dates, and against a cron of another hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from alert_bridge.policy import cron
from alert_bridge.policy.schedules import cron_problem

NS = 1_000_000_000


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


def text(moment: int) -> str:
    return datetime.fromtimestamp(moment // NS, UTC).strftime("%Y-%m-%d %H:%M") if moment else ""


@pytest.mark.parametrize(
    ("schedule", "now", "latest", "following"),
    [
        ("0 6 1 * *", "2026-11-25 21:00", "2026-11-01 06:00", "2026-12-01 06:00"),
        ("0 6 1 * *", "2026-12-01 06:00", "2026-12-01 06:00", "2027-01-01 06:00"),
        ("0 6 1 * *", "2026-12-01 05:59", "2026-11-01 06:00", "2026-12-01 06:00"),
        ("*/15 9-17 * * 1-5", "2026-11-29 12:00", "2026-11-27 17:45", "2026-11-30 09:00"),
        ("30 4 1,15 * 5", "2026-11-25 00:00", "2026-11-20 04:30", "2026-11-27 04:30"),  # the 15th, or a Friday
        ("0 0 29 2 *", "2026-11-25 00:00", "2024-02-29 00:00", "2028-02-29 00:00"),
        ("0 0 * * 7", "2026-11-25 00:00", "2026-11-22 00:00", "2026-11-29 00:00"),
        ("0 0 31 2 *", "2026-11-25 00:00", "", ""),
        ("59 23 31 12 *", "2027-01-01 00:00", "2026-12-31 23:59", "2027-12-31 23:59"),
        ("0 0 * * 0-3", "2026-11-26 00:00", "2026-11-25 00:00", "2026-11-29 00:00"),
    ],
)
def test_the_moments_of_a_schedule(schedule, now, latest, following):
    assert cron_problem(schedule) == ("", "")
    assert text(cron.latest(schedule, ns(now))) == latest
    assert text(cron.following(schedule, ns(now))) == following


@st.composite
def fields(draw, least: int, most: int):
    kind = draw(st.sampled_from(("*", "*/n", "n", "n-m", "n-m/s", "list")))
    low = draw(st.integers(least, most - 1))
    high = draw(st.integers(low + 1, most))  # the other one reads 3-3/2 as */2
    match kind:
        case "*":
            return "*"
        case "*/n":
            return f"*/{draw(st.integers(1, most))}"
        case "n":
            return f"{low}"
        case "n-m":
            return f"{low}-{high}"
        case "n-m/s":
            return f"{low}-{high}/{draw(st.integers(1, 7))}"
        case _:
            return ",".join(str(draw(st.integers(least, most))) for _ in range(3))


@st.composite
def schedules(draw):
    parts = [draw(fields(least, most)) for least, most in ((0, 59), (0, 23), (1, 28), (1, 12), (1, 6))]
    return " ".join(parts)


@settings(deadline=None, max_examples=150)
@given(schedules(), st.integers(0, 4 * 366 * 1_440))
def test_another_cron_agrees(schedule, minutes):
    moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    now = int(moment.timestamp()) * NS

    following = cron.following(schedule, now)

    assert text(following) == next(CronSim(schedule, moment)).strftime("%Y-%m-%d %H:%M")
    assert cron.latest(schedule, following) == following
    assert cron.latest(schedule, following - NS) <= now
