"""What the policy says about one record, and who hears of it. Pure: the time is passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from alert_bridge.model import AttributeValue, Duty, Recipient, Record, Severity
from alert_bridge.policy.model import Contact, Policy, Route, Rule
from instrumentation import attributes as names

__all__ = ["MATCHED_CHARACTERS", "Judgement", "is_test", "judge", "on_duty", "recipients", "value_of"]

MATCHED_CHARACTERS = 4_096
"""Of a body or an attribute: what a rule sees. A glob that needs more looks for the wrong thing."""

TOLD_CHANNELS = ("slack", "email")

_REMEMBERED = 256  # answers: more than a policy has different ones in a month, and the one before it
_NANOSECONDS = 1_000_000_000
_TEXTS = ("owner", "runbook", "effect", "fingerprint")
_FIELDS: Mapping[str, Callable[[Record], str]] = {
    "severity": lambda record: record.severity.name,
    "body": lambda record: record.body[:MATCHED_CHARACTERS],
    "event_name": lambda record: record.event_name,
    "pipeline": lambda record: record.pipeline,
    "environment": lambda record: record.environment,
    "stage": lambda record: record.stage,
    "scope": lambda record: record.scope,
}
_FEW_VALUED = frozenset(_FIELDS) - {"body"} | {names.EXCEPTION_TYPE, names.SERVICE_NAME, names.HOST_NAME}
_ALIKE = 1_024  # combinations of these values, remembered per policy
_POLICIES = 4  # the one in force, and the one before it
_OWN_WORD_LINE = 0  # of the trail: the record's own attribute stands in no file


@dataclass(frozen=True, slots=True)
class Judgement:
    """What rules made of a record. Texts are empty where no rule set one; ``audiences`` is None then."""

    severity: Severity
    audiences: tuple[str, ...] | None = None
    owner: str = ""
    runbook: str = ""
    effect: str = ""
    fingerprint: str = ""
    dropped: bool = False
    trail: tuple[
        tuple[int, str], ...
    ] = ()  # (line in the policy file, what it did); line 0: the record's own attribute


def judge(record: Record, policy: Policy) -> Judgement:
    """Apply all rules in the order of the file; the later one wins.

    Conditions see the record as it came, not what an earlier rule made of it. The record's own `pipeline.audience`
    comes first, so that a rule has the last word. A test alert asks for one audience and gets it: rules neither
    redirect nor drop it.
    """
    audiences, trail = _own_audiences(record, policy)
    matching = _sieve(policy).matching(record)
    if not matching:
        return Judgement(record.severity, audiences, trail=trail)
    if is_test(record):
        ignored = "matches, but a test alert goes where it was asked to go"
        return Judgement(record.severity, audiences, trail=(*trail, *((rule.line, ignored) for rule in matching)))
    texts: dict[str, str] = {}
    severity, dropped = record.severity, False
    for rule in matching:
        wanted = rule.set
        severity = severity if wanted.severity is None else wanted.severity
        audiences = audiences if wanted.audiences is None else wanted.audiences
        texts |= {name: text for name in _TEXTS if (text := getattr(wanted, name)) is not None}
        dropped = dropped or wanted.drop
    trail += tuple((rule.line, _what(rule, record)) for rule in matching)
    return Judgement(severity, audiences, dropped=dropped, trail=trail, **texts)


class _Sieve:
    """The rules of one policy: what is left of them for records that are alike in everything but their texts.

    Thousands of records a second come from a few loggers and stages; of most rules nothing is left for most of them.
    """

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self._keys = tuple(sorted(_FEW_VALUED & {key for rule in rules for key, _ in rule.match.tests}))
        self._left = lru_cache(maxsize=_ALIKE)(self._sort_out)

    def matching(self, record: Record) -> list[Rule]:
        """The rules all of whose conditions hold. Each text is looked up once, however many rules ask for it."""
        left = self._left(*[value_of(record, key) for key in self._keys])
        if not left:
            return []
        seen: dict[str, str | None] = {}
        matching = []
        for rule, tests in left:
            for key, fits in tests:
                try:
                    value = seen[key]
                except KeyError:
                    value = seen[key] = value_of(record, key)
                if value is None or not fits(value):
                    break
            else:
                matching.append(rule)
        return matching

    def _sort_out(self, *values: str | None) -> tuple[tuple[Rule, tuple[tuple[str, Callable[[str], bool]], ...]], ...]:
        known = dict(zip(self._keys, values, strict=True))
        return tuple(
            (rule, tuple((key, fits) for key, fits in rule.match.tests if key not in known))
            for rule in self._rules
            if all((value := known[key]) is not None and fits(value) for key, fits in rule.match.tests if key in known)
        )


@lru_cache(maxsize=_POLICIES)
def _sieve(policy: Policy) -> _Sieve:
    return _Sieve(policy.rules)


def recipients(judgement: Judgement, record: Record, policy: Policy, now_ns: int) -> tuple[Recipient, ...]:
    """Who is told in Slack and by email: sorted by channel and address, nobody twice in one channel.

    All routes that the severity passes apply; their audiences are narrowed to those that a rule set, if one did. An
    audience with a rota comes on top of the table in every channel that has such a route.

    Args:
        judgement: what `judge` made of the record.
        record: for a test alert that asks for one channel only.
        policy: the policy in force.
        now_ns: nanoseconds since the epoch; its month in UTC picks the person of a rota.
    """
    if judgement.dropped:
        return ()
    only = record.text(names.TEST_CHANNEL) if is_test(record) else ""
    return _told(policy, judgement.severity, judgement.audiences, only, _month(now_ns))


@lru_cache(maxsize=_REMEMBERED)
def _told(
    policy: Policy, severity: Severity, audiences: tuple[str, ...] | None, only: str, month: str
) -> tuple[Recipient, ...]:
    """Remembered, because a flood of errors asks the same question ten thousand times."""
    result: list[Recipient] = []
    for channel in TOLD_CHANNELS:
        routes = [
            route
            for route in policy.routes
            if route.channel == channel and severity >= route.min_severity and only in ("", channel)
        ]
        if routes:
            result += _in_channel(channel, routes, audiences, policy, month)
    return tuple(sorted(result, key=lambda recipient: (recipient.channel, recipient.address)))


def is_test(record: Record) -> bool:
    """Whether somebody sent it to see that alerts arrive."""
    return str(record.attributes.get(names.TEST_ALERT, "")).lower() in ("true", "1")


def on_duty(audience: str, policy: Policy, now_ns: int) -> Contact:
    """The addresses of an audience now: its person of the month, else its own (who stand in), else none."""
    own = policy.audiences[audience]
    person = policy.rotas.get(audience, {}).get(_month(now_ns))
    return person or Contact(own.slack, own.email)


def _in_channel(
    channel: str, routes: list[Route], audiences: tuple[str, ...] | None, policy: Policy, month: str
) -> Iterator[Recipient]:
    gathered: dict[str, list[tuple[str, str, str]]] = {}  # normal form -> (address as written, audience, why)
    for key in policy.audiences:
        if audiences is not None and key not in audiences:
            continue
        lines = sorted(route.line for route in routes if key in route.audiences)
        if lines:
            why = f"{channel} route at line {', '.join(str(line) for line in lines)}"
        elif key in policy.rotas:
            why = f"on top of the {channel} routes"
        else:
            continue
        for address, reason in _addresses(key, channel, policy, month):
            gathered.setdefault(_normal(channel, address), []).append((address, key, why + reason))
    for entries in gathered.values():
        behind = tuple(audience for _, audience, _ in entries)
        acts = any(policy.audiences[audience].duty is Duty.ACT for audience in behind)
        reasons = "; ".join(f"{audience}: {why}" for _, audience, why in entries)
        yield Recipient(channel, entries[0][0], behind, Duty.ACT if acts else Duty.INFORM, reasons)


def _addresses(key: str, channel: str, policy: Policy, month: str) -> Iterator[tuple[str, str]]:
    """Each address once, and what the rota has to do with it."""
    audience = policy.audiences[key]
    own = (audience.slack,) if channel == "slack" else audience.email
    if key not in policy.rotas:
        pairs = [(address, "") for address in own]
    else:
        person = policy.rotas[key].get(month, Contact())
        theirs = (person.slack,) if channel == "slack" else person.email
        if any(theirs):
            pairs = [(address, f", on duty in {month}") for address in theirs]
        else:
            pairs = [(address, f", standing in for {month}") for address in own]
    once = {_normal(channel, address): (address, reason) for address, reason in reversed(pairs) if address}
    yield from reversed(once.values())


def _normal(channel: str, address: str) -> str:
    """Mail systems do not tell case apart, and Slack takes a member id with and without the @."""
    return address.casefold() if channel == "email" else address.removeprefix("@")


def _month(now_ns: int) -> str:
    now = datetime.fromtimestamp(now_ns // _NANOSECONDS, UTC)
    return f"{now.year:04}-{now.month:02}"


def _own_audiences(record: Record, policy: Policy) -> tuple[tuple[str, ...] | None, tuple[tuple[int, str], ...]]:
    """What the program itself asked for. A name that the policy does not know is no reason to tell nobody of an error.

    It is one to bother nobody with a test.
    """
    value = record.attributes.get(names.AUDIENCE, record.resource.get(names.AUDIENCE))
    if value is None:
        return None, ()
    asked = value.split(",") if isinstance(value, str) else value if isinstance(value, tuple) else ()
    wanted = [str(name).strip() for name in asked]
    known = tuple(name for name in dict.fromkeys(wanted) if name in policy.audiences)
    if not known:
        unknown = f"asks for {', '.join(wanted) or 'nobody'}, whom the policy does not know"
        return () if is_test(record) else None, ((_OWN_WORD_LINE, unknown),)
    return known, ((_OWN_WORD_LINE, f"asks for {', '.join(known)}"),)


def value_of(record: Record, key: str) -> str | None:
    """The text that a condition sees; None if the record does not have it, which no condition matches."""
    field = _FIELDS.get(key)
    if field is not None:
        value = field(record)
        return value if value or key == "body" else None
    return _as_text(record.attributes.get(key, record.resource.get(key)))


def _as_text(value: AttributeValue) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value[:MATCHED_CHARACTERS]
    if isinstance(value, bool):
        return "true" if value else "false"  # as YAML and OTLP write it
    return str(value)[:MATCHED_CHARACTERS]


def _what(rule: Rule, record: Record) -> str:
    """What the rule does to the record, in words."""
    wanted = rule.set
    parts = []
    if wanted.severity is not None:
        parts.append(f"severity {record.severity.name} → {wanted.severity.name}")
    if wanted.audiences is not None:
        parts.append(f"audiences {', '.join(wanted.audiences)}")
    parts += [
        f"{name} {value!r}"
        for name, value in (("owner", wanted.owner), ("runbook", wanted.runbook), ("fingerprint", wanted.fingerprint))
        if value is not None
    ]
    if wanted.effect is not None:
        parts.append("effect")
    if wanted.drop:
        parts.append("dropped")
    return "; ".join(parts)
