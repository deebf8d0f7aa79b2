"""Messages for those who only need to know: the effect in plain words, and nothing of the inside."""

from __future__ import annotations

import pytest

from alert_bridge.channels.slack import payload_of
from alert_bridge.messages import compose
from alert_bridge.model import Duty, Reason
from instrumentation import attributes as names
from tests.servers.stories import FAILED, SPAN, TRACE, everything, record, story


def test_readers_hear_effect_validity_who_is_on_it_and_when_there_will_be_news():
    message = compose(story(duty=Duty.INFORM, about={"owner": "Infrastructure"}, also_told=("Infrastructure",)))

    assert message.headline == "Problem in monthly run: New input data could not be read as planned."
    assert dict(message.paragraphs) == {
        "What it means": "This run's results may be late or incomplete.",
        "What is still valid": "Results of earlier runs are not changed by this.",
        "Who is on it": "Infrastructure is responsible and has been told.",
        "When you hear more": "When it is solved or gets worse. Until then it is still open.",
    }


def test_the_policys_words_for_the_effect_go_first():
    effect = "This month's forecasts are held back. Last month's stay valid."

    message = compose(story(duty=Duty.INFORM, about={"effect": effect}))

    assert message.headline == f"Problem in monthly run: {effect}"
    assert "What is still valid" not in dict(message.paragraphs)


def test_all_that_readers_need_is_in_the_slack_message():
    payload = payload_of(compose(story(duty=Duty.INFORM)))

    shown = "\n".join(block["text"]["text"] for block in payload.blocks if block["type"] == "section")
    assert len(payload.blocks) <= 3
    for words in ("could not be read", "may be late", "not changed", "Nobody has taken it on", "solved or gets worse"):
        assert words in shown


@pytest.mark.parametrize("reason", list(Reason))
def test_readers_see_no_path_trace_type_function_logger_or_code(reason):
    sample = record("see /srv/models/secret_layout/fetch.py", **FAILED)
    told = story(
        sample,
        duty=Duty.INFORM,
        reason=reason,
        log_tail=(sample,),
        stage_path=("monthly_run", "fetch_data"),
        run_facts=(("Command", "python /srv/main.py"),),
        about={"owner": "/home/kim", "acknowledged_by": "kim@example.org", "run_ids": (TRACE,)},
    )

    words = everything(compose(told)).casefold()

    for leak in (
        "/srv",
        "/home",
        "secret_layout",
        ".py",
        TRACE,
        SPAN,
        "connectionerror",
        "requests",
        "vpn",
        "traceback",
    ):
        assert leak not in words
    assert "monthly_run" not in words


@pytest.mark.parametrize(
    "name", ["/usr/bin/run.py", "run.py", "4bf92f3577b34da6a3ce929d0e0e4736", "a\nb/c", "C:\\x", ""]
)
def test_a_pipeline_named_by_a_path_or_an_id_is_just_a_pipeline_to_readers(name):
    message = compose(story(record(**{names.PIPELINE_NAME: name, names.SERVICE_NAME: name}), duty=Duty.INFORM))

    assert message.headline.startswith(("Problem in a pipeline: ", "Problem in unknown: "))
