"""Log lines without a traceback: the same call gives the same problem, and error codes tell problems apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_bridge.fingerprint import Said, of
from alert_bridge.fingerprint.aliases import Aliases
from alert_bridge.fingerprint.mask import forget, mask


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Fetched 24 series of 60 months", "Fetched 1 series of 12 months"),
        ("connect to db-1.example.org:5432 failed", "connect to 10.0.0.7:5433 failed"),
        ("cannot open '/data/a b.csv'", "cannot open '/srv/x.csv'"),
        ("took 12 ms for /api/v1/runs", "took 3 s for /api/v2/runs"),
        ("drift in ['a', 'b']", "drift in ['a']"),
        ("run 7f3a91c2d4e5 ended at Mon Jan 12 2026", "run 00aa91c2d4e5 ended at Tue Feb 3 2026"),
        ("model <Model object at 0x7f14bf40bf40> lost", "model <Model object at 0x7f4c3fda5ac0> lost"),
        ("user ann@example.org refused", "user bob.b@example.com refused"),
        ("postgres:5432 refused the connection", "replica:5432 refused the connection"),
        ("cannot load ./model.pt: truncated", "cannot load ../old/model.pt: truncated"),
        ("cannot load models/small.pt: truncated", "cannot load models/large.ckpt: truncated"),
        ("the query returned 17 rows, not one", "the query returned 18 rows, not one"),
        ("answered with status 200 in 3 s", "answered with status 204 in 4 s"),
        ("key pressed: keycode=3 repeat=0", "key pressed: keycode=4 repeat=1"),
        ("ids " + "7, " * 300 + "were lost", "ids " + "1234567, " * 300 + "were lost"),
    ],
)
def test_lines_that_differ_in_data_only_are_one_problem(one: str, other: str) -> None:
    assert mask(one) == mask(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("model ended with exit code 1", "model ended with exit code 137"),
        ("store answered HTTP 404", "store answered HTTP 503"),
        ("[Errno 2] no file", "[Errno 28] no file"),
        ("upload refused", "upload delayed"),
        ("killed by signal 9", "killed by signal 15"),
        ("step ended with exit code 137: killed", "step ended with exit code 1: killed"),
        ("worker exited with 2", "worker exited with 3"),
        ("[WinError 10054] the connection", "[WinError 10061] the connection"),
        ("answer {'status': 404, 'took': 3}", "answer {'status': 503, 'took': 4}"),
        ("the store returned 404", "the store returned 503"),
        ("exit status 0", "exit status 200"),
        ("job is in state 'FAILED'", "job is in state 'LOST'"),
        ("broadcast android.intent.action.SCREEN_ON", "broadcast android.intent.action.SCREEN_OFF"),
        ("load_path=/data/a.csv is missing", "save_path=/data/a.csv is missing"),
    ],
)
def test_lines_that_differ_in_words_or_error_codes_are_two_problems(one: str, other: str) -> None:
    assert mask(one) != mask(other)


def test_only_the_first_line_counts() -> None:
    assert mask("no space left\non device 7") == mask("no space left")


@pytest.mark.parametrize("before", ["\n", "  \n\n", "==========\n", "+--------+\n", "ERROR:\n"])
def test_what_only_frames_or_heads_a_text_hides_no_problem(before: str) -> None:
    assert mask(f"{before}no space left\nat all") != mask(f"{before}no route to host\nat all")
    assert "no space left" in mask(f"{before}no space left\nat all")


def test_a_malformed_call_groups_by_its_template() -> None:
    one = of(Said(body="%d rows (arguments: 'x')", template="%d rows are left over", logger="etl"))
    other = of(Said(body="%d rows (arguments: None)", template="%d rows are left over", logger="etl"))

    assert one == other
    assert one.rung == "template"


def test_a_template_that_says_nothing_leaves_it_to_the_text() -> None:
    disk = of(Said(body="disk is full", template="%s", logger="etl"))
    network = of(Said(body="network is down", template="%s", logger="etl"))

    assert disk.value != network.value


def test_a_body_formatted_before_logging_is_masked() -> None:
    one = of(Said(body="row 17 is bad", template="row 17 is bad", logger="etl"))
    other = of(Said(body="row 18 is bad", template="row 18 is bad", logger="etl"))

    assert one.value == other.value


def test_a_bare_traceback_as_the_message_is_the_problem_of_that_traceback() -> None:
    text = 'Traceback (most recent call last):\n  File "/app/a.py", line 1, in f\n    g(x)\nValueError: bad\n'

    assert of(Said(body=text)).value == of(Said(body="it failed", stacktrace=text)).value


def test_a_traceback_quoted_in_a_message_does_not_become_the_problem() -> None:
    quoted = (
        'child said:\nTraceback (most recent call last):\n  File "/app/a.py", line 1, in f\n    g(x)\nValueError: bad'
    )

    told = of(Said(body=quoted, logger="parent"))

    assert told.rung == "program"
    assert "ValueError" not in str(told.components)


def test_a_traceback_inside_an_exceptions_message_does_not_leak_into_its_problem() -> None:
    quoted = 'Traceback (most recent call last):\n  File "/app/a.py", line {}, in f\n    g(x)\nKeyError: {}'

    one = of(Said(exception_type="app.RemoteError", exception_message="the far side says\n" + quoted.format(1, "'a'")))
    other = of(
        Said(exception_type="app.RemoteError", exception_message="the far side says\n" + quoted.format(9, "'b'"))
    )

    assert one == other
    assert "KeyError" not in str(one.components)


def test_a_message_that_is_nothing_but_a_traceback_is_told_by_its_last_line() -> None:
    quoted = 'Traceback (most recent call last):\n  File "/app/a.py", line 1, in f\n    g(x)\n{}'

    one = of(Said(exception_type="app.RemoteError", exception_message=quoted.format("KeyError: 'a'")))
    other = of(Said(exception_type="app.RemoteError", exception_message=quoted.format("OSError: [Errno 28] full")))

    assert one.value != other.value


def test_a_users_own_fingerprint_wins() -> None:
    assert of(Said(own="rates", body="a")).value == of(Said(own="rates", body="b", stacktrace="c")).value


def test_another_pipeline_or_environment_is_another_problem() -> None:
    assert of(Said(scope="monthly/prod", body="a b c")).value != of(Said(scope="monthly/test", body="a b c")).value


USERS = ["cyrus", "news", "test", "root", "ann", "bob", "eve"]


def test_a_plain_word_becomes_a_variable_once_enough_were_seen() -> None:
    aliases = Aliases()
    lines = [f"session opened for user {name} by daemon" for name in USERS]

    problems = {aliases.add(line) for line in lines} and {aliases.problem_of(line) for line in lines}

    assert len(problems) == 1


def test_two_verbs_in_one_place_stay_two_problems() -> None:
    aliases = Aliases()
    for line in ("the upload was refused today", "the upload was delayed today"):
        aliases.add(line)

    assert aliases.problem_of("the upload was refused today") != aliases.problem_of("the upload was delayed today")


@given(st.permutations([f"quota of user {name} is used up" for name in USERS] + ["disk is full", "disk is slow"]))
def test_the_order_of_arrival_changes_no_alias(lines: list[str]) -> None:
    ordered, shuffled = Aliases(), Aliases()
    for line in sorted(lines):
        ordered.add(line)
    for line in lines:
        shuffled.add(line)

    assert {line: shuffled.problem_of(line) for line in lines} == {line: ordered.problem_of(line) for line in lines}


MIXED = st.one_of(st.text(max_size=3000), st.text("0173 :=.,[]()'\"aZ/-\u0663", max_size=200))


@given(MIXED)
def test_what_was_seen_before_changes_no_answer(text: str) -> None:
    forget()
    cold = mask(text)
    forget()
    mask(text.translate(str.maketrans("1370", "8080")))  # the same words with other numbers
    mask(text.upper())

    assert mask(text) == cold
