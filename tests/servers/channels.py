"""Channels opened on the scripted servers or on a preview in memory, and a message to send by them."""

from __future__ import annotations

import json

from alert_bridge.channels import open_channels
from alert_bridge.messages import compose
from alert_bridge.model import Duty, Message, Reason, Record, Severity
from instrumentation import attributes as names
from tests.servers.stories import T, story

PASSWORD = "correct-horse-battery"
HOSTILE = (
    "<!channel> <@U1> <https://evil.example|click> & <script>alert(1)</script> @here\r\nBcc: all@example.org\u2028X"
)


def record(body="Cannot reach the data store", **attributes):
    known = {names.PIPELINE_NAME: "monthly_run", names.RUN_ID: "r1", names.STAGE: "fetch"}
    return Record(
        uid="t-1",
        time=T,
        observed=0,
        severity=Severity.ERROR,
        severity_text="ERROR",
        body=body,
        attributes={**known, **attributes},
    )


def message(sample=None, *, reason=Reason.OPENED, duty=Duty.ACT, key="i1-1", count=1, **about) -> Message:
    about = {"id": "i1", "title": "Cannot reach the data store", "count": count, **about}
    sample = sample or record()
    return compose(story(sample, reason=reason, duty=duty, count=count, notice_key=key, about=about))


class Kept:
    """A preview store in memory: what the real one keeps, without the database."""

    def __init__(self):
        self.payloads = {}
        self.edits = 0

    def __call__(self, channel, address, incident_id, payload, reference, /):
        reference = reference or f"preview-{len(self.payloads) + 1}"
        self.edits += reference in self.payloads
        self.payloads[reference] = (channel, address, incident_id, json.loads(payload))
        return reference


def slack_by(server):
    return open_channels({"SLACK_BOT_TOKEN": server.token, "SLACK_API_URL": server.api_url}, Kept())["slack"]


def webhook_by(server):
    return open_channels({"SLACK_WEBHOOK_URL": server.webhook_url}, Kept())["slack"]


def email_by(server, **more):
    return open_channels({**server.environ, **more}, Kept())["email"]


def texts(payload):
    blocks = payload.get("blocks", [])
    return [text["text"] for block in blocks for text in [block.get("text"), *block.get("elements", [])] if text]
