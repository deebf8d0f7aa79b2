"""The policy in force: loaded at the start, replaced on SIGHUP, kept if the new file would not work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from alert_bridge.channels.base import Channel
from alert_bridge.errors import SettingsError, UsageError
from alert_bridge.outbox import Rules, rules_of
from alert_bridge.policy.load import load
from alert_bridge.policy.model import Policy

__all__ = ["Rulebook", "refuse_placeholders"]

log = logging.getLogger(__name__)


class Rulebook:
    """Answers with the policy in force; threads may ask at any time."""

    def __init__(self, path: Path, channels: Mapping[str, Channel], configured: frozenset[str]) -> None:
        self._path = path
        self._channels = channels
        self._configured = configured
        self._lock = threading.Lock()
        self.problem = ""  # why the newest file is not in force
        self._policy = self._load()
        self._rules = rules_of(self._policy, channels)

    def policy(self) -> Policy:
        """The policy in force."""
        return self._policy

    def rules(self) -> Rules:
        """What the engine needs of it."""
        return self._rules

    def reload(self) -> bool:
        """Read the file again; returns whether it is in force now. A file that would not work changes nothing."""
        with self._lock:
            try:
                policy = self._load()
            except UsageError as error:
                self.problem = str(error)
                log.error("The policy stays as it was, because the new one would not work:\n%s", error)  # noqa: TRY400 - no trace
                return False
            self._policy, self._rules, self.problem = policy, rules_of(policy, self._channels), ""
            log.info("The policy %s is in force", policy.path)
            return True

    def _load(self) -> Policy:
        policy = load(self._path)
        refuse_placeholders(policy, self._configured)
        return policy


def refuse_placeholders(policy: Policy, configured: frozenset[str]) -> None:
    """A channel that really sends must not send to the example's recipients.

    Raises:
        SettingsError: it would.
    """
    contacts = [(audience.name, audience.slack, audience.email) for audience in policy.audiences.values()]
    contacts += [
        (f"{key} in {month}", contact.slack, contact.email)
        for key, rota in policy.rotas.items()
        for month, contact in rota.items()
    ]
    for channel in sorted(configured):
        for name, slack, email in contacts:
            wrong = [
                address for address in ((slack,) if channel == "slack" else email) if address in policy.placeholders
            ]
            if wrong:
                raise SettingsError(
                    f"{channel} is configured, but {policy.path} still sends {name} to the example's {wrong[0]}:"
                    " put real recipients in (`pipeline-alerts init` writes a file to start from)"
                )
