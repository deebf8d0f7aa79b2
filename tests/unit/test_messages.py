"""Messages: what people who act read, what people who only need to know read, and that no record can spoil either."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alert_bridge.channels.email import mail_of
from alert_bridge.channels.email.mime import MAX_HTML_BYTES
from alert_bridge.channels.slack import payload_of
from alert_bridge.channels.slack.blocks import MAX_CHARS
from alert_bridge.messages import compose
from alert_bridge.messages.cause import title_of
from alert_bridge.messages.text import clean, first_words, outer_parts, plain_name
from alert_bridge.model import Audience, Duty, Incident, IncidentState, Reason, Record, Severity, Story
from instrumentation import attributes as names

NS = 10**9
T = 1_795_604_780 * NS  # 2026-11-25 11:06:20 UTC
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEBACK = """Traceback (most recent call last):
  File "/srv/models/secret_layout/fetch.py", line 42, in fetch
    raise ConnectionError("VPN is down")
requests.exceptions.ConnectionError: VPN is down
"""
FAILED = {
    names.EXCEPTION_TYPE: "requests.exceptions.ConnectionError",
    names.EXCEPTION_MESSAGE: "VPN is down",
    names.EXCEPTION_STACKTRACE: TRACEBACK,
    names.CODE_FILE: "/srv/models/secret_layout/fetch.py",
    names.CODE_LINE: 42,
    names.CODE_FUNCTION: "fetch",
}


def record(body="Error fetching data", *, severity=Severity.ERROR, event_name="", uid="tok-17", **attributes):
    known = {
        names.PIPELINE_NAME: "monthly_run",
        names.RUN_ID: "fatalities_003_559_a",
        names.STAGE: "fetch_data",
        names.DEPLOYMENT_ENVIRONMENT: "prod",
    }
    return Record(
        uid=uid,
        time=T,
        observed=T,
        severity=severity,
        severity_text="",
        body=body,
        event_name=event_name,
        attributes={**known, **attributes},
        scope="monthly_run.model",
        trace_id=TRACE,
        span_id=SPAN,
    )


def incident(sample, **changes):
    fields = {
        "id": "inc-1",
        "fingerprint": "f",
        "title": "ConnectionError: VPN is down",
        "pipeline": sample.pipeline,
        "environment": sample.environment,
        "stage": sample.stage,
        "severity": sample.severity,
        "state": IncidentState.OPEN,
        "opened_at": T,
        "first_event": T,
        "last_event": T,
        "count": 1,
        "run_ids": (sample.run_id,),
        "sample": sample,
    }
    return Incident(**{**fields, **changes})


def story(sample=None, *, duty=Duty.ACT, reason=Reason.OPENED, now=T + NS, about=None, **changes):
    sample = record(**FAILED) if sample is None else sample
    fields = {
        "incident": incident(sample, **(about or {})),
        "audience": Audience("mdd", "MD&D", duty),
        "reason": reason,
        "now": now,
        "public_url": "https://alerts.example.org",
        "count": 1,
        "notice_key": "inc-1-7",
    }
    return Story(**{**fields, **changes})


def everything(message):
    """All words of a message except its links."""
    parts = [message.headline, *message.facts, message.subject, message.late, message.note, message.log_title]
    parts += [text for pair in (*message.paragraphs, *message.closing) for text in pair]
    return "\n".join([*parts, *message.log_tail, message.stacktrace])


# ── for those who act


def test_the_headline_names_severity_place_type_and_reason():
    message = compose(story())

    assert message.headline == "ERROR · monthly_run / fetch_data failed: ConnectionError: VPN is down"


def test_the_facts_say_where_how_often_since_when_whether_it_is_new_and_whose_it_is():
    message = compose(story(count=3, about={"count": 3, "owner": "@ml"}))

    assert message.facts == ("prod", "run fatalities_003_559_a", "3× since 11:06 UTC", "new", "owner @ml")  # noqa: RUF001


def test_a_known_problem_says_how_often_it_was_seen_and_an_older_day_is_named():
    message = compose(story(now=T + 86_400 * NS, about={"seen_before": 4}))

    assert message.facts[2:4] == ("at 2026-11-25 11:06 UTC", "seen 4 times before")


def test_links_lead_to_the_record_in_the_full_log_the_incident_the_span_and_the_runbook():
    message = compose(story(about={"runbook": "https://wiki.example.org/vpn"}))

    assert dict(message.links) == {
        "Full log": "https://alerts.example.org/runs/fatalities_003_559_a/log?around=tok-17#r-tok-17",
        "Incident": "https://alerts.example.org/incidents/inc-1",
        "Trace": f"https://alerts.example.org/traces/{TRACE}?span={SPAN}",
        "Runbook": "https://wiki.example.org/vpn",
    }


def test_a_runbook_that_is_no_web_address_is_not_a_link():
    message = compose(story(about={"runbook": "javascript:alert(1)"}))

    assert "Runbook" not in dict(message.links)


def test_a_run_id_with_slashes_and_spaces_stays_one_part_of_its_link():
    message = compose(story(record(**{names.RUN_ID: "a/../b c?d#e"})))

    assert dict(message.links)["Full log"].startswith("https://alerts.example.org/runs/a%2F..%2Fb%20c%3Fd%23e/log?")


def test_models_that_reported_the_same_are_listed():
    models = ("brown_heron", "dry_river", "open_steppe", "quiet_delta", "steady_oak", "tall_reed")

    message = compose(story(record(**{names.MODEL_NAME: "dry_river"}), affected=models))

    assert message.facts[-1] == ("in 6 models: brown_heron, dry_river, open_steppe, quiet_delta, steady_oak, tall_reed")


def test_the_log_shows_the_last_lines_up_to_the_error_and_marks_it():
    before = tuple(dataclasses.replace(record(f"line {n}", uid=f"b{n}"), time=T - (100 - n) * NS) for n in range(100))
    after = tuple(record(f"after {n}", uid=f"a{n}") for n in range(30))

    message = compose(story(log_tail=(*before, record(**FAILED), *after)))

    assert len(message.log_tail) == 40
    assert [line for line in message.log_tail if line.startswith(">")] == [
        "> 11:06:20 ERROR    fetch_data: Error fetching data"
    ]
    assert message.log_tail[0].endswith("line 69")
    assert message.log_tail[-1].endswith("after 7")
    assert "40 lines" in message.log_title


def test_a_log_that_the_error_has_not_reached_yet_says_so():
    message = compose(story(log_tail=(record("before", uid="b1"),)))

    assert message.log_title == (
        "End of the run's log so far: 1 line, times in UTC; the error's own line had not arrived yet"
    )


def test_a_long_stack_trace_keeps_both_ends_in_order_and_says_how_much_is_missing():
    trace = "\n".join(
        ["Traceback (most recent call last):", *(f'  File "m{n}.py", line {n}, in f' for n in range(9000))]
    )
    trace += "\nValueError: at the end"

    shown = compose(story(record(**{**FAILED, names.EXCEPTION_STACKTRACE: trace}))).stacktrace

    assert shown.startswith("Traceback (most recent call last):\n")
    assert shown.endswith("ValueError: at the end")
    (left_out,) = re.findall(r"… (\d+) lines left out; the full log has them …", shown)
    assert int(left_out) + len(shown.split("\n")) - 1 == len(trace.split("\n"))


def test_a_bare_traceback_as_message_is_told_by_its_exception_named_as_any_other():
    message = compose(story(record(TRACEBACK)))

    assert message.headline.endswith("failed: ConnectionError: VPN is down")
    assert message.stacktrace == TRACEBACK.strip()


def test_a_bare_traceback_with_a_message_of_many_lines_is_told_by_its_type_and_first_line():
    message = compose(story(record(f"{TRACEBACK.strip()} for the third time today\nTry again.\n\nOr ask.")))

    assert message.headline.endswith("failed: ConnectionError: VPN is down for the third time today")


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        (
            {names.EXIT_SIGNAL: 9, names.OOM_KILLED: True, names.PEAK_MEMORY: 11.4 * 2**30, names.DURATION: 7440},
            "was killed by the kernel for memory (SIGKILL) at 11.4 GiB after 2 h 04 min",
        ),
        ({names.EXIT_CODE: 137}, "was killed (SIGKILL), as the kernel does when memory runs out"),
        (
            {names.EXIT_SIGNAL: 9, names.OOM_VERDICT: "probable", names.PEAK_MEMORY: 11.4 * 2**30},
            "was killed (SIGKILL) at 11.4 GiB, probably by the kernel because memory ran out",
        ),
        ({names.EXIT_SIGNAL: 9, names.OOM_VERDICT: "excluded"}, "was killed (SIGKILL), not by the kernel for memory"),
        (
            {names.EXIT_SIGNAL: "SIGSEGV", names.DURATION: 61},
            "crashed with a segmentation fault (SIGSEGV) after 1 min 01 s",
        ),
        ({names.EXIT_CODE: 3, names.DURATION: 12.4}, "ended with exit code 3 after 12 s"),
        ({names.EXIT_CODE: "what", names.PEAK_MEMORY: "NaN", names.DURATION: -1}, "ended without saying why"),
    ],
)
def test_the_death_of_a_process_is_told_in_words(attributes, told):
    sample = record("x", severity=Severity.CRITICAL, event_name=names.EVENT_PROCESS_DIED, **attributes)

    message = compose(story(sample))

    assert message.headline == f"CRITICAL · monthly_run / fetch_data {told}"


@pytest.mark.parametrize(
    ("attributes", "subject"),
    [({names.MODEL_NAME: "dry_river"}, "dry_river"), ({names.TEMPLATE: "%s was ended by SIGKILL"}, "train.py")],
)
def test_a_death_in_a_list_begins_with_who_died(attributes, subject):
    sample = record(
        "train.py was ended by SIGKILL",
        event_name=names.EVENT_PROCESS_DIED,
        **{names.EXIT_SIGNAL: "SIGKILL", **attributes},
    )

    assert title_of(sample) == f"{subject} was killed (SIGKILL), as the kernel does when memory runs out"


def test_where_a_silent_run_hangs_is_in_the_expanded_summary_the_innermost_process_first():
    stacks = (
        "train.py (12):\n  wait_for_gpu (gpu.py:4)\n"
        + "  step (loop.py:9)\n" * 400
        + "main.py (11):\n  join (main.py:2)"
    )
    sample = record("x", event_name=names.EVENT_RUN_SILENT, **{names.STACK_DUMP: stacks})

    paragraphs = dict(compose(story(sample)).paragraphs)

    assert paragraphs["Where it hangs"].startswith("train.py (12):\n  wait_for_gpu (gpu.py:4)\n")
    assert paragraphs["Where it hangs"].endswith("main.py (11):\n  join (main.py:2)")
    assert len(paragraphs["Where it hangs"]) < 3_200


def test_what_a_dead_process_logged_last_is_in_the_expanded_summary():
    sample = record("x", event_name=names.EVENT_PROCESS_DIED, **{names.LAST_RECORDS: "epoch 6\nepoch 7"})

    assert dict(compose(story(sample)).paragraphs)["Its last log records"] == "epoch 6\nepoch 7"


def test_the_last_lines_that_a_dead_process_wrote_are_in_the_expanded_summary():
    sample = record(
        "x", event_name=names.EVENT_PROCESS_DIED, **{names.EXIT_CODE: 1, names.STDERR_TAIL: "epoch 6\nKilled"}
    )

    assert dict(compose(story(sample)).paragraphs)["Last lines of its error output"] == "epoch 6\nKilled"


def test_a_dict_that_was_logged_as_message_reads_as_a_sentence():
    body = "{'calm_harbor data alert 3': ' alarm: feature delta_zeroes; offender: X, threshold: 0.01'}"

    assert first_words(body) == "calm_harbor data alert 3: alarm: feature delta_zeroes; offender: X, threshold: 0.01"


def test_colours_and_boxes_are_cleaned_away():
    body = "\x1b[31m╔══════════╗\n║ WARNING  ║\n║ Disk is nearly full ║\n╚══════════╝\x1b[0m"

    assert first_words(body) == "WARNING: Disk is nearly full"
    assert first_words("********\n* No space *\n********") == "No space"


# ── reasons


def test_a_reminder_says_how_long_it_has_been_failing():
    message = compose(story(reason=Reason.REMINDER, now=T + 4 * 3600 * NS))

    assert message.note == "Still failing, 4 h after it began."


@pytest.mark.parametrize(("hours", "note"), [(0, ""), (4, "Still failing, 4 h after it began.")])
def test_an_edit_does_not_take_back_what_a_reminder_said(hours, note):
    message = compose(story(reason=Reason.REPEATED, now=T + hours * 3600 * NS))

    assert message.note == note


def test_a_problem_that_comes_back_says_when_it_had_been_resolved():
    message = compose(story(reason=Reason.REGRESSED, about={"resolved_at": T - 86_400 * NS}))

    assert message.note == "Again, after it was resolved on 2026-11-24 11:06 UTC."


def test_a_resolution_says_so_first_and_does_not_say_failed():
    message = compose(story(reason=Reason.RESOLVED, now=T + 600 * NS, about={"resolved_at": T + 540 * NS}))

    assert message.headline == "RESOLVED · monthly_run / fetch_data: ConnectionError: VPN is down"
    assert message.note == "Resolved 11:15 UTC, 9 min after it began."


def test_an_edit_after_the_resolution_still_says_resolved():
    message = compose(story(reason=Reason.REPEATED, about={"state": IncidentState.RESOLVED, "resolved_at": T}))

    assert (message.resolved, message.headline.split(" ")[0]) == (True, "RESOLVED")


@pytest.mark.parametrize("reason", [Reason.TEST, Reason.REPEATED])
def test_a_test_is_marked_and_says_that_nobody_needs_to_act_also_when_it_is_edited(reason):
    message = compose(story(record(**{names.TEST_ALERT: True}), reason=reason))

    assert message.headline.startswith("[TEST] ")
    assert message.subject.startswith("[TEST] ")
    assert message.note == "This is a test of the alert path. Nobody needs to act."


def test_what_is_told_late_says_so_with_both_times():
    message = compose(story(now=T + 4 * 3600 * NS, late_since=T))

    assert message.late == (
        "Late: due 2026-11-25 11:06 UTC, told 2026-11-25 15:06 UTC, 4 h later, "
        "because this channel could not be reached."
    )
    assert payload_of(message).blocks[0]["text"]["text"].startswith("Late: due 2026-11-25 11:06 UTC")
    assert mail_of(message, "a@example.org", "example.org").text.startswith("Late: due")


def test_the_subject_does_not_change_with_count_severity_state_or_the_latest_record():
    later = record("something else", severity=Severity.CRITICAL)

    subjects = {
        compose(story()).subject,
        compose(story(later, reason=Reason.ESCALATED, count=90)).subject,
        compose(story(reason=Reason.RESOLVED, about={"state": IncidentState.RESOLVED})).subject,
    }

    assert subjects == {"[prod] monthly_run / fetch_data: ConnectionError: VPN is down"}


# ── for those who only need to know


def test_readers_hear_effect_validity_who_is_on_it_and_when_there_will_be_news():
    message = compose(story(duty=Duty.INFORM, about={"owner": "Infrastructure"}, also_told=("Infrastructure",)))

    assert message.headline == "Problem in monthly run: New input data could not be read as planned."
    assert dict(message.paragraphs) == {
        "What it means": "This run's results may be late or incomplete.",
        "What is still valid": "Results of earlier runs are not changed by this.",
        "Who is on it": "Infrastructure is responsible and has been told.",
        "When you hear more": "When it is solved or gets worse. Until then it is still open.",
    }


def test_the_policys_words_for_the_effect_go_first():
    effect = "This month's forecasts are held back. Last month's stay valid."

    message = compose(story(duty=Duty.INFORM, about={"effect": effect}))

    assert message.headline == f"Problem in monthly run: {effect}"
    assert "What is still valid" not in dict(message.paragraphs)


def test_all_that_readers_need_is_in_the_slack_message():
    payload = payload_of(compose(story(duty=Duty.INFORM)))

    shown = "\n".join(block["text"]["text"] for block in payload.blocks if block["type"] == "section")
    assert len(payload.blocks) <= 3
    for words in ("could not be read", "may be late", "not changed", "Nobody has taken it on", "solved or gets worse"):
        assert words in shown


@pytest.mark.parametrize("reason", list(Reason))
def test_readers_see_no_path_trace_type_function_logger_or_code(reason):
    sample = record("see /srv/models/secret_layout/fetch.py", **FAILED)
    told = story(
        sample,
        duty=Duty.INFORM,
        reason=reason,
        log_tail=(sample,),
        stage_path=("monthly_run", "fetch_data"),
        run_facts=(("Command", "python /srv/main.py"),),
        about={"owner": "/home/kim", "acknowledged_by": "kim@example.org", "run_ids": (TRACE,)},
    )

    words = everything(compose(told)).casefold()

    for leak in (
        "/srv",
        "/home",
        "secret_layout",
        ".py",
        TRACE,
        SPAN,
        "connectionerror",
        "requests",
        "vpn",
        "traceback",
    ):
        assert leak not in words
    assert "monthly_run" not in words


@pytest.mark.parametrize(
    "name", ["/usr/bin/run.py", "run.py", "4bf92f3577b34da6a3ce929d0e0e4736", "a\nb/c", "C:\\x", ""]
)
def test_a_pipeline_named_by_a_path_or_an_id_is_just_a_pipeline_to_readers(name):
    message = compose(story(record(**{names.PIPELINE_NAME: name, names.SERVICE_NAME: name}), duty=Duty.INFORM))

    assert message.headline.startswith(("Problem in a pipeline: ", "Problem in unknown: "))


# ── any record at all

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
    import time

    trace = "Traceback (most recent call last):\n" + '  File "x.py", line 1, in f\n' * 40_000 + "ValueError: end"
    sample = record(trace, **{names.EXCEPTION_TYPE: "ValueError", names.EXCEPTION_STACKTRACE: trace})
    started = time.process_time()

    message = compose(story(sample, log_tail=(sample,) * 50))

    assert time.process_time() - started < 2
    assert len(message.stacktrace) < 5_000
