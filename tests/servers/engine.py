"""The engine on a real control.db under a clock that a test moves: post records, let time pass, see what was told.

No network and no threads: couriers step when time passes. Closing and opening it again is a restart.
"""

from __future__ import annotations

import tempfile
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from alert_bridge.channels.base import Delivered
from alert_bridge.errors import DeliveryError
from alert_bridge.intake import sift, take
from alert_bridge.model import Audience, Duty, Message, Record, Severity
from alert_bridge.operations import Overseer
from alert_bridge.outbox import Courier, Office, Upkeep, begin, revive, rules_of
from alert_bridge.policy.model import Grouping, Policy, Route
from alert_bridge.store.control import ControlStore, open_reader
from alert_bridge.store.interface import TelemetryReader
from instrumentation import attributes as names
from tests.servers.memory_store import MemoryTelemetry

NS = 1_000_000_000
DAY_S = 86_400.0
START = 1_790_000_000 * NS
AUDIENCES = {
    "mdd": Audience("mdd", "MD&D", Duty.ACT, "#mdd", ("mdd@site.test",)),
    "infrastructure": Audience("infrastructure", "Infrastructure", Duty.ACT, "#infra", ("infra@site.test",)),
    "outreach": Audience("outreach", "Outreach", Duty.INFORM, "#outreach"),
}
RESOURCE = {
    "service.name": "monthly_run",
    "cicd.pipeline.name": "monthly_run",
    "deployment.environment.name": "test",
}
# Hundreds of stores that are thrown away need no disk: memory where there is a file system in it.
MEMORY = Path("/dev/shm")
_uids = count(1)


def a_policy(**changes) -> Policy:
    """Everybody by Slack, two audiences by email, held one and ten seconds."""
    values = {
        "path": Path("alerting.yaml"),
        "audiences": AUDIENCES,
        "rotas": {},
        "routes": (
            Route("slack", ("mdd", "infrastructure", "outreach"), Severity.ERROR, 10),
            Route("email", ("mdd", "infrastructure"), Severity.ERROR, 11),
        ),
        "rules": (),
        "grouping": Grouping({"slack": 1.0, "email": 10.0}, 86_400.0, None),
    }
    return Policy(**{**values, **changes})


def only_mdd(**changes) -> Policy:
    """One audience, one channel: for tests that count messages."""
    values = {"routes": (Route("slack", ("mdd",), Severity.ERROR, 10),), **changes}
    return a_policy(**values)


def a_record(body: str = "boom", severity: Severity = Severity.ERROR, *, at: int = START, run: str = "run-1", **more):
    """One record of the pipeline; ``more``: `stage`, `uid`, `event`, or attributes."""
    attributes = dict(more.pop("attributes", {}))
    if "stage" in more:
        attributes["cicd.pipeline.task.name"] = more.pop("stage")
    return Record(
        uid=more.pop("uid", "") or f"uid-{next(_uids)}",
        time=at,
        observed=at,
        severity=severity,
        severity_text=severity.name,
        body=body,
        event_name=more.pop("event", ""),
        attributes=attributes,
        resource={**RESOURCE, "cicd.pipeline.run.id": run, **more},
        scope="tests",
    )


def a_success(run: str, at: int, stage: str = "", **said: object) -> Record:
    """The good end of a run, or of one stage of it."""
    if stage:
        return a_record("", Severity.INFO, at=at, run=run, stage=stage, event=names.EVENT_STAGE_END,
                        attributes={names.STAGE_RESULT: names.RESULT_SUCCESS})  # fmt: skip
    result = {names.RUN_RESULT: names.RESULT_SUCCESS, **said}
    return a_record("", Severity.INFO, at=at, run=run, event=names.EVENT_RUN_END, attributes=result)


@dataclass(frozen=True, slots=True)
class Told:
    """One message that a channel took."""

    at: float  # seconds since the start
    message: Message
    address: str
    earlier: str
    reference: str


@dataclass
class ScriptedChannel:
    """A channel that takes everything, unless errors are lined up."""

    name: str
    engine: Engine
    edits: bool = True
    pause: float = 0.0
    told: list[Told] = field(default_factory=list)
    errors: deque[DeliveryError] = field(default_factory=deque)
    always: DeliveryError | None = None
    tries: list[float] = field(default_factory=list)

    def deliver(self, message: Message, address: str, earlier: str) -> Delivered:
        """Take it, or raise what is lined up."""
        self.tries.append(self.engine.seconds)
        if self.errors:
            raise self.errors.popleft()
        if self.always is not None:
            raise self.always
        reference = earlier or f"{self.name}-{len(self.told)}"
        self.told.append(Told(self.engine.seconds, message, address, earlier, reference))
        return Delivered(reference, "taken")

    @property
    def posts(self) -> list[Told]:
        """New messages."""
        return [told for told in self.told if not told.earlier]


class Engine:
    """Store, intake and couriers under one clock."""

    def __init__(self, state: Path, policy: Policy | None = None, telemetry: TelemetryReader | None = None) -> None:
        self.state = state
        self.policy = policy or a_policy()
        self.now = START
        self.slack = ScriptedChannel("slack", self, pause=1.1)
        self.email = ScriptedChannel("email", self, edits=False)
        self.matched: Counter[str] = Counter()
        self.telemetry = telemetry or MemoryTelemetry()
        self.longest_step = 7 * 86_400.0  # seconds between two looks of anybody at the clock
        self._ids = count(1)
        self._open()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return (self.now - START) / NS

    def restart(self) -> None:
        """End and begin again, as after a kill: whatever was in memory is gone."""
        self.reader.close()
        self.store.close()
        self._open()
        revive(self.store, self.rules, now=self.now)

    def post(self, *records: Record) -> Counter[str]:
        """One request; returns what became of its records."""
        sifted = [item for record in records if (item := sift(record, self.policy, self.now)) is not None]
        with self.store.writing() as book:
            tally, _ = take(book, sifted, self.rules, now=self.now, new_id=self.new_id)
            book.count(tally)
        return tally

    def at(self, seconds: float) -> None:
        """Let time pass until this second since the start."""
        until = START + int(seconds * NS)
        while True:
            self.upkeep.step()
            self.overseer.step()
            sleep = min(self._step(courier) for courier in self.couriers)
            if self.now >= until:
                return
            self.now = min(self.now + max(int(min(sleep, self.longest_step) * NS), 1), until)

    def books(self):
        """By channel."""
        return {book.channel: book for book in self.reader.books()}

    def incidents(self):
        """All of them, oldest first."""
        return sorted(self.reader.incidents(open_only=False), key=lambda incident: (incident.opened_at, incident.id))

    def incident_case(self, number: int):
        """The whole case of one incident."""
        with self.store.writing() as book:
            return book.case(self.incidents()[number].id)

    def reload(self, policy: Policy) -> None:
        """As SIGHUP does."""
        self.policy = policy
        revive(self.store, self.rules, now=self.now)

    @property
    def rules(self):
        return rules_of(self.policy, {"slack": self.slack, "email": self.email})

    def new_id(self) -> str:
        """Ids in order, so that a failing test can be read."""
        return f"incident-{next(self._ids):03}"

    def close(self) -> None:
        """Close the files."""
        self.reader.close()
        self.store.close()

    def _open(self) -> None:
        self.store = ControlStore(self.state)
        self.reader = open_reader(self.state)
        begin(self.store, now=self.now)
        office = Office(
            store=self.store,
            policy=lambda: self.policy,
            rules=lambda: self.rules,
            telemetry=lambda: None,
            public_url="http://bridge.test",
            clock=lambda: self.now,
            jitter=lambda: 0.5,
            new_id=self.new_id,
        )
        self.couriers = [Courier(self.slack, office), Courier(self.email, office)]
        self.overseer = Overseer(
            self.store,
            control=self.reader,
            telemetry=self.telemetry,
            policy=lambda: self.policy,
            rules=lambda: self.rules,
            clock=lambda: self.now,
            new_id=self.new_id,
            wake=lambda _channels: None,
        )
        self.upkeep = Upkeep(
            self.store,
            policy=lambda: self.policy,
            rules=lambda: self.rules,
            clock=lambda: self.now,
            wake=lambda _channels: None,
        )

    def _step(self, courier: Courier) -> float:
        sleep = courier.step()
        while sleep <= 0:
            sleep = courier.step()
        return sleep


@contextmanager
def passing_engine(policy: Policy) -> Iterator[Engine]:
    """An engine for one example of a property test."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        engine = Engine(Path(folder), policy)
        try:
            yield engine
        finally:
            engine.close()
