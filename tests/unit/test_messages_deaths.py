"""Messages about processes that died or hang: in words, with what they did last."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from alert_bridge.messages import compose
from alert_bridge.messages.cause import title_of
from alert_bridge.model import Severity
from instrumentation import attributes as names
from instrumentation.supervisor.descendants import Death
from instrumentation.supervisor.ending import Ending
from instrumentation.supervisor.listening import Place
from instrumentation.supervisor.memory import Memory
from instrumentation.supervisor.telling import Teller
from tests.servers.stories import record, story


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        (
            {names.EXIT_SIGNAL: 9, names.OOM_KILLED: True, names.PEAK_MEMORY: 11.4 * 2**30, names.DURATION: 7440},
            "was killed by the kernel for memory (SIGKILL) at 11.4 GiB after 2 h 04 min",
        ),
        ({names.EXIT_CODE: 137}, "was killed (SIGKILL), as the kernel does when memory runs out"),
        (
            {names.EXIT_SIGNAL: 9, names.OOM_VERDICT: "probable", names.PEAK_MEMORY: 11.4 * 2**30},
            "was killed (SIGKILL) at 11.4 GiB, probably by the kernel because memory ran out",
        ),
        (
            {names.EXIT_SIGNAL: 9, names.OOM_VERDICT: "excluded", names.PEAK_MEMORY: 9 * 2**20},
            "was killed (SIGKILL) at 9 MiB, not by the kernel for memory",
        ),
        (
            {names.EXIT_SIGNAL: "SIGSEGV", names.DURATION: 61},
            "crashed with a segmentation fault (SIGSEGV) after 1 min 01 s",
        ),
        ({names.EXIT_CODE: 3, names.DURATION: 12.4}, "ended with exit code 3 after 12 s"),
        ({names.EXIT_CODE: 3, names.DURATION: 0.2}, "ended with exit code 3 after less than 1 s"),
        (
            {names.EXIT_CODE: 2, names.STDERR_TAIL: "usage: train [-h]\ntrain: error: no --month\n\n--------\n"},
            "ended with exit code 2; it last wrote: train: error: no --month",
        ),
        (
            {names.EXIT_CODE: 3, names.STDOUT_TAIL: "10 %\r100 %\rno input for 2026-11"},
            "ended with exit code 3; it last wrote: no input for 2026-11",
        ),
        (
            {
                names.EXIT_CODE: 143,
                names.EXIT_SIGNAL: "SIGTERM",
                names.RUN_RESULT: names.RESULT_TIMEOUT,
                names.DURATION: 7200,
            },
            "was stopped after 2 h, because it ran longer than allowed",
        ),
        ({names.EXIT_CODE: "what", names.PEAK_MEMORY: "NaN", names.DURATION: -1}, "ended without saying why"),
    ],
)
def test_the_death_of_a_process_is_told_in_words(attributes, told):
    sample = record("x", severity=Severity.CRITICAL, event_name=names.EVENT_PROCESS_DIED, **attributes)

    message = compose(story(sample))

    assert message.headline == f"CRITICAL · monthly_run / fetch_data {told}"


@pytest.mark.parametrize(
    ("attributes", "subject"),
    [({names.MODEL_NAME: "dry_river"}, "dry_river"), ({names.TEMPLATE: "%s was ended by SIGKILL"}, "train.py")],
)
def test_a_death_in_a_list_begins_with_who_died(attributes, subject):
    sample = record(
        "train.py was ended by SIGKILL",
        event_name=names.EVENT_PROCESS_DIED,
        **{names.EXIT_SIGNAL: "SIGKILL", **attributes},
    )

    assert title_of(sample) == f"{subject} was killed (SIGKILL), as the kernel does when memory runs out"


def test_where_a_silent_run_hangs_is_in_the_expanded_summary_the_innermost_process_first():
    stacks = (
        "train.py (12):\n  wait_for_gpu (gpu.py:4)\n"
        + "  step (loop.py:9)\n" * 400
        + "main.py (11):\n  join (main.py:2)"
    )
    sample = record("x", event_name=names.EVENT_RUN_SILENT, **{names.STACK_DUMP: stacks})

    paragraphs = dict(compose(story(sample)).paragraphs)

    assert paragraphs["Where it hangs"].startswith("train.py (12):\n  wait_for_gpu (gpu.py:4)\n")
    assert paragraphs["Where it hangs"].endswith("main.py (11):\n  join (main.py:2)")
    assert len(paragraphs["Where it hangs"]) < 3_200


def test_what_a_dead_process_logged_last_is_in_the_expanded_summary():
    sample = record("x", event_name=names.EVENT_PROCESS_DIED, **{names.LAST_RECORDS: "epoch 6\nepoch 7"})

    assert dict(compose(story(sample)).paragraphs)["Its last log records"] == "epoch 6\nepoch 7"


def test_the_last_lines_that_a_dead_process_wrote_are_in_the_expanded_summary():
    sample = record(
        "x", event_name=names.EVENT_PROCESS_DIED, **{names.EXIT_CODE: 1, names.STDERR_TAIL: "epoch 6\nKilled"}
    )

    assert dict(compose(story(sample)).paragraphs)["Last lines of its error output"] == "epoch 6\nKilled"


def the_supervisors(body: str, template: str, **attributes: object):
    known = {names.TEMPLATE: template, names.STAGE: "", **attributes}
    return record(body, severity=Severity.CRITICAL, event_name=names.EVENT_PROCESS_DIED, **known)


def heard(tells):
    """The record that the supervisor writes when it tells this."""
    lines: list[str] = []
    journal = SimpleNamespace(next_number=lambda: 1, append=lambda line, *_: lines.append(line))
    run = SimpleNamespace(journal=journal, pipeline="monthly_run", command=(), trace_id="", span_id="")
    tells(Teller(run, lambda: None))
    line = json.loads(lines[-1])
    return the_supervisors(line["m"] % tuple(line["a"]), line["m"], **line["d"])


def test_the_death_of_a_process_below_the_program_says_which_one_it_was_and_not_that_the_run_died():
    sample = the_supervisors(
        "train.py was ended by SIGABRT (a crash in compiled code)",
        "%s was ended by SIGABRT (a crash in compiled code)",
        **{
            names.EXIT_SIGNAL: "SIGABRT",
            names.COMMAND: "/opt/bin/python train.py --model dry_river",
            names.PROCESS_PID: 41,
        },
    )

    message = compose(story(sample, about={"title": title_of(sample)}))

    assert message.headline == "CRITICAL · monthly_run: train.py aborted itself (SIGABRT)"
    assert message.subject == "[prod] monthly_run: train.py aborted itself (SIGABRT)"
    assert dict(message.paragraphs)["What happened"].split("\n") == [
        "train.py aborted itself (SIGABRT).",
        "Its command: /opt/bin/python train.py --model dry_river",
        "Its process id: 41",
    ]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (134 << 8, "ended with exit code 134 after 3 s: a process in it aborted itself (SIGABRT)"),
        (6, "aborted itself (SIGABRT) after 3 s"),
        (139 << 8, "ended with exit code 139 after 3 s: a process in it crashed with a segmentation fault (SIGSEGV)"),
        (3 << 8, "ended with exit code 3 after 3 s"),
    ],
)
def test_what_a_shell_tells_of_a_process_in_it_is_not_said_of_the_run_itself(status, told):
    ending = Ending.of(status)
    sample = the_supervisors(
        f"monthly_run {ending.words}",
        f"%s {ending.words}",
        **{
            names.EXIT_CODE: ending.exit_code,
            names.EXIT_SIGNAL: ending.signal_name,
            names.RUN_RESULT: ending.result,
            names.DURATION: 3,
            names.PEAK_MEMORY: 11 * 2**30,
            names.COMMAND: "bash run.sh",
        },
    )

    message = compose(story(sample, about={"title": title_of(sample)}))

    assert message.headline == f"CRITICAL · monthly_run {told}"
    assert f"[prod] monthly_run {told}".startswith(message.subject.rstrip("…"))
    assert dict(message.paragraphs)["What happened"] == f"monthly_run {told}."
    assert title_of(sample) == f"monthly_run {told}"


@pytest.mark.parametrize(
    ("memory", "told"),
    [
        (Memory.UNKNOWN, "was killed or crashed, the system does not tell which"),
        (Memory.PROBABLE, "was killed or crashed, probably because memory ran out"),
    ],
)
def test_a_death_that_the_system_hides_is_told_as_far_as_it_is_known(memory, told):
    gone = Death(42, ("python", "train.py"), None, 0, is_worker=False, left_abruptly=True)

    sample = heard(lambda teller: teller.death(gone, memory, Place()))

    assert compose(story(sample)).headline == f"CRITICAL · monthly_run: train {told}"


def test_an_exit_code_after_the_kernel_killed_a_process_inside_says_so():
    ending = Ending.of(1 << 8, has_victims=True)
    sample = the_supervisors(
        f"monthly_run {ending.words}",
        f"%s {ending.words}",
        **{names.EXIT_CODE: 1, names.RUN_RESULT: ending.result, names.DURATION: 61, names.STDERR_TAIL: "Killed"},
    )

    assert compose(story(sample)).headline == (
        "CRITICAL · monthly_run ended with exit code 1 after 1 min 01 s, after a process in it was killed for memory;"
        " it last wrote: Killed"
    )


def test_a_stage_that_ended_is_named_once():
    ended = {names.TEMPLATE: "%s ended: failure", names.STAGE_RESULT: names.RESULT_FAILURE}
    sample = record("fetch_data ended: failure", event_name=names.EVENT_STAGE_END, **ended)

    message = compose(story(sample, about={"title": title_of(sample)}))

    assert message.headline == "ERROR · monthly_run / fetch_data ended: failure"
    assert title_of(sample) == "fetch_data ended: failure"


def test_a_program_that_could_not_be_started_says_why():
    told = "monthly_run could not be started: /opt/run.sh: command not found"
    sample = the_supervisors(
        told, "%s could not be started: %s", **{names.EXIT_CODE: 127, names.COMMAND: "/opt/run.sh"}
    )

    message = compose(story(sample))

    assert message.headline == f"CRITICAL · {told}"
    assert dict(message.paragraphs)["What happened"] == f"{told}."


def test_a_text_that_names_the_pipeline_does_not_name_it_twice():
    text = "monthly_run has been silent for more than 30 min 0 s and may hang"
    sample = record(text, event_name=names.EVENT_RUN_SILENT, **{names.STAGE: ""})

    message = compose(story(sample, about={"title": title_of(sample)}))

    assert (message.headline, message.subject) == (f"ERROR · {text}", f"[prod] {text}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "Command '['/opt/bin/python', 'train.py', '--config', '/srv/a/very/long/path.yaml']' died with signal 9.",
            "Command 'python train.py --config /srv/a/very/lo…' died with signal 9.",
        ),
        (
            "Command 'cd /srv && ./run.sh\nmake' returned non-zero exit status 4.",
            "Command 'cd /srv && ./run.sh make' returned non-zero exit status 4.",
        ),
        ("Command 'x' is unknown", "Command 'x' is unknown"),
    ],
)
def test_how_a_command_ended_is_told_however_long_the_command_was(text, shown):
    sample = record(
        f"uncaught subprocess.CalledProcessError: {text}",
        **{names.EXCEPTION_TYPE: "subprocess.CalledProcessError", names.EXCEPTION_MESSAGE: text},
    )

    assert compose(story(sample)).headline.endswith(f" failed: CalledProcessError: {shown}")


def test_an_exception_that_a_library_raised_says_first_where_the_program_called_it():
    trace = (
        'Traceback (most recent call last):\n  File "/srv/app/train.py", line 41, in fit\n    run(command)\n'
        '  File "/usr/lib/python3.11/subprocess.py", line 571, in run\n    raise CalledProcessError(...)\n'
        "subprocess.CalledProcessError: no\n"
    )
    raised_in = {names.CODE_FILE: "/usr/lib/python3.11/subprocess.py", names.CODE_LINE: 571, names.CODE_FUNCTION: "run"}
    sample = record(**{names.EXCEPTION_STACKTRACE: trace, names.EXCEPTION_TYPE: "CalledProcessError", **raised_in})

    assert dict(compose(story(sample)).paragraphs)["Where"].split("\n") == [
        "monthly_run / fetch_data",
        "/srv/app/train.py:41, in fit",
        "raised in /usr/lib/python3.11/subprocess.py:571, in run",
    ]
