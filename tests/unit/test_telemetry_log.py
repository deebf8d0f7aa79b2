"""The log of a run or trace in telemetry.db: every window is the right one, every search and every cursor in order."""

from __future__ import annotations

from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from alert_bridge.model import Severity
from alert_bridge.store.telemetry import Telemetry, TelemetryStore
from alert_bridge.store.telemetry import reader as reading
from tests.servers.telemetry import TRACE, a_record, uids


def test_a_window_around_a_record_is_ordered_by_time_and_then_by_arrival(store, reader):
    same_time = [a_record(f"s{number}", at=5) for number in range(5)]
    store.append_logs([a_record("late", at=9), *same_time, a_record("early", at=1)])

    page = reader.run_log("run-1", around="s2", before=2, after=10)

    assert uids(page.records) == ["s0", "s1", "s2", "s3", "s4", "late"]
    assert (page.more_before, page.more_after) == (True, False)


def test_a_window_shows_its_record_whatever_the_level(store, reader):
    levels = [Severity.INFO, Severity.ERROR, Severity.DEBUG, Severity.WARNING, Severity.ERROR]
    store.append_logs([a_record(f"u{number}", at=number, severity=level) for number, level in enumerate(levels)])

    page = reader.run_log("run-1", around="u2", least=Severity.WARNING)

    assert uids(page.records) == ["u1", "u2", "u3", "u4"]


def test_without_an_anchor_a_log_is_read_from_its_end(store, reader):
    store.append_logs([a_record(f"u{number}", at=number) for number in range(10)])

    page = reader.run_log("run-1", before=3, after=3)
    unknown = reader.run_log("run-1", around="nobody", before=3)

    assert (uids(page.records), page.more_before, page.more_after) == (["u7", "u8", "u9"], True, False)
    assert unknown == page


def test_an_anchor_of_another_run_reads_as_none(store, reader):
    store.append_logs([a_record("mine", run="run-1", trace=""), a_record("theirs", run="run-2", trace="")])

    assert uids(reader.run_log("run-1", around="theirs").records) == ["mine"]


def test_an_unknown_run_has_an_empty_log(reader):
    assert reader.run("nowhere") is None
    assert reader.run_log("nowhere").records == ()
    assert list(reader.run_records("nowhere")) == []
    assert reader.run_spans("nowhere") == []
    assert reader.trace_log("nowhere").records == ()


@settings(deadline=None, max_examples=60)
@given(
    times=st.lists(st.integers(0, 4), min_size=1, max_size=30),
    levels=st.data(),
    before=st.integers(0, 8),
    after=st.integers(0, 8),
    batches=st.integers(1, 5),
)
def test_any_window_is_the_slice_that_a_list_would_give(tmp_path_factory, times, levels, before, after, batches):
    severities = [levels.draw(st.sampled_from([Severity.INFO, Severity.ERROR])) for _ in times]
    records = [
        a_record(f"u{number}", at=at, severity=severity)
        for number, (at, severity) in enumerate(zip(times, severities, strict=True))
    ]
    folder = tmp_path_factory.mktemp("store")
    store, reader = TelemetryStore(folder), Telemetry(folder)
    for part in range(batches):
        store.append_logs(records[part::batches])
    arrival = [record for part in range(batches) for record in records[part::batches]]
    ordered = sorted(arrival, key=lambda record: record.time)  # stable: equal times stay in the order of arrival
    anchor = levels.draw(st.sampled_from(records))
    least = levels.draw(st.sampled_from([Severity.TRACE, Severity.ERROR]))

    page = reader.run_log("run-1", around=anchor.uid, least=least, before=before, after=after)

    place = ordered.index(anchor)
    older = [record for record in ordered[:place] if record.severity >= least]
    newer = [record for record in ordered[place + 1 :] if record.severity >= least]
    expected = [*older[max(len(older) - before, 0) :], anchor, *newer[:after]]
    assert list(page.records) == expected
    assert (page.more_before, page.more_after) == (len(older) > before, len(newer) > after)
    assert list(reader.run_records("run-1", least=least)) == [record for record in ordered if record.severity >= least]
    store.close()
    reader.close()


def test_a_whole_log_streams_in_batches_while_records_arrive(store, reader, monkeypatch):
    monkeypatch.setattr(reading, "STREAM_ROWS", 3)
    store.append_logs([a_record(f"u{number}", at=number // 2) for number in range(8)])
    stream = reader.run_records("run-1")

    first = [next(stream) for _ in range(3)]
    store.append_logs([a_record("later", at=99)])

    assert uids([*first, *stream]) == [*(f"u{number}" for number in range(8)), "later"]


def test_a_trace_has_the_records_of_all_its_processes_and_of_no_other(store, reader):
    other = "ef" * 16
    store.append_logs(
        [
            a_record("a", at=2, resource={"process.pid": 1}),
            a_record("b", at=1, resource={"process.pid": 2}),
            a_record("c", trace=other),
            a_record("d", trace=""),
        ]
    )

    page = reader.trace_log(TRACE)

    assert uids(page.records) == ["b", "a"]
    assert reader.trace_log(TRACE, limit=1).more_after


def test_a_search_finds_text_in_any_case_in_body_and_attributes_newest_first(store, reader):
    store.append_logs(
        [
            a_record("a", body="Disk QUOTA exceeded"),
            a_record("b", body="x", **{"exception.stacktrace": "OSError: quota"}),
            a_record("c", body="quota", run="run-2", trace=""),
            a_record("d", body="100% of_it \\ done"),
        ]
    )

    assert uids(reader.search("quota")) == ["c", "b", "a"]
    assert uids(reader.search("quota", run_id="run-1")) == ["b", "a"]
    assert uids(reader.search("quota", limit=1)) == ["c"]
    assert uids(reader.search("100% of_it \\")) == ["d"]
    assert reader.search("1005 of") == []
    assert reader.search("quota", run_id="nowhere") == []


def test_a_search_that_takes_too_long_answers_with_what_it_has(store, reader, monkeypatch):
    looks = count()
    monkeypatch.setattr(reading.time, "monotonic", lambda: next(looks) * reading.SEARCH_SECONDS / 100)
    monkeypatch.setattr(reading, "_SEARCH_STEPS_BETWEEN_LOOKS", 100)
    store.append_logs([a_record("too old", body="needle")])
    store.append_logs([a_record(f"u{number}") for number in range(5_000)])
    store.append_logs([a_record("found", body="needle")])

    assert uids(reader.search("needle")) == ["found"]
    assert reader.run("run-1").records == 5_002  # the connection is as good as before


def test_a_cursor_sees_everything_once_in_the_order_of_arrival(store, reader):
    seen, cursor = [], 0
    for number in range(5):
        store.append_logs([a_record(f"u{number}-{part}", at=-number) for part in range(3)])
        while page := reader.logs_after(cursor, limit=2):
            seen += [record.uid for _, record in page]
            cursor = page[-1][0]

    assert seen == [f"u{number}-{part}" for number in range(5) for part in range(3)]
