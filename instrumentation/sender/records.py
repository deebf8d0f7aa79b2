"""A record's line becomes an entry. The child writes the least it can; formatting and redaction happen here.

Only what is new in a line is read (`sources` has the rest), because this is what the parent does all day. A line in
another form than the child's, written by an older version or by hand, is brought into that form first.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from instrumentation import attributes as names
from instrumentation.redaction import scrub_attributes, scrub_new_text, scrub_text
from instrumentation.sender.encoding import encode_event_name, encode_log, encode_log_attributes, encode_template
from instrumentation.sender.entry import LOG, MAX_TEXT_CHARACTERS, Entry, shorten
from instrumentation.sender.sources import HEAD_NAMES, Site, Source, Tail, encode_json

__all__ = ["Record", "entry_of", "in_our_form", "take_apart"]

MAX_STAGES_KNOWN: Final = 10_000  # of one process
ERROR_LEVELNO: Final = 40
_MESSAGE: Final = ',"m":"'  # its first quote is none inside a text, where it would be escaped
_ARGUMENTS: Final = ',"a":['
_start: Final = re.compile(r'\{"k":"log","u":([0-9]+),"t":(-?[0-9]+),').match
_scan: Final = json.JSONDecoder().scan_once  # type: ignore[attr-defined] # what `raw_decode` wraps: value and end
_quote: Final = json.encoder.encode_basestring_ascii


class Record(NamedTuple):
    """A line taken apart; ``message`` is a template where there are arguments."""

    number: str
    time: int
    site: Site
    message: str
    arguments: Sequence[object]
    tail: Tail


def take_apart(text: str, source: Source, *, is_in_our_form: bool = False) -> Record:
    """What a line says.

    Raises:
        KeyError, TypeError, ValueError: it is no record's line.
    """
    try:
        start = _start(text)
        number, moment = start.groups()  # type: ignore[union-attr] # no match is an error like the others
        begin = start.end()  # type: ignore[union-attr]
        at = text.index(_MESSAGE, begin)
        message, end = _scan(text, at + len(_MESSAGE) - 1)
        if text.startswith(_ARGUMENTS, end):
            head = text[begin:end]
            arguments, end = _scan(text, end + len(_ARGUMENTS) - 1)
        else:
            head = text[begin:at]
            arguments = ()
        tail = text[end:]
        return Record(
            number,
            int(moment),
            source.sites.get(head) or source.site(head),
            message,
            arguments,
            source.tails.get(tail) or source.tail(tail),
        )
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration):
        if is_in_our_form:
            raise
        return take_apart(in_our_form(json.loads(text)), source, is_in_our_form=True)


def in_our_form(line: Mapping[str, Any]) -> str:
    """The text of a parsed line as the child writes it: head, message, arguments, tail.

    Raises:
        KeyError, TypeError, ValueError: it is no record's line.
    """
    if not isinstance(line["m"], str):
        raise TypeError("a message that is no text")
    ordered = {"k": line["k"], "u": int(line["u"]), "t": int(line["t"]), "n": int(line["n"])}
    ordered |= {name: line[name] for name in HEAD_NAMES if name in line and name != "n"}
    if line.get("a"):
        ordered["a"] = list(line["a"])
    ordered |= {name: value for name, value in line.items() if name not in ordered and name != "a"}
    return encode_json(ordered)


def entry_of(record: Record, source: Source, with_log_line: bool) -> Entry:
    """The entry of a record.

    Raises:
        AttributeError, OverflowError, KeyError, TypeError, ValueError: what it holds is not what a record does.
    """
    number, moment, site, message, arguments, tail = record
    own: dict[str, object] = {}
    body = _formatted(message, arguments, own) if arguments else scrub_new_text(shorten(message))
    event_name = ""
    if tail.more:
        event_name = _read_more(tail, site, source.pid, own)
    if event_name or source.models:
        _name_model(tail, source, event_name, own)
    if names.WANDB_RUN_URL in own:
        source.wandb_runs[:] = [str(own[names.WANDB_RUN_URL])]
    elif source.wandb_runs:
        own[names.WANDB_RUN_URL] = source.wandb_runs[0]
    uid = f"{source.token}-{number}"
    ready = site.encoded + tail.encoded
    attributes = site.attributes
    if own or tail.attributes:
        ready += encode_log_attributes(own)
        attributes = {**attributes, **tail.attributes, **own}
    if event_name:
        ready += encode_event_name(event_name)
    if not arguments and not tail.has_template:  # it is its own
        ready += encode_template(body)
        attributes = {**attributes, names.TEMPLATE: body}
    return Entry(
        LOG,
        moment,
        site.levelno,
        site.levelno >= ERROR_LEVELNO or event_name != "",
        site.scope,
        encode_log(moment, time.time_ns(), body, uid, ready),
        body,
        event_name,
        attributes,
        tail.trace_id,
        tail.span_id,
        _log_line(moment, number, body, source, site, tail, own) if with_log_line else "",
    )


def _formatted(template: str, arguments: Sequence[object], own: dict[str, object]) -> str:
    """The formatted message; a call whose arguments do not fit says so and keeps both."""
    try:
        body = template % tuple(arguments)
    except (TypeError, ValueError, KeyError, OverflowError, MemoryError):
        shown = scrub_text(shorten(json.dumps(arguments, ensure_ascii=False)))
        own[names.TEMPLATE_ARGS] = shown
        return f"{scrub_text(template)} [malformed logging call: its arguments do not fit: {shown}]"
    return scrub_new_text(body if len(body) <= MAX_TEXT_CHARACTERS else shorten(body))


def _read_more(tail: Tail, site: Site, own_pid: int, own: dict[str, object]) -> str:
    """Takes what only this record has; returns the event's name, if it is one."""
    more = tail.more
    if more.get("p", own_pid) != own_pid:
        own[names.PROCESS_PID] = more["p"]
    if "e" in more:
        failure = more["e"]
        own[names.EXCEPTION_TYPE] = failure.get("t", "")
        own[names.EXCEPTION_MESSAGE] = scrub_text(shorten(failure.get("m", "")))
        if failure.get("s"):
            own[names.EXCEPTION_STACKTRACE] = scrub_text(shorten(failure["s"]))
    if "d" in more:
        for name, value in scrub_attributes(more["d"]).items():
            if name not in site.attributes and name not in tail.attributes and name != names.TEMPLATE:
                own.setdefault(name, value)
    return str(more.get("ev", ""))


def _name_model(tail: Tail, source: Source, event_name: str, own: dict[str, object]) -> None:
    """Records in a stage of a model carry its name, and so does everything in a process that knows only one."""
    models = source.models
    given = own.get(names.MODEL_NAME)
    if event_name == names.EVENT_STAGE_START and isinstance(given, str):
        models[""] = given if models.get("", given) == given else ""
        models[tail.stage] = given
        if len(models) < MAX_STAGES_KNOWN:
            models[tail.span_id] = given
    elif models and given is None:
        model = models.get(tail.span_id or "-") or models.get(tail.stage or "-") or models.get("")
        if model:
            own[names.MODEL_NAME] = model


def _log_line(
    moment: int, number: str, body: str, source: Source, site: Site, tail: Tail, own: Mapping[str, object]
) -> str:
    seconds, rest = divmod(moment, 1_000_000_000)
    shown = f'{source.shown}{number}"'
    if own or tail.more:
        event = {"event": tail.more["ev"]} if "ev" in tail.more else {}
        members = {"pid": tail.more.get("p", source.pid), names.RECORD_UID: f"{source.token}-{number}", **event, **own}
        shown = f",{encode_json(members)[1:-1]}"
    return (
        f'{{"time":"{_clock(seconds)}.{rest // 1000:06d}Z{site.shown_first}{_quote(body)}{shown}{tail.shown}'
        f"{site.shown_last}}}"
    )


@lru_cache(64)
def _clock(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
