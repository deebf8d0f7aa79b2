"""Quiet hours: by the wall clock of any zone and over both changes of it; then one digest; CRITICAL passes (B16)."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from alert_bridge.model import Reason, Severity
from alert_bridge.quiet import QuietTime, quiet_until
from tests.servers.engine import NS, START, Engine, a_policy, a_record, a_success, only_mdd

EVERY_DAY = frozenset(range(7))
OSLO = ZoneInfo("Europe/Oslo")
NIGHT = QuietTime(time(20), time(7), OSLO, EVERY_DAY)
ZONES = ("Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "UTC")
PROPERTY = settings(deadline=None, max_examples=200)


def at(text: str, zone: ZoneInfo = OSLO, fold: int = 0) -> int:
    """A moment on a wall clock, as nanoseconds since the epoch."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()) * NS


def wall(moment: int, zone: ZoneInfo = OSLO) -> str:
    return datetime.fromtimestamp(moment // NS, zone).isoformat(sep=" ", timespec="minutes")


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-25 19:59", ""),
        ("2026-11-25 20:00", "2026-11-26 07:00+01:00"),
        ("2026-11-26 06:59", "2026-11-26 07:00+01:00"),
        ("2026-11-26 07:00", ""),
        ("2026-03-28 23:00", "2026-03-29 07:00+02:00"),  # the night that has no 02:30
        ("2026-03-29 05:00", "2026-03-29 07:00+02:00"),
        ("2026-10-24 23:00", "2026-10-25 07:00+01:00"),  # the night that has it twice
        ("2026-10-25 02:30", "2026-10-25 07:00+01:00"),
    ],
)
def test_b16_a_night_ends_at_its_hour_on_the_wall_whatever_the_clock_change(now, until):
    found = quiet_until([(NIGHT,)], at(now))

    assert (wall(found) if found else "") == until


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 10), ("2026-10-24", 12), ("2026-11-25", 11)])
def test_b16_a_night_is_an_hour_shorter_or_longer_where_the_clock_changes(day, hours):
    begins = at(f"{day} 20:00")

    assert quiet_until([(NIGHT,)], begins) - begins == hours * 3_600 * NS


def test_b16_an_end_that_comes_twice_is_the_second_one_and_one_that_never_comes_is_past_the_gap():
    short = QuietTime(time(1), time(2, 30), OSLO, EVERY_DAY)

    autumn = quiet_until([(short,)], at("2026-10-25 01:10"))
    spring = quiet_until([(short,)], at("2026-03-29 01:10"))

    assert wall(autumn) == "2026-10-25 02:30+01:00"
    assert wall(spring) == "2026-03-29 03:30+02:00"


def test_days_are_those_on_which_the_quiet_time_begins():
    weekdays = QuietTime(time(20), time(7), OSLO, frozenset(range(5)))

    assert wall(quiet_until([(weekdays,)], at("2026-11-28 03:00"))) == "2026-11-28 07:00+01:00"  # of Friday's night
    assert quiet_until([(weekdays,)], at("2026-11-28 21:00")) == 0  # Saturday


def test_quiet_times_that_follow_one_another_are_one():
    weekend = QuietTime(time(0), time(0), OSLO, frozenset({5, 6}))

    assert wall(quiet_until([(NIGHT, weekend)], at("2026-11-27 22:00"))) == "2026-11-30 07:00+01:00"


def test_an_address_is_told_as_soon_as_one_audience_behind_it_is_awake():
    late = QuietTime(time(20), time(9), OSLO, EVERY_DAY)
    now = at("2026-11-25 23:00")

    assert wall(quiet_until([(late,), (NIGHT,)], now)) == "2026-11-26 07:00+01:00"
    assert quiet_until([(late,), ()], now) == 0


@st.composite
def quiet_times(draw):
    start, end = (time(draw(st.integers(0, 23)), draw(st.integers(0, 59))) for _ in range(2))
    days = draw(st.frozensets(st.integers(0, 6), min_size=1, max_size=6))
    return QuietTime(start, end, ZoneInfo(draw(st.sampled_from(ZONES))), days)


@PROPERTY
@given(quiet_times(), st.integers(0, 3 * 366 * 1_440))
def test_b16_the_end_is_ahead_is_not_quiet_and_everything_before_it_is(quiet, minutes):
    now = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) * NS + minutes * 60 * NS

    end = quiet_until([(quiet,)], now)

    assume(end)
    assert end > now
    assert quiet_until([(quiet,)], end) == 0
    for part in (1, 2, 3):
        assert quiet_until([(quiet,)], now + (end - now) * part // 4) == end


@PROPERTY
@given(quiet_times(), st.integers(0, 3 * 366 * 1_440))
def test_b16_away_from_clock_changes_it_is_quiet_exactly_while_the_wall_shows_it(quiet, minutes):
    moment = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    here = moment.astimezone(quiet.zone)
    around = {(here + timedelta(hours=hours)).utcoffset() for hours in (-50, -26, -2, 0, 2)}
    offsets = {(moment + timedelta(hours=hours)).astimezone(quiet.zone).utcoffset() for hours in range(-50, 51, 1)}
    assume(len(around | offsets) == 1)
    clock, today, yesterday = here.time(), here.weekday(), (here.weekday() - 1) % 7

    found = quiet_until([(quiet,)], int(moment.timestamp()) * NS) > 0

    if quiet.end > quiet.start:
        assert found == (today in quiet.days and quiet.start <= clock < quiet.end)
    else:
        assert found == (
            (today in quiet.days and clock >= quiet.start) or (yesterday in quiet.days and clock < quiet.end)
        )


def quiet_from(engine_second: float, for_s: float) -> tuple[QuietTime, ...]:
    """Quiet from this second of the engine's time on."""
    begins = datetime.fromtimestamp(START / NS + engine_second, UTC)
    ends = begins + timedelta(seconds=for_s)
    return (QuietTime(begins.time(), ends.time(), ZoneInfo("UTC"), EVERY_DAY),)


@pytest.fixture
def engine(tmp_path):
    engine = Engine(tmp_path, only_mdd(quiet={"mdd": quiet_from(0, 3_600)}))
    engine.longest_step = 30.0
    yield engine
    engine.close()


def headlines(engine) -> list[str]:
    return [told.message.headline for told in engine.slack.told]


def test_b16_what_happened_in_quiet_hours_is_one_digest_at_their_end(engine):
    engine.post(a_record("the disk is full"), a_record("value is missing"), a_record("value is missing"))

    engine.at(3_590)
    during = len(engine.slack.told)
    engine.at(3_700)

    assert during == 0
    (told,) = engine.slack.told
    assert told.message.reason is Reason.DIGEST
    assert told.at == pytest.approx(3_600, abs=31)
    assert "2 incidents during your quiet hours, 2 still open" in told.message.headline
    text = dict(told.message.paragraphs)["Incidents"]
    assert "disk is full" in text
    assert "value is missing, 2×" in text  # noqa: RUF001 - the sign of times is meant
    books = engine.books()["slack"]
    assert (books.balance, books.queued, books.matched, books.suppressed, books.delivered) == (0, 0, 4, 3, 1)


def test_b16_critical_passes(engine):
    engine.post(a_record("the disk is full"), a_record("the target is all zero", Severity.CRITICAL))
    engine.at(60)

    assert len(headlines(engine)) == 1
    assert "the target is all zero" in headlines(engine)[0]


def test_an_incident_that_becomes_critical_in_quiet_hours_is_told_at_once(engine):
    engine.post(a_record("the disk is full"))
    engine.at(60)
    engine.post(a_record("the disk is full", Severity.CRITICAL, at=engine.now))
    engine.at(120)

    assert len(headlines(engine)) == 1


def test_one_held_incident_is_told_in_its_own_words_and_is_not_called_late(engine):
    engine.post(a_record("the disk is full"))
    engine.at(3_700)

    (told,) = engine.slack.told
    assert told.message.reason is Reason.OPENED
    assert "disk is full" in told.message.headline
    assert told.message.note.startswith("Held back during quiet hours, until")
    assert told.message.late == ""


def test_what_is_over_before_the_end_is_told_as_over(engine):
    engine.post(a_record("the disk is full"), a_record("value is missing"))
    engine.at(60)
    engine.post(a_success("r2", engine.now))
    engine.at(3_700)

    assert "all over by now" in headlines(engine)[0]
    assert engine.slack.told[0].message.resolved
    assert len(engine.slack.told) == 1


def test_after_a_digest_an_incident_goes_on_by_itself(engine):
    engine.post(a_record("the disk is full"), a_record("value is missing"))
    engine.at(3_700)
    engine.post(a_success("r2", engine.now))
    engine.at(3_800)

    assert [told.message.reason for told in engine.slack.told] == [Reason.DIGEST, Reason.RESOLVED, Reason.RESOLVED]
    assert all(book.balance == 0 for book in engine.books().values())


def test_an_edit_of_what_they_know_wakes_nobody_and_is_made(tmp_path):
    engine = Engine(tmp_path, only_mdd(quiet={"mdd": quiet_from(100, 3_600)}))
    engine.post(a_record("the disk is full"))
    engine.at(50)
    engine.at(120)

    engine.post(a_record("the disk is full", at=engine.now))
    engine.at(140)

    assert [told.message.reason for told in engine.slack.told] == [Reason.OPENED, Reason.REPEATED]
    engine.close()


def test_the_other_audience_is_not_quiet(tmp_path):
    engine = Engine(tmp_path, a_policy(quiet={"mdd": quiet_from(0, 3_600)}))
    engine.post(a_record("the disk is full"))
    engine.at(60)

    assert sorted(told.address for told in engine.slack.told) == ["#infra", "#outreach"]
    assert [told.address for told in engine.email.told] == ["infra@site.test"]
    engine.close()


def test_those_who_only_need_to_know_read_of_effects_in_plain_words(tmp_path):
    engine = Engine(tmp_path, a_policy(quiet={"outreach": quiet_from(0, 3_600)}))
    engine.longest_step = 30.0
    engine.post(a_record("HTTP 403", stage="upload"), a_record("loss is NaN", stage="train"))
    engine.at(3_700)

    (told,) = [one for one in engine.slack.told if one.address == "#outreach"]
    text = dict(told.message.paragraphs)["What happened"]
    assert "monthly run: Delivering this run's results ran into a problem. Not solved yet." in text
    assert "403" not in text
    engine.close()


def test_quiet_hours_that_a_new_policy_ends_hold_nothing_back(engine):
    engine.post(a_record("the disk is full"))
    engine.at(60)

    engine.reload(only_mdd())
    engine.at(120)

    assert len(engine.slack.told) == 1


def test_quiet_hours_end_in_one_digest_although_the_bridge_was_away(engine):
    engine.post(a_record("the disk is full"), a_record("value is missing"))
    engine.at(60)
    engine.now += 5 * 3_600 * NS
    engine.restart()
    engine.overseer.step()

    engine.at(engine.seconds + 10)

    assert [told.message.reason for told in engine.slack.told] == [Reason.DIGEST]


def test_a_restart_at_the_end_tells_no_digest_twice(engine):
    engine.post(a_record("the disk is full"), a_record("value is missing"))
    engine.at(3_599)
    engine.now += 2 * NS
    engine.overseer.step()
    engine.restart()

    engine.at(4_000)

    assert [told.message.reason for told in engine.slack.told] == [Reason.DIGEST]


def test_a_digest_that_slack_refuses_reaches_its_readers_by_email(tmp_path):
    from alert_bridge.errors import Permanent

    engine = Engine(tmp_path, only_mdd(quiet={"mdd": quiet_from(0, 3_600)}))
    engine.longest_step = 30.0
    engine.slack.always = Permanent("archived", code="is_archived")
    engine.post(a_record("the disk is full"), a_record("value is missing"))

    engine.at(3_700)

    assert [told.message.reason for told in engine.email.told if told.address == "mdd@site.test"] == [Reason.DIGEST]
    engine.close()
