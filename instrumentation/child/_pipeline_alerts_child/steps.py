"""A stage that is the run of another library: an event at its start; an event, a span and a duration at its end."""

from __future__ import annotations

import os
import time

from . import names
from .values import quote, text

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from typing import Any

    from .journal import Journal

_LOGGER = "instrumentation"  # as stages that the program names itself
_NS_PER_S = 1_000_000_000
_STATUS_ERROR = 2


class Step:
    """A stage under way.

    Args:
        name: of the stage.
        trace: its trace id.
        parent: span id of what it is within; may be empty.
        facts: what everything that is told of it says too.
        span: its own span id, where it has one already.
    """

    def __init__(self, name: str, trace: str, parent: str, facts: dict[str, Any], span: str = "") -> None:
        self.name, self.trace, self.parent = name, trace, parent
        self.span = span or os.urandom(8).hex()
        self.facts = {names.STAGE_RUN_ID: os.urandom(8).hex(), **facts}
        self.events: list[tuple[int, str, dict[str, Any]]] = []  # of its span: ns, name, attributes
        self.started = time.time_ns()
        self.pid = os.getpid()
        self.has_ended = False

    def begin(self, journal: Journal) -> None:
        """Tells that it began."""
        said = {**self.facts, names.PARENT_SPAN: self.parent}
        tell(journal, "%s started", (self.name,), names.EVENT_STAGE_START, said, self.where())

    def end(self, journal: Journal, result: str, message: str = "", title: str = "") -> None:
        """Tells how it ended; not in a forked child, which does not end what its parent began.

        Args:
            journal: where to.
            result: `success`, `failure` …; told at INFO whatever it is, because the exception is told where it is
                caught, or where nobody does.
            message: why, on the span.
            title: the span's name; without one, its span is somebody else's to tell.
        """
        if self.has_ended or self.pid != os.getpid():
            return
        self.has_ended = True
        now = time.time_ns()
        seconds = (now - self.started) / _NS_PER_S
        said = {**self.facts, names.STAGE_RESULT: result, names.DURATION: round(seconds, 6)}
        tell(journal, "%s ended: " + result, (self.name,), names.EVENT_STAGE_END, said, self.where())
        if title:
            journal.append(self._span_line(journal.next_number(), title, now, result, message, said))
        journal.append(
            '{"k":"metric","u":%d,"t":%d,"na":"%s","un":"s","mk":"gauge","va":%r,"d":%s}'
            % (
                journal.next_number(),
                now,
                names.STAGE_DURATION,
                seconds,
                text({names.STAGE: self.name, names.STAGE_RESULT: result}),
            )
        )

    def where(self) -> str:
        """As `Context.where`, within it."""
        return ',"tr":"%s","sp":"%s","st":%s' % (self.trace, self.span, quote(self.name))

    def _span_line(self, number: int, title: str, now: int, result: str, message: str, said: dict[str, Any]) -> str:
        return (
            '{"k":"span","u":%d,"tr":"%s","sp":"%s","pa":"%s","na":%s,"ki":1,"t":%d,"te":%d,"sc":%d,"sm":%s,"d":%s%s}'
            % (
                number,
                self.trace,
                self.span,
                self.parent,
                quote(title),
                self.started,
                now,
                _STATUS_ERROR if result in ("failure", "error") else 0,
                quote(message),
                text(_known({**said, names.STAGE: self.name})),
                ',"ve":' + text(self.events) if self.events else "",
            )
        )


def tell(
    journal: Journal, template: str, arguments: tuple[str, ...], event: str, said: dict[str, Any], where: str
) -> None:
    """A record of ours at INFO. ``where``: as `Context.where` answers."""
    journal.owns(None)
    journal.append(
        '{"k":"log","u":%d,"t":%d,"n":%d,"l":"INFO","g":"%s","m":%s,"a":%s%s%s,"d":%s}'
        % (
            journal.next_number(),
            time.time_ns(),
            names.INFO,
            _LOGGER,
            quote(template),
            text(arguments),
            where,
            ',"ev":"%s"' % event if event else "",
            text(_known(said)),
        ),
        names.INFO,
    )


def _known(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value != ""}
