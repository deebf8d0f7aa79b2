"""Laws of messages: whatever a record holds, every channel can carry its message and no reader sees the inside."""

from __future__ import annotations

import dataclasses
import re
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from alert_bridge.channels.email import mail_of
from alert_bridge.channels.email.mime import MAX_HTML_BYTES
from alert_bridge.channels.slack import payload_of
from alert_bridge.channels.slack.blocks import MAX_CHARS
from alert_bridge.messages import compose
from alert_bridge.messages.text import clean, outer_parts, plain_name
from alert_bridge.model import Audience, Duty, Incident, IncidentState, Reason, Record, Severity, Story
from instrumentation import attributes as names
from tests.servers.stories import SPAN, TRACE, everything, record, story

anything = st.text(st.characters(exclude_categories=()), max_size=400)
long_text = st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=40), st.integers(1, 200))
values = st.one_of(
    anything,
    long_text,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.binary(max_size=20),
    st.lists(anything, max_size=3).map(tuple),
    st.dictionaries(anything, anything, max_size=2),
)
known_names = st.sampled_from(
    [value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)]
)
records = st.builds(
    Record,
    uid=anything,
    time=st.integers(-(2**63), 2**64),
    observed=st.integers(0, 2**64),
    severity=st.sampled_from(Severity),
    severity_text=anything,
    body=st.one_of(anything, long_text),
    event_name=st.one_of(anything, known_names),
    attributes=st.dictionaries(st.one_of(anything, known_names), values, max_size=12),
    resource=st.dictionaries(known_names, values, max_size=6),
    scope=anything,
    trace_id=st.sampled_from(["", TRACE]),
    span_id=st.sampled_from(["", SPAN]),
)
incidents = st.builds(
    Incident,
    id=anything,
    fingerprint=anything,
    title=anything,
    pipeline=anything,
    environment=anything,
    stage=anything,
    severity=st.sampled_from(Severity),
    state=st.sampled_from(IncidentState),
    opened_at=st.integers(-(2**63), 2**64),
    first_event=st.integers(-(2**63), 2**64),
    last_event=st.integers(-(2**63), 2**64),
    count=st.integers(0, 2**63),
    run_ids=st.lists(anything, max_size=3).map(tuple),
    sample=records,
    owner=anything,
    runbook=st.one_of(anything, anything.map(lambda text: f"https://x.example/{text}")),
    effect=anything,
    acknowledged_by=anything,
    root_id=anything,
    resolved_at=st.integers(0, 2**64),
    seen_before=st.integers(0, 9),
)
stories = st.builds(
    Story,
    incident=incidents,
    audience=st.builds(Audience, key=anything, name=anything, duty=st.sampled_from(Duty)),
    reason=st.sampled_from(Reason),
    now=st.integers(0, 2**64),
    public_url=st.sampled_from(["", "https://alerts.example.org"]),
    count=st.integers(0, 2**63),
    notice_key=anything,
    log_tail=st.lists(records, max_size=4).map(tuple),
    stage_path=st.lists(anything, max_size=4).map(tuple),
    run_facts=st.lists(st.tuples(anything, anything), max_size=4).map(tuple),
    also_told=st.lists(anything, max_size=4).map(tuple),
    late_since=st.integers(0, 2**64),
    affected=st.lists(anything, max_size=9).map(tuple),
    reminder_at=st.integers(0, 2**64),
)
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff]")


@given(told=stories)
@settings(max_examples=60, deadline=None)
def test_any_story_makes_a_message_that_every_channel_can_carry(told):
    message = compose(told)

    payload = payload_of(message, meant_for="#alerts")
    shown = [block.get("text") or block["elements"][0] for block in payload.blocks]
    assert 1 <= len(payload.blocks) <= 3
    assert 0 < sum(len(text["text"]) for text in shown) <= MAX_CHARS
    assert 0 < len(payload.text) <= MAX_CHARS
    assert not CONTROL.search(everything(message))
    assert "\n" not in message.headline + message.subject + "".join(message.facts)
    assert len(mail_of(message, "a@example.org", "example.org").html.encode()) <= MAX_HTML_BYTES


@given(
    type_name=st.from_regex(r"[A-Z][a-z]{5,9}Error", fullmatch=True),
    path=st.from_regex(r"/[a-z]{4,8}/[a-z]{4,8}/[a-z]{5,9}\.py", fullmatch=True),
    trace=st.text("0123456789abcdef", min_size=32, max_size=32),
    reason=st.sampled_from(Reason),
    severity=st.sampled_from(Severity),
)
@settings(max_examples=80, deadline=None)
def test_whatever_record_holds_a_type_a_path_or_a_trace_readers_do_not_see_it(type_name, path, trace, reason, severity):
    told = f"{type_name}: {path} {trace}"
    everywhere = {name: told for name in vars(names).values() if isinstance(name, str) and name != names.TEST_ALERT}
    sample = dataclasses.replace(record(told, **everywhere), severity=severity, trace_id=trace, scope=told)
    about = {"id": "inc-1", "title": told, "stage": path, "owner": type_name + path, "acknowledged_by": path}

    message = compose(
        story(sample, duty=Duty.INFORM, reason=reason, log_tail=(sample,), run_facts=((path, told),), about=about)
    )

    for leak in (type_name, path, trace):
        assert leak not in everything(message)
        assert leak not in str(message.links)


@given(text=st.one_of(anything, long_text))
@settings(max_examples=200, deadline=None)
def test_cleaned_text_holds_nothing_that_a_reader_cannot_see(text):
    cleaned = clean(text)

    assert not CONTROL.search(cleaned)
    assert plain_name(text) == "" or "/" not in plain_name(text)


@given(text=long_text, head=st.integers(10, 300), tail=st.integers(10, 300))
@settings(max_examples=100, deadline=None)
def test_the_outer_parts_of_a_text_stay_within_what_was_asked(text, head, tail):
    assert len(outer_parts(text, head, tail)) <= head + tail + 80


def test_a_megabyte_of_traceback_is_composed_in_a_blink():
    trace = "Traceback (most recent call last):\n" + '  File "x.py", line 1, in f\n' * 40_000 + "ValueError: end"
    sample = record(trace, **{names.EXCEPTION_TYPE: "ValueError", names.EXCEPTION_STACKTRACE: trace})
    started = time.process_time()

    message = compose(story(sample, log_tail=(sample,) * 50))

    assert time.process_time() - started < 2
    assert len(message.stacktrace) < 5_000
