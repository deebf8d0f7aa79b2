"""Who is taken next: one run's error does not wait for all batches of another run's storm, and neither starves."""

from __future__ import annotations

import gzip

from alert_bridge.intake import Request, Waiting
from alert_bridge.intake.waiting import SMALL_BYTES

FORM = "application/x-protobuf"
SMALL, LARGE = b"s", b"L" * (SMALL_BYTES + 1)


def taken_from(waiting: Waiting[Request], *, weight_most: int = SMALL_BYTES) -> list[str]:
    """What each commit takes until nothing waits, by the first letters of its bodies."""
    commits = []
    while waiting.requests:
        requests, _ = waiting.gather(100, weight_most=weight_most)
        commits.append("".join(chr(request.body[0]) for request in requests))
    return commits


def filled(*bodies: bytes, encoding: str = "") -> Waiting[Request]:
    waiting: Waiting[Request] = Waiting(requests_most=100, bytes_most=2**30)
    for body in bodies:
        assert waiting.put(Request(body, FORM, encoding))
    return waiting


def test_a_small_request_waits_for_one_large_one_at_most():
    waiting = filled(LARGE, LARGE, LARGE)
    first, _ = waiting.gather(100, weight_most=SMALL_BYTES)

    assert waiting.put(Request(SMALL, FORM, ""))

    assert [len(first), taken_from(waiting)] == [1, ["s", "L", "L"]]


def test_a_stream_of_small_requests_does_not_keep_a_large_one_waiting():
    waiting = filled(LARGE, SMALL)
    commits = []
    for _ in range(4):
        requests, _ = waiting.gather(1, weight_most=SMALL_BYTES)
        commits.append(chr(requests[0].body[0]))
        assert waiting.put(Request(SMALL, FORM, ""))

    assert commits.count("L") == 1
    assert commits.index("L") <= 1


def test_a_batch_that_is_small_only_because_it_is_packed_counts_as_what_it_is():
    batch = gzip.compress(bytes(range(256)) * 100)[: SMALL_BYTES // 4].ljust(SMALL_BYTES // 4, b"x")

    waiting = filled(batch, SMALL, encoding="gzip")

    assert len(taken_from(waiting)) == 2


def test_what_comes_after_the_end_is_turned_away_and_not_left_waiting_for_ever():
    waiting = filled(SMALL)
    waiting.end()

    assert not waiting.put(Request(SMALL, FORM, ""))
    assert waiting.gather(100, weight_most=SMALL_BYTES)[1]
