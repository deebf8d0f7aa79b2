"""Files that are not policies, by accident or on purpose: one diagnostic each, quickly."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alert_bridge.errors import Diagnostic, PolicyError
from alert_bridge.policy.load import load
from alert_bridge.policy.source import MAX_BYTES, read_source

EXAMPLE = Path(__file__).parents[2] / "examples" / "monthly_run" / "alerting.yaml"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(20)
)

HOSTILE = {
    "empty": (b"", "1:1: the file is empty (`pipeline-alerts init` writes one to start from)"),
    "only comments": (b"# nothing\n", "1:1: the file is empty (`pipeline-alerts init` writes one to start from)"),
    "alias bomb": (BOMB.encode(), "1:4: anchors (&name, *name) are not supported (write the value out)"),
    "alias": (b"version: *one\n", "1:10: aliases (&name, *name) are not supported (write the value out)"),
    "too large": (b"#" * (MAX_BYTES + 1), f"1:1: the file is larger than {MAX_BYTES:,} bytes (is it really a policy?)"),
    "too deep": (b"a: " + b"[" * 5_000, "1:15: this is nested more than 12 deep"),
    "Latin-1": (b"version: 1\nname: Fj\xf8rd\n", "2:9: byte 0xf8 is not UTF-8 (save the file as UTF-8)"),
    "tab": (b"version: 1\naudiences:\n\tmdd: {}\n", "3:1: a tab is not allowed as indentation (indent with spaces)"),
    "NUL": (b"version: 1\nroutes: \x00\n", "2:9: a character that YAML does not allow (code 0x00) (delete it)"),
    "two documents": (
        b"version: 1\n---\nversion: 1\n",
        "2:1: a second document starts here (keep one `---` at most, at the top)",
    ),
    "unquoted @": (
        b"slack: @U123\n",
        "1:8: found character '@' that cannot start any token (put the value in quotes: \"@U123\")",
    ),
    "a text": (b"hello\n", "1:1: a mapping (key: value) is expected here"),
    "a list": (b"- hello\n", "1:1: a mapping (key: value) is expected here"),
}


@pytest.mark.parametrize(("content", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_gets_one_diagnostic(tmp_path, content, expected):
    path = tmp_path / "alerting.yaml"
    path.write_bytes(content)

    with pytest.raises(PolicyError) as caught:
        load(path)

    assert [str(found) for found in caught.value.diagnostics] == [f"{path}:{expected}"]


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!secret", "!!binary"])
def test_a_tag_is_named_and_never_obeyed(tmp_path, tag):
    path = tmp_path / "alerting.yaml"
    path.write_text(f"version: {tag} [exit 1]\n")

    source, _ = read_source(path)

    assert [fault.line for fault in source.faults] == [1]
    assert "is not supported" in source.faults[0].message


def test_a_file_that_is_not_there_says_how_to_get_one(tmp_path):
    with pytest.raises(PolicyError, match=r"there is no such file \(`pipeline-alerts init` writes one to start from\)"):
        load(tmp_path / "alerting.yaml")


def test_a_pipe_does_not_hang_the_bridge(tmp_path):
    pipe = tmp_path / "alerting.yaml"
    os.mkfifo(pipe)

    with pytest.raises(PolicyError, match="this is not a file"):
        load(pipe)


def test_a_folder_is_not_a_policy(tmp_path):
    with pytest.raises(PolicyError, match="this is not a file"):
        load(tmp_path)


def test_the_largest_file_that_is_taken_is_read_in_seconds(tmp_path: Path):
    path = tmp_path / "alerting.yaml"
    line = '  - {match: {body: "*x*"}, set: {severity: INFO}}\n'
    path.write_text(("rules:\n" + line * (MAX_BYTES // len(line)))[:MAX_BYTES].rpartition("\n")[0])
    started = time.process_time()

    with pytest.raises(PolicyError):
        load(path)

    assert time.process_time() - started < 20


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path):
    path = tmp_path / "alerting.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: 1\r\nroutes: []\r\n")

    source, _ = read_source(path)

    assert source.data == {"version": "1", "routes": []}
    assert source.values["version",] == (1, 10)


def test_what_yaml_would_turn_into_something_else_stays_as_it_is_written(tmp_path):
    path = tmp_path / "alerting.yaml"
    path.write_text("{country: NO, time: 1:30, month: 2026-11, code: 0137, nothing: ~}")

    source, _ = read_source(path)

    assert source.data == {"country": "NO", "time": "1:30", "month": "2026-11", "code": "0137", "nothing": None}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.integers(0, 3_000),
    length=st.integers(0, 40),
    inserted=st.one_of(
        st.text(max_size=12), st.sampled_from(["{", "]", ": ", "\n- ", "&a ", "<<: ", "!!int ", "? ", "~"])
    ),
)
def test_a_policy_with_any_piece_replaced_is_read_or_refused_but_never_breaks_the_reader(
    tmp_path, start, length, inserted
):
    path = tmp_path / "alerting.yaml"
    text = EXAMPLE.read_text(encoding="utf-8")
    changed = text[:start] + inserted + text[start + length :]
    path.write_bytes(changed.encode("utf-8", "surrogatepass"))

    places = [(found.line, found.column) for found in mistakes(path)]
    assert all(column >= 1 and 1 <= line <= len(changed.split("\n")) + 1 for line, column in places)


def mistakes(path: Path) -> tuple[Diagnostic, ...]:
    try:
        load(path)
    except PolicyError as error:
        return error.diagnostics
    return ()
