"""The policy in force: loaded at the start, replaced on SIGHUP, kept if the new file would not work.

Kept also beyond the end of a process, as a copy: one that starts again while the file would not work goes on with it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from alert_bridge.channels.base import Channel
from alert_bridge.errors import SettingsError, UsageError
from alert_bridge.outbox import Rules, rules_of
from alert_bridge.policy.load import load
from alert_bridge.policy.model import Policy
from alert_bridge.service.settings import ServiceSettings

__all__ = ["FollowedPolicy", "Rulebook", "reload_by_signal"]

COPY_MODE = 0o600  # it names people

log = logging.getLogger(__name__)


def _first_policy(settings: ServiceSettings) -> tuple[Policy, str]:
    """The policy that a process begins with, and why it is not the one in the file; empty if it is.

    Raises:
        UsageError: the file would not work, and this is a first start: a person looks, and must hear of it.
    """
    try:
        return load(settings.policy), ""
    except UsageError as error:
        if not settings.starts_again or not settings.policy_copy.exists():
            raise
        log.error("The policy that was in force goes on, because the new one would not work:\n%s", error)  # noqa: TRY400 - no trace
        return replace(load(settings.policy_copy), path=settings.policy), str(error)


def reload_by_signal(reload: Callable[[], object]) -> None:
    """Have SIGHUP reload, beside the main thread: a large file takes seconds.

    The parent forks processes with the signal held back: one that came while the policy was read is obeyed now.
    """
    signal.signal(signal.SIGHUP, lambda _number, _frame: threading.Thread(target=reload, daemon=True).start())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


class FollowedPolicy:
    """The policy in a process beside the alerts process, which tells the operator where a new file would not work."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._path = settings.policy
        self._lock = threading.Lock()  # of two reloads, the later one reads the later file
        self.policy: Policy = _first_policy(settings)[0]

    def reload(self) -> None:
        """Read the file again; what would not work changes nothing."""
        with self._lock:
            try:
                self.policy = load(self._path)
            except UsageError as error:
                log.warning("The policy stays as it was, because the new one would not work: %s", error)


class Rulebook:
    """Answers with the policy in force; threads may ask at any time."""

    def __init__(self, settings: ServiceSettings, channels: Mapping[str, Channel], configured: frozenset[str]) -> None:
        self._path = settings.policy
        self._copy = settings.policy_copy
        self._channels = channels
        self._configured = configured
        self._lock = threading.Lock()
        # ``problem``: why the newest file is not in force.
        self._policy, self.problem = _first_policy(settings)
        _refuse_placeholders(self._policy, configured)
        self._rules = rules_of(self._policy, channels)
        if not self.problem:
            _keep(self._policy, self._copy)

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
            _keep(policy, self._copy)
            log.info("The policy %s is in force", policy.path)
            return True

    def _load(self) -> Policy:
        policy = load(self._path)
        _refuse_placeholders(policy, self._configured)
        return policy


def _keep(policy: Policy, copy: Path) -> None:
    """Copy the file of a policy, if it is still the one that was read."""
    fresh = copy.with_suffix(".new")
    try:
        raw = policy.path.read_bytes()
        if hashlib.sha256(raw).hexdigest() != policy.digest:
            return  # it was written again; another reload follows
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, COPY_MODE), "wb") as file:
            file.write(raw)
        fresh.replace(copy)
    except OSError as error:
        log.warning("The policy in force could not be copied to %s: %s", copy, error.strerror)


def _refuse_placeholders(policy: Policy, configured: frozenset[str]) -> None:
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
