"""Channels from settings: what is missing is previewed, what cannot work is refused by its name."""

from __future__ import annotations

import pytest

from alert_bridge.channels import channel_states, open_channels
from alert_bridge.channels.email import smtp_settings
from alert_bridge.errors import SettingsError
from tests.servers.channels import Kept


def test_channels_without_settings_are_previewed_and_say_which_setting_is_missing():
    states = {state.name: state for state in channel_states({})}

    assert not states["slack"].configured
    assert "SLACK_BOT_TOKEN" in states["slack"].why
    assert "SMTP_HOST" in states["email"].why


def test_a_webhook_says_in_its_state_what_it_cannot_do():
    slack, _ = channel_states({"SLACK_WEBHOOK_URL": "https://hooks.example.org/services/x"})

    assert slack.configured
    assert "no edits" in slack.why


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb 1"}, "SLACK_BOT_TOKEN"),
        ({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_API_URL": "http://slack.example.org/api/"}, "SLACK_API_URL"),
        ({"SLACK_WEBHOOK_URL": "http://hooks.example.org/x"}, "SLACK_WEBHOOK_URL"),
        ({"SLACK_WEBHOOK_URL": "hooks.example.org/x"}, "SLACK_WEBHOOK_URL"),
        ({"SMTP_HOST": "m.example.org"}, "SMTP_FROM"),
        ({"SMTP_HOST": "m.example.org", "SMTP_FROM": "not an address"}, "SMTP_FROM"),
        ({"SMTP_HOST": "m.example.org", "SMTP_FROM": "a@b.c", "SMTP_TLS": "ssl"}, "SMTP_TLS"),
        ({"SMTP_HOST": "m.example.org", "SMTP_FROM": "a@b.c", "SMTP_PORT": "99999"}, "SMTP_PORT"),
        ({"SMTP_HOST": "m.example.org", "SMTP_FROM": "a@b.c", "SMTP_USERNAME": "u"}, "SMTP_PASSWORD"),
        (
            {
                "SMTP_HOST": "m.example.org",
                "SMTP_FROM": "a@b.c",
                "SMTP_USERNAME": "u",
                "SMTP_PASSWORD": "p",
                "SMTP_TLS": "none",
            },
            "starttls",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_name_of_the_setting(environ, named):
    with pytest.raises(SettingsError, match=named):
        open_channels(environ, Kept())


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SMTP_HOST": "m.example.org"}, (587, "starttls")),
        ({"SMTP_HOST": "m.example.org", "SMTP_PORT": "465"}, (465, "tls")),
        ({"SMTP_HOST": "127.0.0.1"}, (25, "none")),
        ({"SMTP_HOST": "localhost", "SMTP_PORT": "1025"}, (1025, "none")),
    ],
)
def test_mail_is_encrypted_by_default_except_on_this_machine(environ, expected):
    settings = smtp_settings({"SMTP_FROM": "Alerts <a@example.org>", **environ})

    assert (settings.port, settings.security) == expected
