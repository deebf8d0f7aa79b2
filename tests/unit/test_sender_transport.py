"""What a receiver's answer means for a batch, and how a lane acts on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from instrumentation.sender.journals import Journal
from instrumentation.sender.lanes import Lane
from instrumentation.sender.parcels import Parcel
from instrumentation.sender.transport import Answer, Transport, Verdict, judge


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.ACCEPTED), (202, Verdict.ACCEPTED), (400, Verdict.REFUSED), (413, Verdict.REFUSED),
        (401, Verdict.MISCONFIGURED), (403, Verdict.MISCONFIGURED), (404, Verdict.MISCONFIGURED),
        (408, Verdict.RETRY), (429, Verdict.RETRY), (500, Verdict.RETRY), (502, Verdict.RETRY), (503, Verdict.RETRY),
    ],
)  # fmt: skip
def test_only_a_refusal_of_these_bytes_splits_and_nothing_is_ever_dropped_for_a_bad_set_up(
    status: int, verdict: Verdict
) -> None:
    assert judge(status, b"", None).verdict is verdict


@pytest.mark.parametrize(("header", "seconds"), [("2", 2.0), ("0", 0.0), ("99999", 300.0), ("soon", None), ("-3", 0.0)])
def test_retry_after_is_honoured_within_reason(header: str, seconds: float | None) -> None:
    assert judge(503, b"", header).retry_after == seconds


class ScriptedLane(Lane):
    """A lane whose receiver answers from a list, without a thread."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__("test", Transport("http://127.0.0.1:1", ""), lambda: None)
        self.script = list(answers)
        self.posted: list[list[Parcel]] = []

    def _post(self, piece: list[Parcel]) -> None:
        self.posted.append(piece)
        self._is_posting = True
        self._answers.put(self.script.pop(0))


def parcel(count: int, kind: str = "log") -> Parcel:
    return Parcel(Journal(Path("x.jsonl"), {}), kind, "", [b""] * count, list(range(1, count + 1)))


def run(lane: Lane, batch: list[Parcel], now: float = 0.0) -> list[tuple[int, str]]:
    lane.give(batch)
    settled = []
    for _ in range(100):
        results = lane.turn(now)
        settled += [(end, result.refusal) for result in results for parcel in result.parcels for end in parcel.ends]
        now = max(now, lane.not_before)
        if lane.is_free:
            break
    return settled


def test_a_refused_batch_is_halved_until_the_bad_record_is_alone() -> None:
    bad = Answer(Verdict.REFUSED, "HTTP 400")
    good = Answer(Verdict.ACCEPTED)
    lane = ScriptedLane(bad, bad, good, bad, good)  # of four: first half bad, in it the first good, the second bad

    settled = run(lane, [parcel(4)])

    assert settled == [(1, ""), (2, "HTTP 400"), (3, ""), (4, "")]


def test_signals_travel_in_requests_of_their_own_and_one_that_is_not_taken_does_not_hold_the_others() -> None:
    lane = ScriptedLane(Answer(Verdict.ACCEPTED), Answer(Verdict.MISCONFIGURED, "HTTP 404"))

    settled = run(lane, [parcel(2), parcel(1, "span")])

    assert settled == [(1, ""), (2, ""), (1, "")]
    assert [[(parcel.kind, len(parcel.ends)) for parcel in piece] for piece in lane.posted] == [
        [("log", 2)],
        [("span", 1)],
    ]


def test_pauses_grow_to_a_limit_and_end_with_the_first_success() -> None:
    lane = ScriptedLane(*[Answer(Verdict.RETRY, "down")] * 12, Answer(Verdict.ACCEPTED))
    lane.give([parcel(1)])
    now, pauses = 0.0, []

    while not lane.is_free:
        lane.turn(now)
        pauses.append(lane.not_before - now)
        now = max(now, lane.not_before)

    assert max(pauses) == 15.0
    assert lane.trouble == ""


def test_retry_after_wins_over_our_own_pause() -> None:
    lane = ScriptedLane(Answer(Verdict.RETRY, "busy", retry_after=7.0), Answer(Verdict.ACCEPTED))
    lane.give([parcel(1)])
    lane.turn(100.0)

    lane.turn(100.0)

    assert lane.not_before == 107.0
