"""One bad line per rule of validation, and the exact diagnostic it gets."""

from datetime import date
from pathlib import Path

import pytest

from alert_bridge.errors import Diagnostic, PolicyError
from alert_bridge.policy.load import load
from tests.unit.policy_mistakes import GOOD, MISTAKES

TODAY = date(2026, 11, 25)


def diagnostics(tmp_path: Path, text: str) -> tuple[Diagnostic, ...]:
    path = tmp_path / "alerting.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError) as caught:
        load(path, today=TODAY)
    return caught.value.diagnostics


def told(diagnostic: Diagnostic) -> str:
    return str(diagnostic).split(": ", 1)[1]


def places(marked: str) -> list[tuple[int, int]]:
    """Line and column of every § in a text, as if the marks were not there."""
    return [
        (number, column - index + 1)
        for number, line in enumerate(marked.split("\n"), start=1)
        for index, column in enumerate(at for at, char in enumerate(line) if char == "§")
    ]


def test_the_file_that_the_bad_ones_are_made_from_is_good(tmp_path):
    path = tmp_path / "alerting.yaml"
    path.write_text(GOOD)

    policy = load(path, today=TODAY)

    assert policy.warnings == ()


@pytest.mark.parametrize(("good", "bad", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_b23_a_mistake_is_named_with_its_line_and_column_and_what_was_meant(tmp_path, good, bad, expected):
    assert good in GOOD
    marked = GOOD.replace(good, bad, 1)

    found = diagnostics(tmp_path, marked.replace("§", ""))

    assert [(at.line, at.column) for at in found] == places(marked)
    assert [told(at) for at in found] == expected


def test_b23_a_rule_for_somebody_whom_no_route_tells_is_named(tmp_path):
    marked = GOOD.replace("infra, outreach]}", "infra]}\n  - {channel: wandb, audiences: [outreach]}").replace(
        "set: {severity: error}", "set: {audiences: [mdd, §outreach]}"
    )

    found = diagnostics(tmp_path, marked.replace("§", ""))

    assert [(at.line, at.column) for at in found] == places(marked)
    assert [told(at) for at in found] == [
        "no slack or email route names outreach: this tells nobody (add it to a route first)"
    ]


def test_b23_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path):
    text = GOOD
    for good, bad in (
        ("version: 1", "version: 3"),
        ("@U123", "@kim"),
        ("slack, min", "slak, min"),
        ("error}}", "eror}}"),
    ):
        text = text.replace(good, bad, 1)

    found = diagnostics(tmp_path, text)

    assert [at.line for at in found] == [1, 6, 8, 11]


def test_a_thousand_mistakes_are_told_fifty_at_a_time(tmp_path):
    text = GOOD + "  - {match: {}, set: {severity: error}}\n" * 1_000

    assert len(diagnostics(tmp_path, text)) == 50
