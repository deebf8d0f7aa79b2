"""A record's line has everything that the record has, in the journal's format."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest

from instrumentation import attributes
from instrumentation.child._pipeline_alerts_child import names, records
from instrumentation.child._pipeline_alerts_child.context import Context, parse_traceparent
from instrumentation.child._pipeline_alerts_child.records import Encoder


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("no")


TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def encoder() -> Encoder:
    return Encoder(Context({}))


def made(message: object, *args: object, **more: Any) -> logging.LogRecord:
    record = logging.LogRecord("app.step", logging.ERROR, "/code/app.py", 12, message, args, None, "main")
    record.__dict__.update(more)
    return record


def with_fields(fields: dict[str, Any]) -> logging.LogRecord:
    record = made("a")
    record.__dict__.update(fields)
    return record


def line_of(encoder: Encoder, record: object) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(encoder.encode(record, 7))
    return parsed


def test_a_line_has_the_fields_of_the_format_and_no_others(encoder: Encoder) -> None:
    record = made("plain")
    record.created = float(2**30)

    assert line_of(encoder, record) == {
        "k": "log",
        "u": 7,
        "t": 2**30 * 1_000_000_000,
        "n": 40,
        "l": "ERROR",
        "g": "app.step",
        "m": "plain",
        "f": "/code/app.py",
        "o": "main",
        "i": 12,
        "h": "MainThread",
    }


@pytest.mark.parametrize(
    ("template", "args", "message"),
    [
        ("a %s %d %.1f %s %s", ("x", 1, 0.5, True, None), "a x 1 0.5 True None"),
        ('"%s" of %r and %c', ("a\\b\n", 'it\'s "x"', 34), '"a\\b\n" of \'it\\\'s "x"\' and "'),
        ("path %s", (PurePosixPath("/x"),), "path /x"),
        ("%5.1f", (Decimal("1.26"),), "  1.3"),
        ("%s: %-9r|", (1, PurePosixPath("/x")), "1: PurePosixPath('/x')|"),
        ("%(a)s", ({"a": 1},), "1"),
        ("%f %%", (float("nan"),), "nan %"),
        ("%*d", (5, 1), "    1"),
        ("%d", (10**30,), str(10**30)),
    ],
)
def test_a_call_with_arguments_is_its_message_and_its_template(
    encoder: Encoder, template: str, args: tuple[object, ...], message: str
) -> None:
    record = made(template, *args)

    line = line_of(encoder, record)

    assert (line["m"], line["mt"], line.get("a")) == (message, template, None)
    assert message == record.getMessage()


@pytest.mark.parametrize("value", [np.float32(0.1), np.float16(0.1), np.float64(0.1), np.int8(3), np.bool_(True)])
def test_a_number_of_numpy_stands_in_a_message_as_it_does_on_the_console(encoder: Encoder, value: object) -> None:
    record = made("loss %s", value)

    assert line_of(encoder, record)["m"] == record.getMessage()


@pytest.mark.parametrize(
    ("template", "args", "kept"),
    [
        ("%d", ("x",), ["x"]),
        ("%d", (ValueError("x"),), ["x"]),
        ("a", (1, 2), [1, 2]),
        ("100%", (ValueError("x"),), ["x"]),
        pytest.param("%d", (10**5000,), [f"<int of {(10**5000).bit_length()} bits>"], id="10**5000"),
        pytest.param("%s", (Unshowable(),), ["<Unshowable: str() raised RuntimeError>"], id="unshowable"),
    ],
)
def test_a_malformed_call_keeps_its_template_and_its_arguments(
    encoder: Encoder, template: str, args: tuple[object, ...], kept: list[object]
) -> None:
    line = line_of(encoder, made(template, *args))

    assert (line["m"], line["a"], line.get("mt")) == (template, kept, None)


def test_a_lone_surrogate_in_an_argument_is_shown_as_an_escape(encoder: Encoder) -> None:
    assert line_of(encoder, made("%s", "file \udce9"))["m"] == "file \\udce9"


def test_two_threads_describe_their_values_at_the_same_time_although_records_name_no_thread(encoder: Encoder) -> None:
    both = threading.Barrier(2, timeout=30)
    said: list[str] = []

    class Slow:
        def __str__(self) -> str:
            both.wait()
            return "shown"

    def log() -> None:
        said.append(line_of(encoder, made("%s", Slow(), thread=None))["m"])

    threads = [threading.Thread(target=log) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert said == ["shown", "shown"]


def test_one_call_site_is_learnt_once_whatever_its_arguments(encoder: Encoder) -> None:
    lines = [line_of(encoder, made("%s of %s", number, text)) for number, text in ((1, "a"), (None, "é"), (2.5, '"'))]

    assert [line["m"] for line in lines] == ["1 of a", "None of é", '2.5 of "']
    assert len(encoder._sites) == 1


def test_an_exception_has_its_qualified_type_its_text_and_its_whole_chain(encoder: Encoder) -> None:
    class StepError(Exception):
        pass

    try:
        try:
            os.listdir("/nowhere/at/all")  # noqa: PTH208 - any call that fails
        except FileNotFoundError as cause:
            raise StepError("fetch failed") from cause
    except StepError:
        record = made("failed", exc_info=sys.exc_info())

    error = line_of(encoder, record)["e"]

    assert error["t"] == f"{__name__}.{StepError.__qualname__}"
    assert error["m"] == "fetch failed"
    assert "FileNotFoundError: [Errno 2]" in error["s"]
    assert "direct cause" in error["s"]


def test_an_exceptions_message_is_its_text_not_its_first_argument(encoder: Encoder) -> None:
    error = FileNotFoundError(2, "No such file", "x.csv")

    line = line_of(encoder, made("failed", exc_info=(type(error), error, None)))

    assert line["e"]["t"] == "FileNotFoundError"
    assert line["e"]["m"] == "[Errno 2] No such file: 'x.csv'"


def test_a_group_shows_all_its_members(encoder: Encoder) -> None:
    error = ExceptionGroup("two", [ValueError("one"), KeyError("other")])

    trace = line_of(encoder, made("failed", exc_info=(type(error), error, None)))["e"]["s"]

    assert "ValueError: one" in trace
    assert "KeyError: 'other'" in trace


def test_extras_are_kept_and_what_logging_itself_adds_is_not(encoder: Encoder) -> None:
    extras = {"month": 540, "model": None, "message": "x", "asctime": "x", "otelTraceID": "0"}

    assert line_of(encoder, with_fields(extras))["d"] == {"month": 540, "model": None}


def test_an_event_name_in_the_extras_is_the_records_event(encoder: Encoder) -> None:
    line = line_of(encoder, made("a", **{"otel.event.name": "fetch.done", "rows": 3}))

    assert (line["ev"], line["d"]) == ("fetch.done", {"rows": 3})


def test_a_record_of_another_process_says_whose_it_is(encoder: Encoder) -> None:
    line = json.loads(encoder.encode(made("a", process=99), 1, own=False))

    assert line["p"] == 99


@pytest.mark.parametrize(
    "fields",
    [
        {"levelno": None},
        {"levelno": "high"},
        {"levelname": ["x"]},
        {"name": {}},
        {"lineno": "12"},
        {"created": "now"},
        {"threadName": None},
        {"funcName": None},
        {"exc_info": True},
        {"exc_info": (None, None, None)},
        {"exc_info": "text"},
        {"args": 5},
        {"msg": None},
        {"stack_info": 5},
    ],
)
def test_a_record_with_a_strange_field_is_still_a_valid_line(encoder: Encoder, fields: dict[str, Any]) -> None:
    line = line_of(encoder, made("a", **fields))

    assert line["k"] == "log"
    assert isinstance(line["n"], int)


def test_something_that_is_no_record_is_kept_as_far_as_it_goes(encoder: Encoder) -> None:
    class Odd:
        levelno, msg = 40, "odd"

    line = line_of(encoder, Odd())

    assert (line["m"], line["n"], line["d"]) == ("odd", 40, {names.ENCODING_ERROR: "AttributeError"})


def test_an_argument_that_logs_itself_ends(encoder: Encoder) -> None:
    inner: list[dict[str, Any]] = []

    class Selfish:
        def __str__(self) -> str:
            inner.append(line_of(encoder, made("in %s", self)))
            return "x"

    outer = line_of(encoder, made("out %s", Selfish()))

    assert outer["m"] == "out x"
    assert [(line["m"], line["a"]) for line in inner] == [("in %s", ["<Selfish>"])]


def test_a_million_different_messages_do_not_fill_the_memory(encoder: Encoder) -> None:
    for number in range(records.MAX_SITES + 10):
        encoder.encode(made(f"template {number} %s", 1), number)

    assert len(encoder._sites) <= records.MAX_SITES


def test_threads_may_share_an_encoder(encoder: Encoder) -> None:
    failed: list[Exception] = []

    def work() -> None:
        try:
            for number in range(500):
                line_of(encoder, made(f"{number % 7} %s", number))
        except Exception as error:  # noqa: BLE001 - what the test is about
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []


def test_trace_and_stage_come_from_the_environment_of_the_process() -> None:
    environ = {"TRACEPARENT": f"00-{TRACE}-{SPAN}-01", "PIPELINE_ALERTS_STAGE": "train"}

    line = line_of(Encoder(Context(environ)), made("a"))

    assert (line["tr"], line["sp"], line["st"]) == (TRACE, SPAN, "train")


def test_the_current_span_of_opentelemetry_is_the_records_span(encoder: Encoder) -> None:
    from opentelemetry import trace
    from opentelemetry.trace import NonRecordingSpan, SpanContext

    span = NonRecordingSpan(SpanContext(int(TRACE, 16), int(SPAN, 16), is_remote=False))
    with trace.use_span(span):
        line = line_of(encoder, made("a"))

    assert (line["tr"], line["sp"]) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "header",
    ["", "00", f"00-{TRACE}-{SPAN}", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-zz-01", f"00-{'g' * 32}-{SPAN}-01"],
)
def test_an_invalid_traceparent_counts_as_none(header: str) -> None:
    assert parse_traceparent(header) == ("", "")


def test_names_that_both_sides_write_are_the_same() -> None:
    assert (
        names.UNCAUGHT,
        names.LOST_RECORDS,
        names.DISABLED_LOGGERS,
        names.ENCODING_ERROR,
        names.CODE_STACKTRACE,
    ) == (
        attributes.UNCAUGHT,
        attributes.LOST_RECORDS,
        attributes.DISABLED_LOGGERS,
        attributes.ENCODING_ERROR,
        attributes.CODE_STACKTRACE,
    )


def test_the_child_writes_names_as_everybody_reads_them() -> None:
    prefixes = ("cicd.", "code.", "otel.", "pipeline.", "process.")
    ours = {name: said for name, said in vars(names).items() if isinstance(said, str) and said.startswith(prefixes)}

    assert {"UNCAUGHT", "STAGE", "CODE_STACKTRACE", "OTEL_EVENT_NAME", "PROCESS_PID"} <= ours.keys()
    assert ours.items() <= vars(attributes).items()
