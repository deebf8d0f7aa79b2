"""`explain`: which problem a record is, and why; and `--jsonl`, which answers whatever it is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from alert_bridge.cli.explain import command
from alert_bridge.fingerprint import Said, of

HEADER = "Traceback (most recent call last):"
TRACEBACK = f'{HEADER}\n  File "/app/a.py", line 1, in f\n    g(x)\nValueError: bad 3\n'


def explained(*lines: bytes | dict[str, object]) -> tuple[Result, list[dict[str, object]]]:
    text = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    result = CliRunner().invoke(command, ["--jsonl"], input=text)
    return result, [json.loads(line) for line in result.stdout.splitlines()]


def test_records_are_answered_in_order_with_fingerprint_and_components():
    result, (one, two, three) = explained(
        {"body": "cannot load 3 rows", "logger": "etl"},
        {"body": "it failed", "exception.stacktrace": TRACEBACK, "code.line.number": 17},
        {"body": "cannot load 4 rows", "logger": "etl"},
    )

    assert result.exit_code == 0
    assert one["fingerprint"] == three["fingerprint"] == of(Said(body="cannot load 3 rows", logger="etl")).value
    assert ["text", "cannot load * rows"] in one["components"]
    assert two["fingerprint"] == of(Said(stacktrace=TRACEBACK)).value


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"body": None, "exception.type": None, "code.file.path": None},
        {"body": 5, "exception.type": ["a"], "exception.message": {"a": 1}, "template": True, "logger": 1.5},
        {"body": "\ud800 \x00 \u202e", "program": "\x1b[31m"},
        {"body": "x" * 2_000_000, "exception.stacktrace": HEADER + "\n" + "  File" * 300_000},
        {"unknown": "field"},
    ],
    ids=["empty", "nulls", "wrong types", "odd characters", "huge", "unknown"],
)
def test_an_odd_record_is_answered_like_any_other(record):
    result, documents = explained(record)

    assert (result.exit_code, len(documents)) == (0, 1)
    assert documents[0]["fingerprint"].startswith("v1-")


@pytest.mark.parametrize(
    "line",
    [
        b"not JSON",
        b"[1, 2]",
        b"null",
        b'"text"',
        b"17",
        b'{"body": "cut',
        b"[" * 100_000,
        b'{"body":' + b"9" * 5000 + b"}",
    ],
    ids=["words", "list", "null", "text", "number", "cut", "deep", "long number"],
)
def test_a_line_that_is_no_record_is_answered_by_its_error_and_the_others_as_ever(line):
    result, (before, bad, after) = explained({"body": "a"}, line, {"body": "a"})

    assert result.exit_code == 1
    assert set(bad) == {"error"}
    assert bad["error"].startswith("line 2 is not ")
    assert before == after
    assert "1 of 3 lines could not be read" in result.stderr


def test_bytes_that_are_no_text_are_read_as_far_as_they_are():
    result, (document,) = explained(b'{"body": "caf\xe9 7 is shut"}')

    assert result.exit_code == 0
    assert ["text", "caf\ufffd * is shut"] in document["components"]


def test_two_files_are_compared_and_the_part_that_differs_is_shown(tmp_path: Path):
    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    one.write_text(TRACEBACK)
    same.write_text(TRACEBACK.replace("/app", "/srv").replace("bad 3", "bad 4"))
    other.write_text(TRACEBACK.replace("g(x)", "h(x)"))

    equal = CliRunner().invoke(command, [str(one), str(same)])
    different = CliRunner().invoke(command, [str(one), str(other)])

    assert (equal.exit_code, different.exit_code) == (0, 1)
    assert equal.output.startswith("The same problem:")
    assert "a.py:f:h(x)" in different.output
