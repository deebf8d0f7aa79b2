"""Messages about processes that died or hang: in words, with what they did last."""

from __future__ import annotations

import pytest

from alert_bridge.messages import compose
from alert_bridge.messages.cause import title_of
from alert_bridge.model import Severity
from instrumentation import attributes as names
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
        ({names.EXIT_SIGNAL: 9, names.OOM_VERDICT: "excluded"}, "was killed (SIGKILL), not by the kernel for memory"),
        (
            {names.EXIT_SIGNAL: "SIGSEGV", names.DURATION: 61},
            "crashed with a segmentation fault (SIGSEGV) after 1 min 01 s",
        ),
        ({names.EXIT_CODE: 3, names.DURATION: 12.4}, "ended with exit code 3 after 12 s"),
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
