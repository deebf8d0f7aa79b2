"""The alerts process: control.db, intake, couriers and the HTTP surface in one interpreter. Composition only."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import secrets
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping

import uvicorn

from alert_bridge.channels.opening import ChannelState, channel_states, open_channels
from alert_bridge.errors import StoreBusy
from alert_bridge.intake import Intake
from alert_bridge.operations import Overseer
from alert_bridge.outbox import Courier, Office, Upkeep, begin, revive
from alert_bridge.outbox.trouble import operator, report, trouble_event
from alert_bridge.policy.load import packaged_path
from alert_bridge.service.app import Doors, application
from alert_bridge.service.arrivals import end_by_signal, serving
from alert_bridge.service.gauges import Gauges
from alert_bridge.service.relay import Relay
from alert_bridge.service.rulebook import Rulebook, reload_by_signal
from alert_bridge.service.settings import ServiceSettings
from alert_bridge.service.watch import Watch
from alert_bridge.store.control import ControlStore, ControlWishes, open_reader
from alert_bridge.store.exports import export_states
from alert_bridge.store.telemetry import Telemetry
from alert_bridge.web import WebSettings, routes
from alert_bridge.web.settings import ChannelSetup

__all__ = ["run"]

NS = 1_000_000_000
STOP_WITHIN_S = 2.0  # a message that is being sent may end; the parent waits a little longer than this
REFUSED_TOLD_EVERY_S = 3_600.0
THREAD_SWITCH_S = 0.0005  # an answer must not wait five milliseconds for another thread's turn to end
INCIDENT_ID_BYTES = 8  # 64 random bits, 12 characters of them shown

log = logging.getLogger(__name__)


def new_incident_id() -> str:
    """12 lower-case base32 characters: short enough to read out, too many to guess."""
    return base64.b32encode(secrets.token_bytes(INCIDENT_ID_BYTES)).decode()[:12].lower()


def run(settings: ServiceSettings, listening: socket.socket, environ: Mapping[str, str]) -> None:
    """Serve until SIGTERM; SIGHUP reloads the policy.

    Raises:
        UsageError: the policy or the settings would not work.
    """
    sys.setswitchinterval(THREAD_SWITCH_S)
    states = channel_states(environ)
    store = ControlStore(settings.state)
    bridge = _Bridge(settings, store, states, listening.getsockname()[1], environ)
    server = _Server(serving(bridge.app), bridge)
    end_by_signal(server)
    reload_by_signal(bridge.reload)
    bridge.start()
    try:
        server.run(sockets=[listening])
    finally:
        bridge.stop()


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, bridge: _Bridge) -> None:
        super().__init__(config)
        self._bridge = bridge
        self._preparing: asyncio.Task[object] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._bridge.announce()
        self._preparing = asyncio.create_task(self._bridge.relay.prepare())


class _Bridge:
    """The parts of the process, put together."""

    def __init__(
        self,
        settings: ServiceSettings,
        store: ControlStore,
        states: tuple[ChannelState, ...],
        port: int,
        environ: Mapping[str, str],
    ) -> None:
        self._store = store
        self._states = states
        self._refused_told_at = 0
        self._refused = Counter[str]()
        self.url = settings.url(port)
        channels = open_channels(environ, self._save_preview)
        self.rulebook = Rulebook(settings, channels, frozenset(state.name for state in states if state.configured))
        reader = open_reader(settings.state)
        telemetry = Telemetry(settings.state)
        attempts: Counter[tuple[str, str]] = Counter()
        self._intake = Intake(
            store,
            policy=self.rulebook.policy,
            rules=self.rulebook.rules,
            clock=time.time_ns,
            new_id=new_incident_id,
            wake=self.wake,
        )
        self.gauges = Gauges(reader, intake=self._intake.totals, attempts=attempts, state=settings.state)
        office = Office(
            store=store,
            policy=self.rulebook.policy,
            rules=self.rulebook.rules,
            telemetry=lambda: telemetry,
            public_url=self.url,
            new_id=new_incident_id,
            on_delivered=self.gauges.delivered,
            wake=self.wake,
            attempts=attempts,
        )
        self._couriers = {name: Courier(channel, office) for name, channel in channels.items()}
        self._upkeep = Upkeep(
            store, policy=self.rulebook.policy, rules=self.rulebook.rules, clock=time.time_ns, wake=self.wake
        )
        self._overseer = Overseer(
            store,
            control=reader,
            telemetry=telemetry,
            policy=self.rulebook.policy,
            rules=self.rulebook.rules,
            clock=time.time_ns,
            new_id=new_incident_id,
            wake=self.wake,
        )
        self.relay = Relay(settings.telemetry_socket)
        watch = Watch(
            intake=self._intake,
            couriers=tuple(self._couriers.values()),
            relay=self.relay,
            rulebook=self.rulebook,
            reader=reader,
            overseer=self._overseer,
            clock=time.time_ns,
        )
        policy = self.rulebook.policy()
        pages = routes(
            reader,
            telemetry,
            WebSettings(
                public_url=self.url,
                token=settings.tokens[0] if settings.tokens else "",
                audiences={key: audience.name for key, audience in policy.audiences.items()},
                channels=tuple(ChannelSetup(state.name, not state.configured, state.why) for state in states),
                exports=lambda: export_states(settings.state),
            ),
            ControlWishes(store, reader),
        )
        self.app = application(
            Doors(self._intake, self.relay, self.gauges, watch, settings.tokens, self._on_refused), pages
        )

    def start(self) -> None:
        now = time.time_ns()
        interrupted = begin(self._store, now=now)
        if interrupted:
            log.warning("%d messages were being sent when the bridge last ended; they are sent again", interrupted)
        revive(self._store, self.rulebook.rules(), now=now)
        self._note_policy()
        self._intake.start()
        self._upkeep.start()
        self._oversee_once()
        self._overseer.start()
        for courier in self._couriers.values():
            courier.start()

    def _oversee_once(self) -> None:
        """What came due while nobody was here, before any courier can tell the parts of it singly."""
        try:
            self._overseer.step()
        except StoreBusy as error:
            log.warning("The overseer begins a little later: %s", error)

    def stop(self) -> None:
        deadline = time.monotonic() + STOP_WITHIN_S
        self._upkeep.stop()
        self._overseer.stop()
        self._intake.stop()
        for courier in self._couriers.values():
            courier.stop()
        for thread in (self._intake, self._overseer, *self._couriers.values()):
            thread.join(max(deadline - time.monotonic(), 0.0))
        if not any(thread.is_alive() for thread in (self._intake, self._overseer, *self._couriers.values())):
            self._store.close()

    def wake(self, channels: set[str]) -> None:
        for name in channels:
            if name in self._couriers:
                self._couriers[name].wake()

    def reload(self) -> None:
        """SIGHUP: the new policy if it works, and another chance for channels that a person may have mended."""
        if self.rulebook.reload():
            revive(self._store, self.rulebook.rules(), now=time.time_ns())
        self._note_policy()
        self.wake(set(self._couriers))

    def announce(self) -> None:
        """The one line on standard output: where, by which policy, through which channels."""
        path = self.rulebook.policy().path
        policy = f"{path} (the packaged one)" if path == packaged_path() else str(path)
        channels = " · ".join(f"{state.name} {state.why}" for state in self._states)
        print(f"pipeline-alerts: {self.url} · policy {policy} · {channels}", flush=True)  # noqa: T201 - its purpose

    def _note_policy(self) -> None:
        policy = self.rulebook.policy()
        with self._store.writing() as book:
            book.meta("policy", str(policy.path))
            book.meta("policy_digest", policy.digest)
            book.meta("policy_problem", self.rulebook.problem)
            book.meta("url", self.url)
            book.meta("pid", str(os.getpid()))
            for state in self._states:
                book.meta(f"channel/{state.name}", state.why)

    def _save_preview(self, channel: str, address: str, incident_id: str, payload: str, reference: str) -> str:
        with self._store.writing() as book:
            audiences = book.audiences_of(channel, address, incident_id)
            return book.save_preview(
                channel, address, audiences, incident_id, payload, reference=reference, now=time.time_ns()
            )

    def _on_refused(self) -> None:
        """A wrong token: counted always, told to the operator at most once an hour."""
        self.gauges.count("refused")
        self._refused["since"] += 1
        now = time.time_ns()
        if now - self._refused_told_at < REFUSED_TOLD_EVERY_S * NS:
            return
        self._refused_told_at = now
        threading.Thread(target=self._tell_refused, args=(now,), daemon=True).start()

    def _tell_refused(self, now: int) -> None:
        count, self._refused["since"] = self._refused["since"], 0
        text = (
            f"A sender's token is missing or wrong ({count} requests so far): nothing from it gets in. It keeps its"
            " records and tries again; give it the bridge's token, or end it."
        )
        try:
            with self._store.writing() as book:
                recipients = operator(self.rulebook.policy(), without=frozenset(book.broken_addresses()), now=now)
                event = trouble_event("intake/refused", text, recipients=recipients, now=now)
                channels = report(book, event, self.rulebook.rules(), new_id=new_incident_id, now=now)
        except StoreBusy as error:
            log.warning("The operator could not be told of a wrong token: %s", error)
            self._refused_told_at = 0
        else:
            self.wake(channels)
