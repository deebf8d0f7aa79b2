"""The bridge's own troubles as records: they become incidents like any other, told to the operator."""

from __future__ import annotations

from alert_bridge.fingerprint import fingerprint
from alert_bridge.incidents import Event
from alert_bridge.model import Duty, Recipient, Record, Severity
from alert_bridge.policy.model import Policy
from alert_bridge.routing import on_duty
from instrumentation import attributes as names

__all__ = ["OWN_PIPELINE", "operator", "own_trouble"]

OWN_PIPELINE = "pipeline-alerts"
OPERATOR_AUDIENCE = "infrastructure"


def own_trouble(kind: str, text: str, *, uid: str, recipients: tuple[Recipient, ...], now: int) -> Event:
    """An event about ourselves; the same ``kind`` is the same problem."""
    record = Record(
        uid=uid,
        time=now,
        observed=now,
        severity=Severity.ERROR,
        severity_text="ERROR",
        body=text,
        attributes={names.OWN_TROUBLE: kind, names.FINGERPRINT: f"{OWN_PIPELINE}/{kind}"},
        resource={names.SERVICE_NAME: OWN_PIPELINE, names.PIPELINE_NAME: OWN_PIPELINE},
        scope="alert_bridge",
    )
    return Event(record, Severity.ERROR, fingerprint(record), text.split("\n", 1)[0], recipients)


def operator(policy: Policy, *, without: frozenset[tuple[str, str]], now: int) -> tuple[Recipient, ...]:
    """Whoever looks after the bridge: `infrastructure`, else the first audience that can be reached.

    Args:
        policy: the policy in force.
        without: (channel, address) pairs that do not work.
        now: nanoseconds since the epoch, for a rota.
    """
    order = sorted(policy.audiences, key=lambda key: key != OPERATOR_AUDIENCE)
    for key in order:
        contact = on_duty(key, policy, now)
        addresses = [("slack", contact.slack)] if contact.slack else []
        addresses += [("email", address) for address in contact.email]
        working = [pair for pair in addresses if pair not in without]
        if working:
            return tuple(
                Recipient(channel, address, (key,), Duty.ACT, "looks after the alerting itself")
                for channel, address in working
            )
    return ()
