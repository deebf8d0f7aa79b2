"""A journal's line becomes what a person and a receiver should read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from instrumentation.sender.sources import Source, severity_number
from instrumentation.sender.translation import translate

SOURCE = Source.of({"service.name": "monthly_run"}, "a1b2", 42)


def line(**changes: Any) -> dict[str, Any]:
    return {
        "k": "log",
        "u": 7,
        "t": 1_764_100_000_123_456_789,
        "n": 40,
        "l": "ERROR",
        "g": "views",
        "m": "boom",
        **changes,
    }


def attributes_of(given: dict[str, Any], source: Source = SOURCE) -> dict[str, Any]:
    """What is sent: decoded from the wire."""
    record = LogRecord.FromString(translate(given, source).message)
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in record.attributes}


def test_the_parent_formats_and_keeps_the_template() -> None:
    given = line(m="%s rows of %s", a=[3, "cm"])

    assert translate(given, SOURCE).body == "3 rows of cm"
    assert attributes_of(given) == {"pipeline.log.template": "%s rows of %s", "log.record.uid": "a1b2-7"}


@pytest.mark.parametrize(
    ("template", "arguments"), [("%d rows", ["x"]), ("%s", [1, 2]), ("%(a)s", [1]), ("100%", [1]), ("%c", [-1])]
)
def test_a_malformed_call_keeps_both_and_says_so(template: str, arguments: list[Any]) -> None:
    entry = translate(line(m=template, a=arguments), SOURCE)

    assert entry.body.startswith(template)
    assert "malformed" in entry.body
    assert json.loads(str(entry.attributes["pipeline.log.arguments"])) == arguments
    assert entry.attributes["pipeline.log.template"] == template


def test_place_exception_and_extras_become_attributes() -> None:
    given = line(
        f="/home/kim/p/main.py", o="train", i=12, h="MainThread", st="train",
        e={"t": "ValueError", "m": "token=abc123", "s": "Traceback\nValueError: token=abc123"},
        d={"pipeline.audience": "outreach", "password": "x", "code.line.number": 99},
    )  # fmt: skip

    assert attributes_of(given) == {
        "log.record.uid": "a1b2-7",
        "pipeline.log.template": "boom",
        "code.file.path": "~/p/main.py",
        "code.function.name": "train",
        "code.line.number": 12,
        "thread.name": "MainThread",
        "cicd.pipeline.task.name": "train",
        "exception.type": "ValueError",
        "exception.message": "token=[redacted]",
        "exception.stacktrace": "Traceback\nValueError: token=[redacted]",
        "pipeline.audience": "outreach",
        "password": "[redacted]",
    }


def test_nothing_secret_is_left_in_message_or_log_line() -> None:
    entry = translate(line(m="connect %s", a=["postgres://kim:s3cret@db/x"]), SOURCE)

    assert b"s3cret" not in entry.message
    assert "s3cret" not in entry.log_line
    assert LogRecord.FromString(entry.message).body.string_value == "connect postgres://kim:[redacted]@db/x"


def test_errors_and_events_are_urgent_and_others_are_not() -> None:
    assert translate(line(n=40), SOURCE).is_urgent
    assert translate(line(n=20, ev="pipeline.stage.start"), SOURCE).is_urgent
    assert not translate(line(n=30), SOURCE).is_urgent


def test_an_event_is_named_on_the_wire_also_without_attributes() -> None:
    assert LogRecord.FromString(translate(line(ev="pipeline.run.start"), SOURCE).message).event_name == (
        "pipeline.run.start"
    )


@pytest.mark.parametrize(
    ("level", "number"), [(0, 1), (5, 1), (10, 5), (20, 9), (25, 9), (30, 13), (40, 17), (45, 17), (50, 21), (99, 21)]
)
def test_a_level_reads_as_the_range_it_falls_in(level: int, number: int) -> None:
    assert severity_number(level) == number


def test_records_in_a_stage_of_a_model_carry_its_name() -> None:
    source = Source.of({}, "c3", 1)
    started = line(ev="pipeline.stage.start", st="heron", sp="aa", d={"pipeline.model.name": "heron"})

    translate(started, source)

    assert attributes_of(line(st="heron", sp="aa"), source)["pipeline.model.name"] == "heron"
    assert attributes_of(line(), source)["pipeline.model.name"] == "heron"


def test_a_record_from_a_known_place_carries_what_its_process_told_meanwhile() -> None:
    source = Source.of({}, "c5", 1)
    opened = [f"https://wandb.test/kim/p/runs/{name}" for name in ("a1", "b2")]
    told = [attributes_of(line(), source).get("pipeline.wandb.run.url")]

    for address in opened:
        translate(line(d={"pipeline.wandb.run.url": address}), source)
        told.append(attributes_of(line(), source)["pipeline.wandb.run.url"])

    assert told == [None, *opened]


def test_a_process_of_two_models_names_one_only_where_it_is_sure() -> None:
    source = Source.of({}, "c4", 1)
    for model, span in (("heron", "aa"), ("oak", "bb")):
        translate(line(ev="pipeline.stage.start", st=model, sp=span, d={"pipeline.model.name": model}), source)

    assert attributes_of(line(sp="aa"), source)["pipeline.model.name"] == "heron"
    assert attributes_of(line(sp="bb"), source)["pipeline.model.name"] == "oak"
    assert "pipeline.model.name" not in attributes_of(line(), source)


def test_the_log_line_is_json_with_a_time_that_sorts() -> None:
    shown = json.loads(translate(line(tr="0af7651916cd43dd8448eb211c80319c", sp="b7ad6b7169203331"), SOURCE).log_line)

    assert shown["time"] == "2025-11-25T19:46:40.123456Z"
    assert (shown["level"], shown["logger"], shown["message"], shown["pid"]) == ("ERROR", "views", "boom", 42)
    assert shown["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


def test_a_long_text_loses_its_middle_and_says_how_much() -> None:
    body = translate(line(m="a" * 1_000_000 + "end"), SOURCE).body

    assert len(body) < 300_000
    assert body.endswith("end")
    assert "characters left out" in body


@pytest.mark.parametrize(
    "broken", [{"k": "log"}, {"k": "what"}, line(n="x"), line(t=None), line(m=None, a=[1]), {"k": "span"}]
)
def test_a_line_that_is_none_of_ours_is_an_error_of_a_known_kind(broken: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        translate(broken, SOURCE)
