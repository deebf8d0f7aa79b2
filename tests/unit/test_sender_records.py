"""A record's line is read where it is new; however it is written, it says the same."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from instrumentation.child._pipeline_alerts_child.context import Context
from instrumentation.child._pipeline_alerts_child.records import Encoder
from instrumentation.sender.entry import Entry
from instrumentation.sender.records import entry_of, take_apart
from instrumentation.sender.sources import MAX_KNOWN, Source

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
# Texts that look like the seams at which a line is taken apart.
SEAMS = st.sampled_from(
    ['","a":["x"],"', ',"m":"x"', '"}', ',"tr":"0"', "\\", '\\"', "}\n{", '","a":[', "%s", "%d", "%", "\ud800", "é"]
)
TEXTS = st.lists(SEAMS | st.text(max_size=6), max_size=4).map("".join)
PLAIN = TEXTS | st.integers(-(1 << 70), 1 << 70) | st.floats() | st.booleans() | st.none()
EXTRAS = st.dictionaries(
    st.sampled_from(["a", "m", "x", "tr", "mt", "pipeline.audience", "pipeline.log.template"]),
    st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2)),
    max_size=3,
)


def source() -> Source:
    return Source.of({"service.name": "p"}, "0123", 42)


def entry(text: str, of: Source | None = None) -> Entry:
    of = of or source()
    return entry_of(take_apart(text, of), of, with_log_line=True)


def sent(given_entry: Entry) -> dict[str, Any]:
    """What is on the wire, but for when it was read."""
    record = LogRecord.FromString(given_entry.message)
    record.observed_time_unix_nano = 0
    attributes = {pair.key: pair.value.SerializeToString() for pair in record.attributes}
    assert len(attributes) == len(record.attributes)
    del record.attributes[:]
    return {"record": record.SerializeToString(), **attributes}


def record_of(message: str, arguments: tuple[object, ...], extras: dict[str, object], *, fails: bool) -> Any:
    exc_info = (ValueError, ValueError(message), None) if fails else None
    record = logging.LogRecord('lib","a":[1]', 30, "/home/kim/p.py", 7, message, arguments, exc_info, "step")
    record.__dict__.update({name: value for name, value in extras.items() if name not in record.__dict__})
    return record


@given(
    message=TEXTS,
    arguments=st.lists(PLAIN, max_size=3).map(tuple),
    extras=EXTRAS,
    fails=st.booleans(),
    is_in_a_trace=st.booleans(),
)
def test_a_line_of_the_child_and_the_same_line_written_in_another_way_are_the_same_entry(
    message: str, arguments: tuple[object, ...], extras: dict[str, object], *, fails: bool, is_in_a_trace: bool
) -> None:
    context = Context({"TRACEPARENT": TRACEPARENT if is_in_a_trace else "", "PIPELINE_ALERTS_STAGE": "train"})
    text = Encoder(context).encode(record_of(message, arguments, extras, fails=fails), 7).decode()
    line = json.loads(text)
    backwards = json.dumps(dict(reversed(line.items())), indent=1)

    ours, theirs = entry(text), entry(backwards)

    assert ours._replace(message=b"") == theirs._replace(message=b"")
    assert sent(ours) == sent(theirs)


@given(st.lists(st.tuples(TEXTS, st.lists(PLAIN, max_size=2).map(tuple)), max_size=6))
def test_what_was_seen_before_changes_nothing(calls: list[tuple[str, tuple[object, ...]]]) -> None:
    encoder, of_all = Encoder(Context({"TRACEPARENT": TRACEPARENT})), source()
    lines = [
        encoder.encode(record_of(*call, {}, fails=False), number).decode() for number, call in enumerate(calls * 2)
    ]

    assert [sent(entry(line, of_all)) for line in lines] == [sent(entry(line)) for line in lines]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_line_is_no_record(cut: int) -> None:
    record = record_of("%s rows", (3,), {}, fails=False)
    line = Encoder(Context({"TRACEPARENT": TRACEPARENT})).encode(record, 7).decode().rstrip("\n")
    known = source()
    entry(line, known)

    with pytest.raises(json.JSONDecodeError):
        take_apart(line[:-cut], known)


def test_what_is_remembered_of_a_process_is_bounded() -> None:
    encoder, of_all = Encoder(Context({})), source()

    for number in range(MAX_KNOWN + 10):
        entry(encoder.encode(record_of(f"template {number} %d", (1,), {}, fails=False), number).decode(), of_all)
    entry(encoder.encode(record_of("x" * 5000 + "%d", (1,), {}, fails=False), 0).decode(), of_all)

    assert len(of_all.sites) <= MAX_KNOWN
    assert max(map(len, of_all.sites)) < 2000
