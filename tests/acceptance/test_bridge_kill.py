"""SIGKILL, again and again, between intake and send: nothing accepted is lost, at most one extra post per kill."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import closing

import pytest

from tests.servers.bridge import BridgeProcess, wait_for
from tests.servers.otlp_client import logs_request, post, record
from tests.servers.slack import SlackServer
from tests.servers.smtp import SmtpServer

ROUNDS = {"alerts process": 30, "whole service": 10}
SEED = 20261125
LONGEST_LIFE_S = 0.08  # from the answer to the kill: long enough for a whole delivery, short enough to hit its middle
SETTLE_WITHIN_S = 180.0
ACCEPTED_WITHIN_S = 60.0
WORDS = [
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "haven",
    "inlet",
    "jetty",
    "knoll",
    "larch",
    "mango",
    "north",
    "ocean",
    "pearl",
    "quartz",
    "ridge",
    "shore",
    "tulip",
    "umber",
    "viola",
    "willow",
    "xenon",
    "yarrow",
    "zephyr",
    "acorn",
    "basil",
    "clove",
    "dahlia",
]


# Two words a text: of longer ones that differ in one word, the bridge would learn that they are one problem.


def accept(bridge, body, within_s=ACCEPTED_WITHIN_S):
    """Send until it is accepted, as a Collector does."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if post(f"{bridge.url}/alerts/v1/logs", body).status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass  # killed in the middle, or not back yet: a Collector tries again
        time.sleep(0.01)
    raise AssertionError("the bridge accepted nothing")


def word_of(text):
    """Which problem a message is about."""
    return next((word for word in WORDS if f"{word} broke" in text), "")


def extra(told):
    """How many messages were too many; a problem may be unlucky twice, but one kill costs a channel only one."""
    return sum(count - 1 for word, count in told.items() if word)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("victim", ["alerts process", "whole service"])
def test_b12_nothing_accepted_is_lost_and_a_kill_doubles_at_most_one_message(tmp_path, victim):
    chance = random.Random(SEED)
    words = WORDS[: ROUNDS[victim]]
    with SlackServer() as slack, SmtpServer() as smtp:
        environ = {"SLACK_BOT_TOKEN": slack.token, "SLACK_API_URL": slack.api_url, **smtp.environ}
        posted = lambda: Counter(word_of(json.dumps(one)) for one in slack.messages)  # noqa: E731 - asked again and again
        mailed = lambda: Counter(word_of(mail.part("plain")) for mail in smtp.mails)  # noqa: E731 - the same
        doubled = []  # extra posts and mails before each kill, and in the end
        bridge = BridgeProcess(tmp_path, environ=environ)
        bridge.start()
        try:
            for word in words:
                accept(bridge, logs_request(record(f"{word} broke", uid=f"uid-{word}")))
                time.sleep(chance.uniform(0, LONGEST_LIFE_S))
                doubled.append((extra(posted()), extra(mailed())))
                if victim == "whole service":
                    bridge.kill()
                    bridge.start()
                else:
                    os.kill(bridge.children()["alerts"], signal.SIGKILL)
                    wait_for(lambda: "alerts" in bridge.children())

            told = lambda: all(posted()[word] and mailed()[word] for word in words)  # noqa: E731 - asked again and again
            wait_for(told, SETTLE_WITHIN_S, lambda: f"posted {posted()} mailed {mailed()}")
            with closing(bridge.reader()) as control:
                wait_for(lambda: all(book.queued == 0 and book.balance == 0 for book in control.books()))
        finally:
            bridge.stop()

        doubled.append((extra(posted()), extra(mailed())))
        print(f"{len(words)} kills of the {victim}: extra posts and mails {doubled[-1]}, none lost")
        assert set(posted()) - {""} == set(words)
        assert all(max(extras) <= kills for kills, extras in enumerate(doubled))
