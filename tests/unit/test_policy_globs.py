"""Globs mean what a plain regular expression would, and never take long."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_bridge.policy.globs import Glob


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("*falls back to*", "store away, falls back to cache", True),
        ("falls back to*", "store away, falls back to cache", False),
        ("EarlyStopping", "earlystopping", False),
        ("[1] of ?", "[1] of 3", True),
        ("a.c", "abc", False),
        ("a*a", "a", False),
        ("*", "", True),
        ("?", "", False),
        ("one*", "one\ntwo", True),
    ],
)
def test_only_stars_and_question_marks_are_special(pattern, text, fits):
    assert Glob(pattern).matches(text) is fits


@given(st.text("ab?*", max_size=8), st.text("ab", max_size=10))
def test_a_glob_fits_what_a_backtracking_matcher_would_find(pattern, text):
    slow = "".join({"*": ".*", "?": "."}.get(char, char) for char in pattern)

    assert Glob(pattern).matches(text) == (re.fullmatch(slow, text, re.DOTALL) is not None)


@pytest.mark.parametrize("pattern", ["*a" * 100 + "b", "*?a" * 100 + "b", "*" * 400 + "b", "?" * 400 + "*b"])
def test_no_glob_makes_a_long_text_slow(pattern):
    glob, text = Glob(pattern), "a" * 4_096
    started = time.process_time()

    for _ in range(10):
        assert glob.matches(text) is False

    assert time.process_time() - started < 0.5
