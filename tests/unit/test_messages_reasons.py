"""Messages after the first: reminders, regressions, resolutions, edits, tests, and what is told late."""

from __future__ import annotations

import pytest

from alert_bridge.channels.email import mail_of
from alert_bridge.channels.slack import payload_of
from alert_bridge.messages import compose
from alert_bridge.model import IncidentState, Reason, Severity
from instrumentation import attributes as names
from tests.servers.stories import NS, T, record, story


def test_a_reminder_says_how_long_it_has_been_failing():
    message = compose(story(reason=Reason.REMINDER, now=T + 4 * 3600 * NS))

    assert message.note == "Still failing, 4 h after it began."


@pytest.mark.parametrize(("hours", "note"), [(0, ""), (4, "Still failing, 4 h after it began.")])
def test_an_edit_does_not_take_back_what_a_reminder_said(hours, note):
    message = compose(story(reason=Reason.REPEATED, now=T + hours * 3600 * NS))

    assert message.note == note


def test_a_problem_that_comes_back_says_when_it_had_been_resolved():
    message = compose(story(reason=Reason.REGRESSED, about={"resolved_at": T - 86_400 * NS}))

    assert message.note == "Again, after it was resolved on 2026-11-24 11:06 UTC."


def test_a_resolution_says_so_first_and_does_not_say_failed():
    message = compose(story(reason=Reason.RESOLVED, now=T + 600 * NS, about={"resolved_at": T + 540 * NS}))

    assert message.headline == "RESOLVED · monthly_run / fetch_data: ConnectionError: VPN is down"
    assert message.note == "Resolved 11:15 UTC, 9 min after it began."


def test_an_edit_after_the_resolution_still_says_resolved():
    message = compose(story(reason=Reason.REPEATED, about={"state": IncidentState.RESOLVED, "resolved_at": T}))

    assert (message.resolved, message.headline.split(" ")[0]) == (True, "RESOLVED")


@pytest.mark.parametrize("reason", [Reason.TEST, Reason.REPEATED])
def test_a_test_is_marked_and_says_that_nobody_needs_to_act_also_when_it_is_edited(reason):
    message = compose(story(record(**{names.TEST_ALERT: True}), reason=reason))

    assert message.headline.startswith("[TEST] ")
    assert message.subject.startswith("[TEST] ")
    assert message.note == "This is a test of the alert path. Nobody needs to act."


def test_what_is_told_late_says_so_with_both_times():
    message = compose(story(now=T + 4 * 3600 * NS, late_since=T))

    assert message.late == (
        "Late: due 2026-11-25 11:06 UTC, told 2026-11-25 15:06 UTC, 4 h later, "
        "because this channel could not be reached."
    )
    assert payload_of(message).blocks[0]["text"]["text"].startswith("Late: due 2026-11-25 11:06 UTC")
    assert mail_of(message, "a@example.org", "example.org").text.startswith("Late: due")


def test_the_subject_does_not_change_with_count_severity_state_or_the_latest_record():
    later = record("something else", severity=Severity.CRITICAL)

    subjects = {
        compose(story()).subject,
        compose(story(later, reason=Reason.ESCALATED, count=90)).subject,
        compose(story(reason=Reason.RESOLVED, about={"state": IncidentState.RESOLVED})).subject,
    }

    assert subjects == {"[prod] monthly_run / fetch_data: ConnectionError: VPN is down"}
