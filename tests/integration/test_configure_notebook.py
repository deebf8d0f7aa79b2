"""`configure()` and the handler as people use them: again, with other settings, beside other configurations."""

from __future__ import annotations

import subprocess
import sys

import pytest

from instrumentation import attributes as names
from tests.servers.receiver import Receiver
from tests.servers.shipping import wait_until_shipped

TIMEOUT_S = 120
WRONG_USE = "pipeline-alerts was not used as it can be: "

CONFIGURED = """
import logging, logging.config, logging.handlers, os, queue, sys, threading
import instrumentation
instrumentation.configure("notebook")
"""
HANDLER = """
import logging, logging.config, logging.handlers, os, queue, sys, threading
config = {
    "version": 1, "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"},
                 "pipeline_alerts": {"class": "instrumentation.PipelineHandler"}},
    "root": {"level": "INFO", "handlers": ["console", "pipeline_alerts"]},
}
"""


def run(environ: dict[str, str], program: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs it to its end, until all that it left is at the receiver."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env={**environ, **more}, capture_output=True, text=True, timeout=TIMEOUT_S)
    wait_until_shipped(environ)
    assert done.returncode == 0, done.stderr
    return done


def said(receiver: Receiver, level: str) -> list[str]:
    """What was said at a level, in order of time, less what we say of the run."""
    records = sorted(receiver.records(), key=lambda record: record.time_unix_nano)
    return [one.body.string_value for one in records if one.severity_text == level and not one.event_name]


def test_no_configuration_of_logging_costs_a_record_or_a_line_on_the_console(
    environ: dict[str, str], receiver: Receiver
) -> None:
    program = (
        CONFIGURED
        + """
logging.error("before any configuration")
logging.getLogger().handlers.clear(); logging.basicConfig(format="%(levelname)s|%(funcName)s|%(message)s")
def here(): logging.error("after basicConfig")
here()
console = {"class": "logging.StreamHandler"}
config = {"version": 1, "disable_existing_loggers": False, "handlers": {"c": console}, "root": {"handlers": ["c"]}}
for _ in range(3):
    logging.config.dictConfig(config)
logging.error("after dictConfig")
alone = logging.getLogger("alone"); alone.propagate = False; alone.addHandler(logging.StreamHandler())
alone.error("not propagated")
logging.getLogger().handlers.clear()
logging.getLogger("bare").error("no handler at all")
"""
    )

    plain = run(environ, program, OTEL_SDK_DISABLED="true")
    done = run(environ, program)

    assert plain.stderr.splitlines()[1] == "ERROR|here|after basicConfig"
    assert (done.stdout, done.stderr) == (plain.stdout, plain.stderr)
    assert said(receiver, "ERROR") == [
        "before any configuration", "after basicConfig", "after dictConfig", "not propagated", "no handler at all",
    ]  # fmt: skip


def test_the_level_is_what_logging_accepts_or_what_is_set(environ: dict[str, str], receiver: Receiver) -> None:
    program = CONFIGURED + "logging.getLogger().setLevel(10); logging.debug('debug'); logging.info('info')"

    run(environ, program)
    run(environ, program, PIPELINE_ALERTS_LEVEL="info")

    assert (said(receiver, "DEBUG"), said(receiver, "INFO")) == (["debug"], ["info", "info"])


def test_a_second_and_a_third_call_with_other_settings_change_what_they_can_and_say_the_rest_once(
    environ: dict[str, str], receiver: Receiver
) -> None:
    program = (
        CONFIGURED
        + """
configure = instrumentation.configure
for _ in range(2):
    configure("other")
    configure(redact="not a function")
    configure("notebook", redcat=str)
    configure(redact=lambda text: text.replace("Kim", "somebody"))
logging.error("for Kim")
"""
    )

    run(environ, program)

    assert said(receiver, "ERROR") == ["for somebody"]
    assert said(receiver, "WARNING") == [
        WRONG_USE + "configure() was called before: the pipeline stays notebook, not other",
        WRONG_USE + "configure() takes a function as redact, not not a function",
        WRONG_USE + "configure(): configure() got an unexpected keyword argument 'redcat'",
    ]
    starts = [one for one in receiver.records() if one.event_name == names.EVENT_RUN_START]
    assert len(starts) == 1


def test_a_pipeline_of_any_type_is_a_name(environ: dict[str, str], receiver: Receiver) -> None:
    run(environ, "import instrumentation\nfor _ in range(2): instrumentation.configure(2026)")

    (start,) = [one.body.string_value for one in receiver.records() if one.event_name == names.EVENT_RUN_START]
    assert start == "2026 started"
    assert said(receiver, "WARNING") == [WRONG_USE + "the pipeline of configure() is text, not int: 2026"]


def test_a_handler_of_a_configuration_survives_others_and_is_set_by_them(
    environ: dict[str, str], receiver: Receiver
) -> None:
    program = (
        HANDLER
        + """
for _ in range(3):
    logging.config.dictConfig(config)
    logging.error("again"); logging.info("info")
change = {"version": 1, "incremental": True, "handlers": {"pipeline_alerts": {"level": "ERROR"}}}
logging.config.dictConfig(change)
logging.info("below"); logging.error("above")
"""
    )

    done = run(environ, program)

    assert done.stderr.splitlines() == ["again", "info"] * 3 + ["below", "above"]
    assert said(receiver, "ERROR") == ["again"] * 3 + ["above"]
    assert said(receiver, "INFO") == ["info"] * 3


def test_records_of_a_handler_are_in_the_trace_of_the_run(environ: dict[str, str], receiver: Receiver) -> None:
    run(environ, HANDLER + "logging.config.dictConfig(config); logging.error('here')")

    (span,) = receiver.spans()
    (record,) = [one for one in receiver.records() if one.body.string_value == "here"]
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)


def test_what_is_wrong_in_a_configuration_stops_no_program_and_is_said_once(
    environ: dict[str, str], receiver: Receiver
) -> None:
    program = (
        HANDLER
        + """
config["handlers"]["pipeline_alerts"] |= {"pipeline": "monthly", "exclude": "noisy"}
from instrumentation import PipelineHandler
for _ in range(2):
    logging.config.dictConfig(config)
    logging.error("kept"); logging.getLogger("noisy.part").error("left out"); logging.getLogger("n").error("kept")
logging.getLogger("more").addHandler(PipelineHandler("LOUD", exclude=5))
logging.getLogger("more").error("kept")
"""
    )

    run(environ, program)

    assert said(receiver, "ERROR") == ["kept"] * 5
    assert sorted(said(receiver, "WARNING")) == [
        WRONG_USE + "PipelineHandler leaves out loggers by name, not 5",
        WRONG_USE + "PipelineHandler takes no pipeline",
        WRONG_USE + "there is no level LOUD: PipelineHandler takes INFO",
    ]


@pytest.mark.parametrize("start", ["", "import instrumentation; instrumentation.configure('n')"])
def test_a_handler_behind_a_queue_keeps_each_record_once(
    environ: dict[str, str], receiver: Receiver, start: str
) -> None:
    # What `dictConfig` of Python 3.12 makes of a QueueHandler that names other handlers.
    program = (
        HANDLER
        + f"{start}\n"
        + """
from instrumentation import PipelineHandler
passing = queue.Queue()
listener = logging.handlers.QueueListener(passing, PipelineHandler(), respect_handler_level=True)
logging.getLogger().addHandler(logging.handlers.QueueHandler(passing))
listener.start()
for number in range(3):
    logging.error("number %d", number)
try:
    1 / 0
except ZeroDivisionError:
    logging.exception("failed")
listener.stop()
"""
    )

    run(environ, program)

    *numbers, failed = said(receiver, "ERROR")
    assert numbers == ["number 0", "number 1", "number 2"]
    assert failed.startswith("failed")


def test_where_nothing_can_be_kept_each_record_does_not_try_again(environ: dict[str, str]) -> None:
    program = (
        HANDLER
        + """
from instrumentation import own_run
from instrumentation.sender import folder
def full(*_, **__): raise OSError(28, "No space left on device")
folder.RunFolder.create = full
tries = []
begin = own_run.Settings.from_environ
own_run.Settings.from_environ = lambda *args: tries.append(1) or begin(*args)
logging.config.dictConfig(config)
for _ in range(100):
    logging.error("x")
print(len(tries))
import instrumentation
instrumentation.configure("n")
print(len(tries))
"""
    )

    done = run(environ, program)

    assert done.stdout == "1\n2\n"


@pytest.mark.parametrize(
    "start", ["logging.config.dictConfig(config)", "import instrumentation as i; i.configure('p')"]
)
def test_what_is_said_after_the_end_begins_no_other_run(
    environ: dict[str, str], receiver: Receiver, start: str
) -> None:
    program = (
        HANDLER
        + "import atexit\natexit.register(lambda: logging.error('after the end'))\n"
        + f"{start}\nlogging.error('before it')"
    )

    done = run(environ, program)

    events = [one.event_name for one in receiver.records() if one.event_name]
    assert "after the end" in done.stderr
    assert (events.count(names.EVENT_RUN_START), events.count(names.EVENT_RUN_END)) == (1, 1)
    assert said(receiver, "ERROR")[0] == "before it"


def test_a_fork_while_another_thread_begins_the_run_does_not_hang_in_its_first_record(
    environ: dict[str, str], receiver: Receiver
) -> None:
    program = (
        HANDLER
        + """
from instrumentation import own_run
parent, begun, forked = os.getpid(), threading.Event(), threading.Event()
begin = own_run.Settings.from_environ
def slowly(*args):
    if os.getpid() == parent:
        begun.set()
        forked.wait(30)
    return begin(*args)
own_run.Settings.from_environ = slowly
logging.config.dictConfig(config)
threading.Thread(target=logging.error, args=("of the parent",)).start()
begun.wait(30)
child = os.fork()
if not child:
    logging.error("of the child")
    own_run.shutdown()
    os._exit(0)
print(os.waitpid(child, 0)[1])
forked.set()
"""
    )

    done = run(environ, program)

    assert done.stdout == "0\n"
    assert set(said(receiver, "ERROR")) == {"of the parent", "of the child"}


def test_what_the_beginning_of_a_run_makes_somebody_log_does_not_begin_it_again(
    environ: dict[str, str], receiver: Receiver
) -> None:
    program = (
        HANDLER
        + """
import instrumentation
from instrumentation import own_run
begin = own_run.Settings.from_environ
def loudly(*args):
    logging.error("while it begins")
    return begin(*args)
own_run.Settings.from_environ = loudly
logging.config.dictConfig(config)
instrumentation.configure("n")
logging.error("afterwards")
"""
    )

    run(environ, program)

    assert said(receiver, "ERROR") == ["afterwards"]
