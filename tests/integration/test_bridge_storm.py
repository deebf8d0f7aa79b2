"""B20 at the door: a storm of distinct errors is answered 200 or 503, nothing of it is lost, and it counts exactly."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.servers.bridge import BridgeProcess, wait_for
from tests.servers.otlp_client import logs_request, post, record

RECORDS = 4_000
PER_REQUEST = 200
SENDERS = 8
ACCEPTED_WITHIN_S = 120.0
SETTLED_WITHIN_S = 60.0
SYLLABLES = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "klmnrst"]


def text_of(number: int) -> str:
    """Two words that are no others' words: each a problem of its own."""
    return f"{SYLLABLES[number % 420]}ox {SYLLABLES[number // 420]}{SYLLABLES[number % 420]} shelf"


def test_b20_a_storm_over_http_is_taken_or_put_off_and_every_record_is_counted(tmp_path):
    with BridgeProcess(tmp_path) as bridge:
        bridge.wait_until_ready()
        answers: Counter[int] = Counter()

        def send(first: int) -> None:
            numbers = range(first, first + PER_REQUEST)
            body = logs_request(*(record(text_of(number), uid=f"u{number}") for number in numbers))
            deadline = time.monotonic() + ACCEPTED_WITHIN_S
            status = 0
            while status != 200 and time.monotonic() < deadline:  # as a Collector does, but without its patience
                status = post(f"{bridge.url}/alerts/v1/logs", body, timeout=ACCEPTED_WITHIN_S).status
                answers[status] += 1

        with ThreadPoolExecutor(SENDERS) as senders:
            list(senders.map(send, range(0, RECORDS, PER_REQUEST)))

        reader = bridge.reader()
        wait_for(lambda: {book.channel: book for book in reader.books()}["slack"].queued == 0, SETTLED_WITHIN_S)
        books, counters = reader.books(), reader.counters()
        incidents, shown = reader.incidents(open_only=False, limit=RECORDS), len(reader.previewed(limit=RECORDS))
        reader.close()

    assert set(answers) <= {200, 503}
    assert answers[200] == RECORDS // PER_REQUEST
    assert counters["taken"] == RECORDS
    assert [(book.channel, book.matched, book.balance) for book in books] == [
        ("email", RECORDS, 0),  # a mail cannot be edited: what a storm goes on to hold is told with the next one
        ("slack", RECORDS, 0),
    ]
    assert books[1].delivered == RECORDS
    assert len(incidents) < 200
    assert shown <= 2 * len(incidents)
