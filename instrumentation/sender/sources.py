"""The process that wrote a line, and what its lines have in common, made ready once: most of a line is not new.

{"k":"log","u":7,"t":1764…,"n":20,…,"m":"%d rows of %s","a":[3,"cm"],"tr":…,"sp":…,"st":…}
                           ╰─ head: of a call site ───╯             ╰─ tail: of a place in the run ─╯
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from instrumentation import attributes as names
from instrumentation.redaction import scrub_text
from instrumentation.sender.encoding import encode_ids, encode_log_attributes, encode_resource, encode_severity
from instrumentation.sender.entry import shorten

__all__ = ["HEAD_NAMES", "Site", "Source", "Tail", "encode_json", "severity_number"]

MAX_KNOWN: Final = 2048  # heads, and tails, of one process
MAX_KNOWN_CHARACTERS: Final = 1024  # of one of them; longer ones are read anew
HEAD_NAMES: Final = ("n", "l", "g", "f", "o", "i", "h", "m")
_OF_EVERY_LINE: Final = frozenset({*HEAD_NAMES, "k", "u", "t", "a"})
_OF_A_PLACE: Final = frozenset({"tr", "sp", "st", "mt"})
_SEVERITY: Final = dict(names.SEVERITY_OF_LEVEL)
_LEVEL_TEXT: Final = {50: "CRITICAL", 40: "ERROR", 30: "WARNING", 20: "INFO", 10: "DEBUG"}

encode_json: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=str).encode


class Site(NamedTuple):
    """What all records of one call site share."""

    levelno: int
    scope: str
    attributes: Mapping[str, object]
    encoded: bytes  # severity and attributes
    shown_first: str  # members of an object in the structured log: what stands before the message, with commas
    shown_last: str  # the attributes, with a comma before the first
    place: Mapping[str, object]  # logger, line and thread as the line names them, by which a relayed record is known


class Tail(NamedTuple):
    """What all records share that a process makes in one span of one stage; ``more`` is of one record alone."""

    trace_id: str
    span_id: str
    stage: str
    has_template: bool
    attributes: Mapping[str, object]
    encoded: bytes  # attributes and ids
    shown: str  # in the structured log, with a comma before the first
    more: Mapping[str, Any]  # process, exception, extras and event, as the line names them


@dataclass(frozen=True, slots=True)
class Source:
    """The process that wrote a line: what its uids begin with, and its encoded resource."""

    token: str
    pid: int
    resource: bytes
    shown: str  # in the structured log, up to a record's number, with a comma before the first
    sites: dict[str, Site] = field(default_factory=dict)
    tails: dict[str, Tail] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)  # of its stages: by span id, and by name; "" of the only one
    wandb_runs: list[str] = field(default_factory=list)  # the address of the W&B run that it opened last

    @classmethod
    def of(cls, run_resource: Mapping[str, object], token: str, pid: int) -> Source:
        """The run's resource with what only this process has."""
        attributes = {**run_resource, names.SERVICE_INSTANCE_ID: token, names.PROCESS_PID: pid}
        return cls(token, pid, encode_resource(attributes), f',"pid":{pid},"{names.RECORD_UID}":"{token}-')

    def site(self, head: str) -> Site:
        """The call site of lines with this head, which is not among the known ones.

        Raises:
            KeyError, TypeError, ValueError: no head is like that.
        """
        site = _site_of(json.loads(f"{{{head}}}"))
        _remember(self.sites, head, site)
        return site

    def tail(self, text: str) -> Tail:
        """What a line's tail says, which begins behind the message or the arguments; it is not among the known ones.

        Raises:
            KeyError, TypeError, ValueError: no tail is like that.
        """
        tail = _tail_of(json.loads("{" + text.removeprefix(",")))
        if not tail.more:
            _remember(self.tails, text, tail)
        return tail


def severity_number(levelno: int) -> int:
    """The OpenTelemetry severity number of a Python level, custom levels included."""
    floor = min(levelno // 10 * 10, 50)
    return _SEVERITY.get(floor, 1)


def _remember(known: dict[str, Any], text: str, meaning: object) -> None:
    if len(text) <= MAX_KNOWN_CHARACTERS:
        if len(known) >= MAX_KNOWN:
            known.clear()
        known[text] = meaning


def _site_of(head: Mapping[str, Any]) -> Site:
    if not head.keys() <= set(HEAD_NAMES):
        raise ValueError("another line's head")
    attributes: dict[str, object] = {}
    if "m" in head:  # a template; a message of its own comes behind the head
        attributes[names.TEMPLATE] = scrub_text(shorten(head["m"]))
    if "f" in head:
        attributes[names.CODE_FILE] = scrub_text(head["f"])
        attributes[names.CODE_FUNCTION] = head.get("o", "")
        attributes[names.CODE_LINE] = head.get("i", 0)
    if "h" in head:
        attributes[names.THREAD_NAME] = scrub_text(head["h"])
    levelno = int(head["n"])
    level = head.get("l") or _LEVEL_TEXT.get(levelno, str(levelno))
    scope = head.get("g", "")
    return Site(
        levelno,
        scope,
        attributes,
        encode_severity(severity_number(levelno), level) + encode_log_attributes(attributes),
        f'","level":{encode_json(level)},"logger":{encode_json(scope)},"message":',
        _members(attributes),
        {name: head[name] for name in ("g", "i", "h") if name in head},
    )


def _tail_of(tail: Mapping[str, Any]) -> Tail:
    if not _OF_EVERY_LINE.isdisjoint(tail):
        raise ValueError("another line's tail")
    attributes: dict[str, object] = {}
    if "mt" in tail:
        attributes[names.TEMPLATE] = scrub_text(shorten(tail["mt"]))
    if "st" in tail:
        attributes[names.STAGE] = tail["st"]
    trace_id, span_id = tail.get("tr", ""), tail.get("sp", "")
    ids = {"trace_id": trace_id, "span_id": span_id} if "tr" in tail else {}
    return Tail(
        trace_id,
        span_id,
        tail.get("st", ""),
        "mt" in tail,
        attributes,
        encode_log_attributes(attributes) + encode_ids(trace_id, span_id),
        _members({**ids, **attributes}),
        {name: value for name, value in tail.items() if name not in _OF_A_PLACE},
    )


def _members(values: Mapping[str, object]) -> str:
    return f",{encode_json(values)[1:-1]}" if values else ""
