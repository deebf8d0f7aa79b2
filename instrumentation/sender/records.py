"""A record's line becomes an entry. The child writes the least it can; formatting and redaction happen here.

Only what is new in a line is read (`sources` has the rest), because this is what the parent does all day. A line in
another form than the child's, written by an older version or by hand, is brought into that form first.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final

from instrumentation import attributes as names
from instrumentation.redaction import scrub_attributes, scrub_new_text, scrub_text
from instrumentation.sender.encoding import encode_event_name, encode_log, encode_log_attributes, encode_template
from instrumentation.sender.entry import LOG, MAX_TEXT_CHARACTERS, Entry, shorten
from instrumentation.sender.sources import HEAD_NAMES, Mould, Source, encode_json, members

__all__ = ["Record", "entry_of", "in_our_form", "take_apart"]

ERROR_LEVELNO: Final = 40
_MESSAGE: Final = ',"m":"'  # its first quote is none inside a text, where it would be escaped
_ARGUMENTS: Final = ',"a":['
_start: Final = re.compile(r'\{"k":"log","u":([0-9]+),"t":(-?[0-9]+),').match
_scan: Final = json.JSONDecoder().scan_once  # type: ignore[attr-defined] # what `raw_decode` wraps: value and end
_quote: Final = json.encoder.encode_basestring_ascii
_entry: Final[Callable[[Iterable[object]], Entry]] = partial(tuple.__new__, Entry)  # half the time of calling it


# A line taken apart: number, time, what it shares with others, message (a template where there are arguments) and
# arguments. A plain tuple, because a named one costs as much again as finding out what is in it.
Record = tuple[str, int, Mould, str, Sequence[object]]


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
        arguments = ()
        if text.startswith(_ARGUMENTS, end):
            at = end
            arguments, end = _scan(text, at + len(_ARGUMENTS) - 1)
        key = text[begin:at], text[end:]
        mould = source.moulds.get(key) or source.mould(*key)  # most records come from where others came from
        return number, int(moment), mould, message, arguments
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
    number, moment, mould, message, arguments = record
    site, tail, attributes, ready, shown_last = mould
    own: dict[str, object] = {}
    body = _formatted(message, arguments, own) if arguments else scrub_new_text(shorten(message))
    event_name = _read_more(mould, source, own) if tail.more else ""
    if names.TEMPLATE not in attributes:  # the message is its own
        attributes = {**attributes, names.TEMPLATE: body}
        ready += encode_template(body)
    shown = source.shown
    if own or tail.more:
        attributes = {**attributes, **own}
        ready += encode_log_attributes(own) + encode_event_name(event_name)
        shown_last = members({"event": event_name, **own} if event_name else own) + shown_last
        shown = f',"pid":{tail.more.get("p", source.pid)},"{names.RECORD_UID}":"{source.token}-'
    log_line = ""
    if with_log_line:
        seconds, rest = divmod(moment, 1_000_000_000)
        log_line = (
            f'{{"time":"{_clock(seconds)}.{rest // 1000:06d}Z{site.shown_first}{_quote(body)}{shown}{number}"'
            f"{shown_last}"
        )
    levelno = site.levelno
    return _entry(
        (
            LOG,
            moment,
            levelno,
            levelno >= ERROR_LEVELNO or event_name != "",
            site.scope,
            encode_log(moment, time.time_ns(), body, f"{source.token}-{number}", ready),
            body,
            event_name,
            attributes,
            tail.trace_id,
            tail.span_id,
            log_line,
        )
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


def _read_more(mould: Mould, source: Source, own: dict[str, object]) -> str:
    """Takes what only this record has, and its process learns from it; returns the event's name, if it is one."""
    tail = mould.tail
    more = tail.more
    if more.get("p", source.pid) != source.pid:
        own[names.PROCESS_PID] = more["p"]
    if "e" in more:
        failure = more["e"]
        own[names.EXCEPTION_TYPE] = failure.get("t", "")
        own[names.EXCEPTION_MESSAGE] = scrub_text(shorten(failure.get("m", "")))
        if failure.get("s"):
            own[names.EXCEPTION_STACKTRACE] = scrub_text(shorten(failure["s"]))
    if "d" in more:
        for name, value in scrub_attributes(more["d"]).items():
            if name not in mould.attributes and name != names.TEMPLATE:
                own.setdefault(name, value)
    event_name = str(more.get("ev", ""))
    model = own.get(names.MODEL_NAME)
    if event_name == names.EVENT_STAGE_START and isinstance(model, str):
        source.learn_model(model, tail)
    if names.WANDB_RUN_URL in own:
        source.learn_wandb_run(str(own[names.WANDB_RUN_URL]))
    for name, value in source.surroundings(tail).items():
        own.setdefault(name, value)
    return event_name


@lru_cache(64)
def _clock(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
