"""A user's table of examples, YAML or CSV: which record reaches whom. Checked against a policy in their own CI.

In YAML they are a list below the key `examples`; a record has the keys that rules match:

    - name: a fallback is an error here
      record: {severity: WARNING, body: "store falls back to cache"}
      told: {slack: [mdd, infrastructure], email: [mdd]}     # or: told: nobody
      becomes: ERROR                                         # optional
      at: 2026-12-01T03:00                                   # optional: the month's person, and who is quiet then
      held: [mdd]                                            # optional: who hears of it only after quiet hours
      silences: [{body: "*cache*"}]                          # optional: in force; told is then whom it leaves
      open: ERROR                                            # optional: it is known, and was told as this bad
      says: {slack: repeated, email: reminder}               # optional: what is said next, or nothing

A CSV has a column per key; `slack` and `email` hold names with spaces between them, empty for nobody.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from alert_bridge.cli.policy_moments import Moment, held, next_words, read_moment, silent
from alert_bridge.errors import UsageError
from alert_bridge.model import Record, Severity
from alert_bridge.policy.model import Policy
from alert_bridge.policy.source import Plain, Source, read_source
from alert_bridge.routing import judge, recipients
from instrumentation import attributes as names

__all__ = ["Difference", "Example", "compare", "read_examples"]

CHANNELS: Final = ("slack", "email")
MAX_CSV_BYTES = 1_000_000

_FIELDS: Final = ("name", "record", "told", "becomes", "at", "held", "silences", "open", "says")
_NAMED: Final = {"pipeline": names.PIPELINE_NAME, "environment": names.DEPLOYMENT_ENVIRONMENT, "stage": names.STAGE}
_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Example:
    """One row: a record, and the audiences that must hear of it in each channel. ``at``: None means now."""

    line: int
    name: str
    record: Record
    told: Mapping[str, frozenset[str]]
    becomes: Severity | None = None
    at: int | None = None
    moment: Moment = field(default_factory=Moment)


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the policy does something else than the example says: each point as (what, expected, got)."""

    example: Example
    points: tuple[tuple[str, str, str], ...]
    because: tuple[str, ...]


def read_examples(path: Path, policy: Policy) -> tuple[Example, ...]:
    """All examples of a file; a file without any proves nothing and is refused.

    Raises:
        UsageError: it cannot be read or makes no sense; the text says in which line.
    """
    examples = tuple(_from_csv(path) if path.suffix.lower() == ".csv" else _from_yaml(path))
    if not examples:
        raise UsageError(f"{path} holds no examples, so it would prove nothing: write one for each thing that matters")
    for example in examples:
        for audience in sorted(set[str]().union(*example.told.values())):
            if audience not in policy.audiences:
                known = ", ".join(policy.audiences)
                raise UsageError(f"{path}:{example.line}: unknown audience {audience!r}: the policy has {known}")
    return examples


def compare(examples: tuple[Example, ...], policy: Policy, now_ns: int) -> Iterator[Difference]:
    """Every example that the policy does not fulfil, in order."""
    for example in examples:
        judgement = judge(example.record, policy)
        reached: dict[str, set[str]] = {channel: set() for channel in CHANNELS}
        now = now_ns if example.at is None else example.at
        told = recipients(judgement, example.record, policy, now)
        if silent(example.moment, example.record, judgement):
            told = ()
        for recipient in told:
            reached[recipient.channel].update(recipient.audiences)
        points = [
            (channel, _listed(example.told[channel]), _listed(reached[channel]))
            for channel in CHANNELS
            if example.told[channel] != reached[channel]
        ]
        if example.becomes is not None and judgement.severity is not example.becomes:
            points.append(("severity", example.becomes.name, judgement.severity.name))
        if example.moment.held is not None and example.moment.held != (late := held(told, judgement, policy, now)):
            points.append(("held", _listed(example.moment.held), _listed(late)))
        words = next_words(example.moment, told, judgement, policy)
        points += [
            (f"says {channel}", word, words[channel])
            for channel, word in example.moment.says.items()
            if word != words[channel]
        ]
        if points:
            because = tuple(
                f"{policy.path}:{line}: {what}" if line else f"the record {what}" for line, what in judgement.trail
            )
            yield Difference(example, tuple(points), because or ("no rule matches",))


def _from_yaml(path: Path) -> Iterator[Example]:
    source, _ = read_source(path)
    data = source.data
    rows = data.get("examples") if isinstance(data, dict) else None
    if not isinstance(rows, list):
        raise UsageError(f"{path} must have the key `examples` with a list: - {{name: …, record: {{…}}, told: {{…}}}}")
    for index, row in enumerate(rows):
        yield _yaml_example(source, index, row)


def _yaml_example(source: Source, index: int, row: Plain) -> Example:
    line = source.values["examples", index][0]
    place = f"{source.path}:{line}"
    if not isinstance(row, dict) or not isinstance(row.get("record"), dict) or "told" not in row:
        raise UsageError(f"{place}: an example needs a record {{…}} and told {{slack: […], email: […]}} or nobody")
    unknown = [key for key in row if key not in _FIELDS]
    if unknown:
        raise UsageError(f"{place}: unknown key {unknown[0]!r}: an example has {', '.join(_FIELDS)}")
    record = row["record"]
    assert isinstance(record, dict)
    texts = {key: "" if value is None else str(value) for key, value in record.items()}
    told = row["told"]
    if told in ("nobody", None):
        told = {}
    if not isinstance(told, dict) or any(channel not in CHANNELS for channel in told):
        raise UsageError(f"{place}: told is a mapping of {' and '.join(CHANNELS)} to lists of audiences, or nobody")
    expected = {channel: _audiences(told.get(channel)) for channel in CHANNELS}
    about = {key: str(row[key]) for key in ("name", "becomes", "at") if row.get(key)}
    return replace(_example(place, line, texts, expected, about), moment=read_moment(place, row))


def _audiences(value: Plain) -> frozenset[str]:
    if isinstance(value, list):
        return frozenset(str(item) for item in value)
    return frozenset(str(value or "").replace(",", " ").replace(";", " ").split())


def _from_csv(path: Path) -> Iterator[Example]:
    try:
        raw = path.read_bytes()[: MAX_CSV_BYTES + 1]
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    if len(raw) > MAX_CSV_BYTES:
        raise UsageError(f"{path} is larger than {MAX_CSV_BYTES:,} bytes")
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        if not {"slack", "email"} & set(reader.fieldnames or ()):
            raise UsageError(f"{path}:1: the first line names the columns; one of them is slack or email")
        for row in reader:
            place = f"{path}:{reader.line_num}"
            if None in row or None in row.values():
                raise UsageError(f"{place}: this line has not as many cells as the first one has columns")
            texts = {key: value for key, value in row.items() if value and key not in (*CHANNELS, *_FIELDS)}
            expected = {channel: _audiences(row.get(channel)) for channel in CHANNELS}
            about = {key: row[key] for key in ("name", "becomes", "at") if row.get(key)}
            yield _example(place, reader.line_num, texts, expected, about)
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num}: not CSV: {error}") from error


def _example(
    place: str, line: int, texts: dict[str, str], told: dict[str, frozenset[str]], about: dict[str, str]
) -> Example:
    severity = _severity(place, texts.pop("severity", "ERROR"))
    at = None
    if "at" in about:
        try:
            moment = datetime.fromisoformat(about["at"])
        except ValueError as error:
            raise UsageError(f"{place}: at is {about['at']!r}: write a date such as 2026-12-01") from error
        at = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * _NANOSECONDS
    body, event_name, scope = (texts.pop(key, "") for key in ("body", "event_name", "scope"))
    record = Record(
        uid=place,
        time=at or 0,
        observed=at or 0,
        severity=severity,
        severity_text=severity.name,
        body=body,
        event_name=event_name,
        attributes={_NAMED.get(key, key): value for key, value in texts.items()},
        scope=scope,
    )
    becomes = _severity(place, about["becomes"]) if "becomes" in about else None
    return Example(line, about.get("name") or body or event_name or "(no name)", record, told, becomes, at)


def _severity(place: str, text: str) -> Severity:
    try:
        return Severity[text.strip().upper()]
    except KeyError as error:
        raise UsageError(f"{place}: unknown severity {text!r}: one of {', '.join(Severity.__members__)}") from error


def _listed(audiences: set[str] | frozenset[str]) -> str:
    return ", ".join(sorted(audiences)) or "nobody"
