"""What one OTLP request may hold. Larger than anything a configured sender sends, smaller than what hurts us."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request, of one record in it, and of one text in that record.

    Over a limit of the request, the request is refused (`TooLarge`). Over a limit of a record, the record is kept and
    cut where it is too long, visibly: an alert with a cut trace is worth more than none.
    """

    body_bytes: int = 20 * 1024 * 1024  # as sent; the Collector's own receiver takes as much
    inflated_bytes: int = 128 * 1024 * 1024  # a Collector's largest batch, if every record has a long traceback
    json_bytes: int = 16 * 1024 * 1024  # parsed JSON takes up to 25 times its size in memory
    records: int = 50_000  # records, spans or metric points; what comes after them is rejected and counted
    item_bytes: int = 8 * 1024 * 1024  # one record, span or metric as sent; a larger one is rejected
    record_bytes: int = 256 * 1024  # a larger one is kept, but cut down to `HARDER`
    attributes: int = 256  # per record, span, event or resource; our own names are kept first
    values: int = 1_000  # inside one nested attribute
    depth: int = 12  # levels of lists and maps inside one attribute
    name_chars: int = 256
    text_chars: int = 32_768  # of one body or attribute: the head and the tail of a longer one are kept
    span_events: int = 128
    excerpt_chars: int = 200  # of what was rejected

    def harder(self) -> Limits:
        """The same for a record that is too large as a whole: it ends up below a few hundred kilobytes."""
        return Limits(
            attributes=min(self.attributes, HARDER.attributes),
            values=min(self.values, HARDER.values),
            depth=min(self.depth, HARDER.depth),
            name_chars=self.name_chars,
            text_chars=min(self.text_chars, HARDER.text_chars),
            span_events=min(self.span_events, HARDER.span_events),
        )


HARDER = Limits(attributes=64, values=100, depth=4, text_chars=8_192, span_events=16)
DEFAULT = Limits()
