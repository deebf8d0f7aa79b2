"""Quiet hours: when an audience does not want to be woken, by their own wall clock. Pure.

A quiet time begins when the clock on the wall shows `from` and ends when it shows `to`; where clocks are set, it ends
at the later of two equal times and, in the hour that is left out, as long after the change as it would have been.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

__all__ = ["DAYS", "LONGEST_DAYS", "QuietTime", "quiet_until"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST_DAYS = 10  # of quiet times that follow one another; then people are told all the same

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class QuietTime:
    """One span of the week, beginning on each of ``days`` (0 is Monday). ``start`` equal to ``end``: 24 hours."""

    start: time
    end: time
    zone: ZoneInfo
    days: frozenset[int]

    def span_of(self, day: date) -> tuple[datetime, datetime]:
        """When the quiet time that begins on this day begins and ends, UTC."""
        last = day if self.end > self.start else day + timedelta(days=1)
        begins = datetime.combine(day, self.start, self.zone)
        # Of a time that comes twice `fold` picks one; of one that is left out, the moment before or after the gap.
        ends = (datetime.combine(last, self.end, self.zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1))
        return begins.astimezone(UTC), max(ends)


def quiet_until(audiences: Iterable[Sequence[QuietTime]], now_ns: int) -> int:
    """When the first of these audiences may be told again; 0 if one of them may be told now.

    Args:
        audiences: the quiet times of every audience behind one address.
        now_ns: nanoseconds since the epoch.
    """
    ends = [_end(times, _moment(now_ns)) for times in audiences]
    return min((_ns(end) for end in ends if end is not None), default=0) if ends and None not in ends else 0


def _end(times: Sequence[QuietTime], now: datetime) -> datetime | None:
    """The end of all quiet times that follow one another from now; None if it is not quiet."""
    end = now
    limit = now + timedelta(days=LONGEST_DAYS)
    while end < limit:
        later = max((span_end for one in times if (span_end := _end_of_span(one, end)) is not None), default=None)
        if later is None:
            break
        end = later
    return end if end > now else None


def _end_of_span(quiet: QuietTime, moment: datetime) -> datetime | None:
    """The end of the span that the moment lies in. Looks a day around, because of zones and nights."""
    today = moment.astimezone(quiet.zone).date()
    found = None
    for offset in (-2, -1, 0, 1):
        day = today + timedelta(days=offset)
        if day.weekday() not in quiet.days:
            continue
        begins, ends = quiet.span_of(day)
        if begins <= moment < ends and (found is None or ends > found):
            found = ends
    return found


def _moment(now_ns: int) -> datetime:
    return datetime.fromtimestamp(now_ns // _NS, UTC) + timedelta(microseconds=now_ns % _NS // 1000)


def _ns(moment: datetime) -> int:
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * _NS + moment.microsecond * 1000
