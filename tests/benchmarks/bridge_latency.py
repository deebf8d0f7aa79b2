"""From POST to a channel: how long the bridge takes, with `hold: 0s`, to Slack and by email, one error every 1.2 s.

    python -m tests.benchmarks.bridge_latency [ROUNDS]

The peer in the same run is the smallest thing that could do it: a POST to the scripted Slack server itself.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.servers.bridge import BridgeProcess
from tests.servers.otlp_client import logs_request, post, record
from tests.servers.slack import SlackServer
from tests.servers.smtp import SmtpServer

ROUNDS = 20
EVERY_S = 1.2  # Slack takes one post a second and channel; the bridge keeps to that


def main(rounds: int = ROUNDS) -> None:
    """Measure and print medians and maxima in milliseconds."""
    words = [f"problem {chr(97 + number // 26)}{chr(97 + number % 26)} broke" for number in range(rounds + 1)]
    with SlackServer() as slack, SmtpServer() as smtp, tempfile.TemporaryDirectory() as folder:
        environ = {"SLACK_BOT_TOKEN": slack.token, "SLACK_API_URL": slack.api_url, **smtp.environ}
        with BridgeProcess(Path(folder), environ=environ) as bridge:
            bridge.wait_until_ready()
            answered, posted, mailed, peer = [], [], [], []
            for number, word in enumerate(words):
                body = logs_request(record(word))
                began = time.monotonic()
                post(f"{bridge.url}/alerts/v1/logs", body)
                answer = time.monotonic()
                call = slack.wait_for_calls(2 * number + 1)[-1]
                mail = smtp.wait_for_mails(number + 1)[-1]
                direct = time.monotonic()
                post(f"{slack.api_url}auth.test", b"{}", content_type="application/json", token=slack.token)
                after = slack.wait_for_calls(2 * number + 2)[-1]
                if number:  # the first one loads what is loaded late
                    answered.append(answer - began)
                    posted.append(call.at - began)
                    mailed.append(mail.at - began)
                    peer.append(after.at - direct)
                time.sleep(EVERY_S)
    for name, values in (
        ("answered 200 (on disk)", answered),
        ("Slack server has it", posted),
        ("SMTP server has it", mailed),
        ("peer: a bare POST to the Slack server", peer),
    ):
        print(f"{name:<40} median {statistics.median(values) * 1000:6.1f} ms   max {max(values) * 1000:6.1f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
