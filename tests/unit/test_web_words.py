"""How values, log lines and stack traces read on a page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_bridge.model import Record, Severity
from alert_bridge.web import stacktrace
from alert_bridge.web.bars import HEIGHT, bars
from alert_bridge.web.loglines import HEAD_CHARS, NEAR_AFTER, NEAR_BEFORE, REST_CHARS, log_lines, log_view
from alert_bridge.web.wording import ago, bytes_in_words, duration, first_line, is_web_link, iso, visible

SECOND = 10**9


def record(uid: str = "u", body: str = "x", **attributes) -> Record:
    return Record(uid, 0, 0, Severity.ERROR, "ERROR", body, attributes=attributes)


@pytest.mark.parametrize(
    ("nanoseconds", "words"),
    [
        (830_000, "830 µs"),
        (40_000_000, "40 ms"),
        (12_400_000_000, "12.4 s"),
        (200 * SECOND, "3 min 20 s"),
        (7500 * SECOND, "2 h 5 min"),
        (100 * 3600 * SECOND, "4 d 4 h"),
        (-5, "0 µs"),
    ],
)
def test_a_duration_has_two_parts_at_most(nanoseconds, words):
    assert duration(nanoseconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (5, "just now"),
        (720, "12 min ago"),
        (7200, "2 h ago"),
        (300_000, "3 days ago"),
        (-20, "in 20 s"),
        (-180, "in 3 min"),
    ],
)
def test_a_moment_is_said_relative_to_now(seconds, words):
    assert ago(0, seconds * SECOND) == words


def test_times_are_utc_to_the_millisecond():
    assert iso(1_764_100_383_123_456_789) == "2025-11-25T19:53:03.123Z"


def test_memory_is_said_in_powers_of_1024():
    assert bytes_in_words(31_900_000_000) == "29.7 GiB"


def test_characters_that_reorder_or_hide_others_are_shown_as_what_they_are():
    assert visible("safe\u202egnp.exe\x00\x1b[31mred\x1b[0m\r\n\ud800") == "safe⟨U+202E⟩gnp.exe␀red\n\ufffd"


@given(st.text())
def test_no_text_keeps_a_character_that_could_mislead_or_break_the_page(text):
    shown = visible(text)

    assert not set(shown) & {"\x00", "\x1b", "\x7f", "\u202e", "\u2066", "\x9b"}
    shown.encode("utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "//host/x",
        "http:///nohost",
        "http://[",
        "wiki",
        "",
    ],
)
def test_what_a_browser_should_not_follow_is_no_link(text):
    assert not is_web_link(text)


def test_a_web_address_is_a_link():
    assert is_web_link("https://wiki.example.org/runbook?a=1#b")


def test_a_traceback_in_one_line_is_its_last_line():
    assert first_line('Traceback (most recent call last):\n  File "a.py", line 1\nValueError: no\n') == "ValueError: no"


def test_a_record_of_many_lines_shows_the_first_and_folds_the_rest():
    (line,) = log_lines([record(body="head\nsecond\nthird")])

    assert (line.head, line.rest, line.rest_label) == ("head", "second\nthird", "2 lines")


def test_a_stack_trace_folds_under_its_line():
    (line,) = log_lines([record(body="failed", **{"exception.stacktrace": "Traceback\nValueError: x"})])

    assert (line.head, line.rest_label) == ("failed", "stack trace, 2 lines")


def test_a_line_of_a_megabyte_is_cut_and_says_by_how_much():
    (line,) = log_lines([record(body="x" * 1_000_000 + "\n" + "y" * 1_000_000)])

    assert len(line.head) == HEAD_CHARS
    assert len(line.rest) == REST_CHARS
    assert line.left_out == 2_000_000 - HEAD_CHARS - REST_CHARS


def test_what_lies_near_the_failing_line_is_open_and_the_rest_is_folded():
    view = log_view(log_lines([record(uid=str(number)) for number in range(500)], focus="100"))

    assert [len(part) for part in (view.earlier, view.near, view.later)] == [
        100 - NEAR_BEFORE,
        NEAR_BEFORE + 1 + NEAR_AFTER,
        500 - 101 - NEAR_AFTER,
    ]
    assert view.near[NEAR_BEFORE].is_focus


def test_own_frames_are_told_from_library_frames_and_the_exception_from_both():
    text = (
        "Traceback (most recent call last):\n"
        '  File "/srv/run/model.py", line 8, in fit\n    frame = fetch()\n            ^^^^^^^\n'
        '  File "/venv/lib/python3.11/site-packages/requests/api.py", line 1, in get\n    return send()\n'
        '  File "/venv/lib/python3.11/site-packages/requests/adapters.py", line 2, in send\n    raise X\n'
        "requests.exceptions.ConnectionError: refused\n"
    )

    assert [(part.kind, part.frames) for part in stacktrace.parts(text)] == [
        ("text", 0),
        ("own", 1),
        ("library", 2),
        ("exception", 0),
    ]


@given(st.text(max_size=400))
def test_no_line_of_a_stack_trace_is_lost(text):
    shown = "\n".join(part.text for part in stacktrace.parts(text))

    assert shown == visible(text).strip("\n")


def test_of_a_huge_stack_trace_the_end_is_kept():
    parts = stacktrace.parts("x\n" * 100_000 + "ValueError: the cause")

    assert parts[-1].text.endswith("ValueError: the cause")
    assert "characters before this" in parts[0].text


@pytest.mark.parametrize("gap", ["… [274,051 characters left out] …", "… 8,000 characters before this"])
def test_what_is_left_of_a_line_behind_a_gap_is_no_exception(gap):
    parts = stacktrace.parts(f'{gap}\nth/module_887.py", line 887, in step\n    step()\nRecursionError: too deep')

    assert [part.text for part in parts if part.kind == "exception"] == ["RecursionError: too deep"]


def test_a_single_event_beside_a_storm_is_still_seen():
    small, storm, none = bars([("2026-11-23", 1), ("2026-11-24", 10_000), ("2026-11-25", 0)])

    assert (small.height, storm.height, none.height) == (3, HEIGHT, 1)
