"""The process that wrote a line, and what its lines have in common, made ready once: most of a line is not new.

{"k":"log","u":7,"t":1764…,"n":20,"l":…,"i":88,…,"m":"3 rows of cm","mt":"%d rows of %s","tr":…,"sp":…,"st":…}
                           ╰─ head: of a site ─╯                    ╰─ tail: of a site and a place in the run ─╯
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

__all__ = ["HEAD_NAMES", "Mould", "Site", "Source", "Tail", "encode_json", "members", "severity_number"]

MAX_KNOWN: Final = 2048  # heads, tails, and pairs of them, of one process
MAX_KNOWN_CHARACTERS: Final = 1024  # of a head or a tail; longer ones are read anew
MAX_STAGES_KNOWN: Final = 10_000  # of one process
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


class Tail(NamedTuple):
    """What all records share that a process makes in one span of one stage; ``more`` is of one record alone."""

    trace_id: str
    span_id: str
    stage: str
    attributes: Mapping[str, object]
    encoded: bytes  # attributes and ids
    shown: str  # in the structured log, with a comma before the first
    more: Mapping[str, Any]  # process, exception, extras and event, as the line names them


class Mould(NamedTuple):
    """What all records of one site with one tail share, put together: all but number, time and message."""

    site: Site
    tail: Tail
    attributes: Mapping[str, object]
    encoded: bytes
    shown_last: str  # in the structured log, behind what only this record has


@dataclass(slots=True)
class Source:
    """The process that wrote a line: what its uids begin with, its encoded resource, and what it was heard to say."""

    token: str
    pid: int
    resource: bytes
    shown: str  # in the structured log, up to a record's number, with a comma before the first
    sites: dict[str, Site] = field(default_factory=dict)
    tails: dict[str, Tail] = field(default_factory=dict)
    moulds: dict[tuple[str, str], Mould] = field(default_factory=dict)  # by head and tail
    models: dict[str, str] = field(default_factory=dict)  # of its stages: by span id, and by name; "" of the only one
    wandb_run: str = ""  # the address of the W&B run that it opened last

    @classmethod
    def of(cls, run_resource: Mapping[str, object], token: str, pid: int) -> Source:
        """The run's resource with what only this process has."""
        attributes = {**run_resource, names.SERVICE_INSTANCE_ID: token, names.PROCESS_PID: pid}
        return cls(token, pid, encode_resource(attributes), f',"pid":{pid},"{names.RECORD_UID}":"{token}-')

    def mould(self, head: str, tail: str) -> Mould:
        """What lines with this head and this tail share, which begins behind the message or the arguments.

        Raises:
            KeyError, TypeError, ValueError: no head, or no tail, is like that.
        """
        site = self.sites.get(head)
        if site is None:
            site = _site_of(json.loads(f"{{{head}}}"))
            _remember(self.sites, head, site, len(head))
        place = self.tails.get(tail)
        if place is None:
            place = _tail_of(json.loads("{" + tail.removeprefix(",")))
        if place.more:  # comes once
            return self._mould(site, place, {})
        _remember(self.tails, tail, place, len(tail))
        mould = self._mould(site, place, self.surroundings(place))
        _remember(self.moulds, (head, tail), mould, max(len(head), len(tail)))
        return mould

    def surroundings(self, tail: Tail) -> dict[str, object]:
        """The model and the W&B run that a record with this tail belongs to, as far as its process told."""
        known: dict[str, object] = {}
        models = self.models
        if model := models.get(tail.span_id or "-") or models.get(tail.stage or "-") or models.get(""):
            known[names.MODEL_NAME] = model
        if self.wandb_run:
            known[names.WANDB_RUN_URL] = self.wandb_run
        return known

    def learn_model(self, model: str, tail: Tail) -> None:
        """A stage began that is about a model: its records carry the name, and all do while it is the only one."""
        self.models[""] = model if self.models.get("", model) == model else ""
        self.models[tail.stage] = model
        if len(self.models) < MAX_STAGES_KNOWN:
            self.models[tail.span_id] = model
        self.moulds.clear()

    def learn_wandb_run(self, address: str) -> None:
        """A W&B run was opened: records carry its address from now on."""
        if address != self.wandb_run:
            self.wandb_run = address
            self.moulds.clear()

    @staticmethod
    def _mould(site: Site, tail: Tail, surroundings: Mapping[str, object]) -> Mould:
        return Mould(
            site,
            tail,
            {**site.attributes, **tail.attributes, **surroundings},
            site.encoded + tail.encoded + encode_log_attributes(surroundings),
            members(surroundings) + tail.shown + site.shown_last + "}",
        )


def severity_number(levelno: int) -> int:
    """The OpenTelemetry severity number of a Python level, custom levels included."""
    floor = min(levelno // 10 * 10, 50)
    return _SEVERITY.get(floor, 1)


def _remember(known: dict[Any, Any], key: object, meaning: object, characters: int) -> None:
    if characters <= MAX_KNOWN_CHARACTERS:
        if len(known) >= MAX_KNOWN:
            known.clear()
        known[key] = meaning


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
        members(attributes),
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
        attributes,
        encode_log_attributes(attributes) + encode_ids(trace_id, span_id),
        members({**ids, **attributes}),
        {name: value for name, value in tail.items() if name not in _OF_A_PLACE},
    )


def members(values: Mapping[str, object]) -> str:
    """An object's members as the structured log has them, with a comma before the first."""
    return f",{encode_json(values)[1:-1]}" if values else ""
