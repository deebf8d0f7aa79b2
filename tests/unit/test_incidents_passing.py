"""A shell passes on how a process in it ended: that is one problem with the death, and with nothing else of the run."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alert_bridge.incidents import Ending, ending_of
from alert_bridge.incidents.passing import PASSED_ON_WITHIN_S, End, end_of, tells_why
from alert_bridge.model import Severity
from instrumentation import attributes as names
from tests.servers.engine import NS, START, a_record, only_mdd, passing_engine

DIED = names.EVENT_PROCESS_DIED
WORDS = ("amber", "birch", "cedar", "delta")
WITHIN = int(PASSED_ON_WITHIN_S * NS)


def killed(signal="SIGABRT", *, second=0.0, pid="42", who="train.py", **more):
    """The supervisor's word for a process below the program."""
    return a_record(
        f"{who} was ended by {signal}", Severity.CRITICAL, at=START + int(second * NS), event=DIED,
        attributes={names.PROCESS_PID: pid, names.EXIT_SIGNAL: signal, **more},
    )  # fmt: skip


def lost(*, second=0.0, pid="43"):
    """The same where the system hides how it ended."""
    return a_record(
        "load.py ended without its exit handlers: killed, or crashed", at=START + int(second * NS), event=DIED,
        attributes={names.PROCESS_PID: pid},
    )  # fmt: skip


TRACE = """\
Traceback (most recent call last):
  File "a.py", line 1, in <module>
ValueError: the tide table is empty
"""


def uncaught(*, second=0.0, pid="44", severity=Severity.CRITICAL, text="the tide table is empty"):
    trace = TRACE.replace("the tide table is empty", text)
    raised = {names.EXCEPTION_TYPE: "ValueError", names.EXCEPTION_MESSAGE: text, names.EXCEPTION_STACKTRACE: trace}
    return a_record(
        f"uncaught ValueError: {text}", severity, at=START + int(second * NS), **{names.PROCESS_PID: pid},
        attributes={names.UNCAUGHT: True, **raised},
    )  # fmt: skip


def ended(code, signal="", *, second=1.0, run="run-1", **more):
    """The supervisor's word for the program itself."""
    result = names.RESULT_ERROR if signal else names.RESULT_FAILURE
    how = {names.EXIT_SIGNAL: signal} if signal else {}
    return a_record(
        f"nightly ended with exit code {code}", Severity.CRITICAL if signal else Severity.ERROR, run=run,
        at=START + int(second * NS), event=DIED,
        attributes={names.PROCESS_PID: "41", names.EXIT_CODE: code, names.RUN_RESULT: result, **how, **more},
    )  # fmt: skip


def failed(text="the salt marsh could not be read", *, second=0.5, pid="47", **more):
    """An error that a process logged."""
    return a_record(text, at=START + int(second * NS), **{names.PROCESS_PID: pid}, attributes=more)


TRACED = {
    names.EXCEPTION_TYPE: "KeyError",
    names.EXCEPTION_STACKTRACE: "Traceback (most recent call last):\n  File \"a.py\", line 3\nKeyError: 'month'\n",
}


def exited(code=3, *, stderr="", stdout="", logged="", severity=Severity.ERROR, passed_on=()):
    """The program's end with what was heard of it last."""
    said = {names.STDERR_TAIL: stderr, names.STDOUT_TAIL: stdout, names.LAST_RECORDS: logged}
    end = ended(code, **({names.PASSED_ON: passed_on} if passed_on else {}))
    return replace(end, severity=severity, attributes={**end.attributes, **said})


def told(*records, batch=1, restarts=False):
    """The texts of the incidents that are told by themselves, when these records came in this order."""
    with passing_engine(only_mdd()) as engine:
        for start in range(0, len(records), batch):
            engine.post(*records[start : start + batch])
            if restarts:
                engine.restart()
        engine.at(20)
        assert engine.books()["slack"].balance == 0
        return sorted(incident.sample.body for incident in engine.incidents() if not incident.root_id)


def bodies(*records):
    return sorted(record.body for record in records)


@pytest.mark.parametrize(
    ("death", "end"),
    [
        (killed("SIGABRT"), ended(134, "SIGABRT")),  # `sh` around it, or `kill` to both
        (killed("SIGKILL", **{names.OOM_KILLED: True}), ended(137, "SIGKILL")),
        (killed("SIGSEGV"), ended(139)),  # from a supervisor that does not believe the code
        (killed("SIGSEGV"), ended(245)),  # `sys.exit(child.returncode)` in Python
        (uncaught(), ended(1, **{names.PASSED_ON: (44,)})),  # `set -e`
        (uncaught(), ended(1, **{names.STDERR_TAIL: TRACE})),  # the same, where nobody could see whose it is
        (uncaught(second=-3_600), ended(1, **{names.PASSED_ON: (45, 44), names.STDERR_TAIL: "wandb: syncs"})),
    ],
    ids=[
        "by-the-same-signal",
        "for-memory",
        "by-a-shells-code",
        "by-a-python-parents-code",
        "by-an-exception",
        "by-an-exception-that-was-written-last",
        "by-an-exception-long-before",
    ],
)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize(("batch", "restarts"), [(1, False), (1, True), (2, False)])
def test_an_end_that_a_program_passes_on_is_told_with_the_process_that_died(death, end, order, batch, restarts):
    both = death, end

    assert told(*(both[index] for index in order), batch=batch, restarts=restarts) == bodies(death)


@pytest.mark.parametrize(
    ("other", "end"),
    [
        (killed("SIGABRT"), ended(137, "SIGKILL")),
        (killed("SIGABRT"), ended(1)),
        (killed("SIGABRT"), ended(3)),
        (killed("SIGABRT", second=-PASSED_ON_WITHIN_S), ended(134, "SIGABRT")),
        (killed("SIGABRT", second=2), ended(134, "SIGABRT")),
        (killed("SIGABRT"), ended(134, "SIGABRT", run="run-2")),
        (uncaught(), ended(1)),
        (uncaught(), ended(1, **{names.STDERR_TAIL: f"{TRACE}no space left\n"})),
        (uncaught(), ended(1, **{names.PASSED_ON: (45,), names.STDERR_TAIL: TRACE})),
        (uncaught(), ended(3, **{names.STDERR_TAIL: TRACE})),
        (uncaught(), ended(134, "SIGABRT")),
        (uncaught(severity=Severity.ERROR), ended(1, **{names.STDERR_TAIL: TRACE})),  # of a thread: ends no process
        (uncaught(severity=Severity.ERROR), ended(1, **{names.PASSED_ON: (44,)})),
        (uncaught(severity=Severity.ERROR, pid="41"), ended(3, **{names.STDERR_TAIL: f"{TRACE}no space left"})),
        (killed("SIGABRT"), killed("SIGABRT", second=1, pid="45", who="evaluate.py")),
        (lost(), ended(1)),
        (lost(), killed("SIGABRT", second=1)),
    ],
)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_a_program_does_not_pass_on_is_told_beside_its_end(other, end, order):
    both = other, end

    assert told(*(both[index] for index in order)) == bodies(other, end)


def test_the_cause_that_a_program_passes_on_is_told_beside_the_unrelated_problems_of_its_run():
    error = a_record("the salt marsh could not be read", at=START - NS)
    exception, death, end = uncaught(), killed("SIGABRT"), ended(134, "SIGABRT")

    for order in permutations((error, exception, death, end)):
        assert told(*order) == bodies(error, exception, death)


def test_of_two_deaths_the_one_by_the_same_signal_is_the_one_that_is_passed_on():
    with passing_engine(only_mdd()) as engine:
        engine.post(killed("SIGABRT", pid="42"), killed("SIGKILL", pid="43", second=0.5), ended(137, "SIGKILL"))
        roots = {incident.sample.attributes[names.EXIT_SIGNAL]: incident.id for incident in engine.incidents()}

        assert len(roots) == 2
        assert [one.events for one in engine.reader.folded(roots["SIGKILL"])] == [1]
        assert not engine.reader.folded(roots["SIGABRT"])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_where_the_system_hides_how_a_process_ended_the_programs_end_tells_both(order):
    both = lost(), ended(134, "SIGABRT")

    assert told(*(both[index] for index in order)) == bodies(both[1])


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_two_deaths_that_the_system_hides_are_counted_once_each_with_the_programs_end(order):
    records = lost(pid="43"), lost(pid="46", second=0.5), ended(134, "SIGABRT")
    with passing_engine(only_mdd()) as engine:
        for index in order:
            engine.post(records[index])

        cases = [engine.incident_case(number) for number, _ in enumerate(engine.incidents())]

        assert [case.folded for case in cases if not case.incident.root_id] == [2]


def test_an_earlier_death_of_the_same_kind_is_not_hidden_with_the_last_one():
    earlier, last, end = lost(second=-3_600), lost(pid="46"), ended(134, "SIGABRT")

    assert told(earlier, last, end) == bodies(last, end)


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (failed(), exited(stderr="starts\n11:06:02 ERROR the salt marsh could not be read\n", passed_on=(48, 47))),
        (failed(pid="41"), exited(stdout="ERROR: the salt marsh could not be read")),
        (
            failed("no", pid="41", **TRACED),
            exited(1, stderr="ERROR:root:no\nTraceback (most recent call last):\nKeyError: 'month'\n\n"),
        ),
        (failed(pid="41"), exited(logged="starts\nthe salt marsh could not be read")),
    ],
    ids=["a-shells-last-process-on-stderr", "on-stdout", "with-a-stack-trace", "to-its-log-alone"],
)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_exit_code_right_after_an_error_that_was_the_last_word_is_told_with_it(error, end, order):
    both = error, end

    assert told(*(both[index] for index in order)) == bodies(error)


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (failed(pid="41"), exited(stderr="ERROR the salt marsh could not be read\nrun.sh: no space left")),
        (failed(pid="41"), exited()),
        (failed(), exited(stderr="the salt marsh could not be read")),  # and `exit 3` by somebody else
        (failed(), exited(stderr="the salt marsh could not be read", passed_on=(48,))),
        (failed("no", pid="41"), exited(stderr="ERROR: nothing was found")),
        (failed(pid="41"), exited(logged="the salt marsh could not be read\ngoes on without it")),
        (failed(), exited(logged="the salt marsh could not be read")),  # another process
        (failed(pid="41"), exited(logged="the salt marsh could not be read", stderr="no space left")),
        (failed(second=-10, pid="41"), exited(stderr="the salt marsh could not be read")),
        (
            failed(pid="41"),
            exited(1, stderr="the salt marsh could not be read", severity=Severity.CRITICAL),
        ),  # memory ran out
    ],
)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_exit_code_whose_reason_may_be_another_is_told_beside_the_error(error, end, order):
    both = error, end

    assert told(*(both[index] for index in order)) == bodies(error, end)


@st.composite
def runs(draw):
    """Deaths and exceptions of one run, each of a program of its own, and the program's end; and those it passes on."""
    seconds = st.sampled_from((-PASSED_ON_WITHIN_S - 1, -2.0, 0.0, 0.5))
    causes = []
    for number, word in enumerate(WORDS[: draw(st.integers(1, 4))]):
        second, pid = draw(seconds), str(50 + number)
        if how := draw(st.sampled_from(("", "SIGABRT", "SIGKILL"))):
            causes.append(killed(how, second=second, pid=pid, who=f"{word}.py"))
        else:
            causes.append(uncaught(second=second, pid=pid, text=f"no {word}"))
    code, signal = draw(st.sampled_from(((134, "SIGABRT"), (137, "SIGKILL"), (1, ""), (3, ""))))
    seen = tuple(draw(st.sets(st.integers(50, 54), max_size=2))) if code == 1 else ()
    end = ended(code, signal, **({names.PASSED_ON: seen} if seen else {}))
    return [*causes, end], any(_is_passed_on(cause, end) for cause in causes)


def _is_passed_on(cause, end) -> bool:
    ending = ending_of(cause)
    if ending is Ending.UNCAUGHT:
        return cause.text(names.PROCESS_PID) in map(str, end.attributes.get(names.PASSED_ON, ()))
    return tells_why(end_of(cause, Ending.KILLED), end_of(end, ending_of(end)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(runs(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_in_any_order_and_batching_every_cause_is_told_and_the_end_only_where_none_is_passed_on(run, random, batch):
    records, is_passed_on = run
    *causes, end = records
    shuffled = [*records, *random.sample(records, random.randint(0, len(records)))]
    random.shuffle(shuffled)

    assert told(*shuffled, batch=batch) == bodies(*causes, *([] if is_passed_on else [end]))


@given(st.sampled_from(Ending), st.sampled_from(("", "SIGABRT", "exit 1")), st.integers(-WITHIN, 2 * WITHIN))
def test_an_end_below_the_program_is_explained_by_no_other_end_below_it(kind, how, later):
    below = End(Ending.KILLED, START, how)

    assert not tells_why(below, End(kind, START + later, how))
    assert not tells_why(End(kind, START - later, how), below)
