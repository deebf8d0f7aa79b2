"""B20 at the door: a storm of distinct errors is answered 200 or 503, nothing of it is lost, and it counts exactly."""

from __future__ import annotations

from tests.servers.bridge import BridgeProcess, wait_for
from tests.servers.storm import send_storm

RECORDS = 4_000
PER_REQUEST = 200
SENDERS = 8
ACCEPTED_WITHIN_S = 120.0
SETTLED_WITHIN_S = 60.0


def test_b20_a_storm_over_http_is_taken_or_put_off_and_every_record_is_counted(tmp_path):
    with BridgeProcess(tmp_path) as bridge:
        bridge.wait_until_ready()

        stormed = send_storm(
            bridge.url, range(RECORDS), per_request=PER_REQUEST, senders=SENDERS, within_s=ACCEPTED_WITHIN_S
        )

        reader = bridge.reader()
        wait_for(lambda: {book.channel: book for book in reader.books()}["slack"].queued == 0, SETTLED_WITHIN_S)
        books, counters = reader.books(), reader.counters()
        incidents, shown = reader.incidents(open_only=False, limit=RECORDS), len(reader.previewed(limit=RECORDS))
        reader.close()

    assert set(stormed.answers) <= {200, 503}
    assert stormed.answers[503] == stormed.put_off, "each refusal says when to come again"
    assert stormed.answers[200] == RECORDS // PER_REQUEST
    assert counters["taken"] == RECORDS
    assert [(book.channel, book.matched, book.balance) for book in books] == [
        ("email", RECORDS, 0),  # a mail cannot be edited: what a storm goes on to hold is told with the next one
        ("slack", RECORDS, 0),
    ]
    assert books[1].delivered == RECORDS
    assert len(incidents) < 200
    assert shown <= 2 * len(incidents)
