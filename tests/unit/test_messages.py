"""Messages for those who act: what failed where, how often, whose it is, its log, its stack trace, its links."""

from __future__ import annotations

import dataclasses
import re

from alert_bridge.messages import compose
from alert_bridge.messages.text import first_words
from instrumentation import attributes as names
from tests.servers.stories import FAILED, NS, SPAN, TRACE, TRACEBACK, T, record, story


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


def test_a_dict_that_was_logged_as_message_reads_as_a_sentence():
    body = "{'calm_harbor data alert 3': ' alarm: feature delta_zeroes; offender: X, threshold: 0.01'}"

    assert first_words(body) == "calm_harbor data alert 3: alarm: feature delta_zeroes; offender: X, threshold: 0.01"


def test_colours_and_boxes_are_cleaned_away():
    body = "\x1b[31m╔══════════╗\n║ WARNING  ║\n║ Disk is nearly full ║\n╚══════════╝\x1b[0m"

    assert first_words(body) == "WARNING: Disk is nearly full"
    assert first_words("********\n* No space *\n********") == "No space"
