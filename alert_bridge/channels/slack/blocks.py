"""A message as Slack shows it: at most three blocks and 1,500 characters, every value escaped. Pure.

Slack's limits: 50 blocks, 3,000 characters a section, and about 10,000 for all blocks together
(https://docs.slack.dev/reference/block-kit/blocks, bolt-js #2867). We stay far below: people read the first lines.
Only `&`, `<` and `>` have a meaning that could be abused (`<!channel>`), so only they are escaped
(https://docs.slack.dev/messaging/formatting-message-text#escaping).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alert_bridge.channels.headline import in_two
from alert_bridge.messages.text import whole_lines
from alert_bridge.model import Duty, Message, Reason, Severity

__all__ = ["MAX_CHARS", "Payload", "payload_of"]

MAX_CHARS = 1_500
MAX_REST_CHARS = 460
MAX_DETAIL_CHARS = 700
MAX_DIGEST_CHARS = 1_000
MAX_FACTS_CHARS = 300

# Beside the word, never instead of it: found at a glance in a busy channel, skipped by a screen reader.
_SHAPES = {Severity.CRITICAL: "🚨", Severity.ERROR: "🔴", Severity.WARNING: "🟡"}
_RESOLVED_SHAPE, _TEST_SHAPE, _OTHER_SHAPE = "✅", "🧪", "🔵"

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


@dataclass(frozen=True, slots=True)
class Payload:
    """What goes to Slack. ``text`` alone tells it all: in notifications, to screen readers, if blocks are refused."""

    text: str
    blocks: tuple[dict[str, Any], ...]

    def fields(self) -> dict[str, Any]:
        """The arguments that a post, an edit and a webhook share. Nothing is unfurled, no name becomes a mention."""
        return {"text": self.text, "blocks": list(self.blocks), **self.plain_fields()}

    def plain_fields(self) -> dict[str, Any]:
        """The same without blocks."""
        return {"text": self.text, "unfurl_links": False, "unfurl_media": False}


def payload_of(message: Message, *, meant_for: str = "") -> Payload:
    """The message in blocks and as plain text. ``meant_for``: said where the channel cannot choose who reads it."""
    lead = _lead(message)
    detail = _detail(message)
    told = [*message.facts, *([f"for {meant_for}"] if meant_for else [])]
    facts = _fit(" · ".join(told), min(MAX_FACTS_CHARS, MAX_CHARS - len(lead) - len(detail)))
    links = _links(message, MAX_CHARS - len(lead) - len(detail) - len(facts) - len(" · "))
    context = [text for text in (facts, links) if text]
    blocks = [_section(text) for text in (lead, detail) if text]
    if detail:  # three blocks at most
        blocks += [_context(" · ".join(context))] if context else []
    else:
        blocks += [_context(text) for text in context]
    said = [_fit(text, MAX_FACTS_CHARS) for text in (message.late, message.headline, message.note) if text]
    text = whole_lines((*said, *detail.splitlines(), *context), MAX_CHARS)
    return Payload(text="\n".join(text), blocks=tuple(blocks))


def _lead(message: Message) -> str:
    """Late first, then what failed, then why it is said now."""
    first, between, rest = in_two(message)
    bold = f"*{_fit(first, 80)}*{between}" if first else ""
    headline = f"{_shape(message)} {bold}{_fit(rest, MAX_REST_CHARS)}"
    lines = (_fit(message.late, 120), headline, _fit(message.note, 120))
    return "\n".join(line for line in lines if line)


def _detail(message: Message) -> str:
    """Those who only need to know get the whole of it: meaning, validity, who, when. It is short by nature."""
    if message.reason is Reason.DIGEST:
        return _digest_detail(message)
    if message.duty is Duty.ACT:
        return ""
    parts = (f"*{_fit(heading, 60)}:* {_fit(text, 200)}" for heading, text in message.paragraphs)
    return "\n".join(whole_lines(parts, MAX_DETAIL_CHARS))


def _digest_detail(message: Message) -> str:
    """A digest is read where it stands: every part as a heading and its lines, as many as fit."""
    lines = (
        line
        for heading, text in message.paragraphs
        for line in (f"*{_fit(heading, 60)}*", *(_fit(line, 200) for line in text.split("\n")))
    )
    return "\n".join(whole_lines(lines, MAX_DIGEST_CHARS))


def _links(message: Message, most_chars: int) -> str:
    """As many as fit, in their order of use. No buttons: one that links shows a warning unless clicks are answered."""
    kept: list[str] = []
    for label, url in message.links:
        address = _fit(url.replace("|", "%7C").replace(" ", "%20"), len(url) * 5)
        link = f"<{address}|{_fit(label, 40)}>"
        most_chars -= len(link) + len(" · ")
        if most_chars >= 0:
            kept.append(link)
    return " · ".join(kept)


def _shape(message: Message) -> str:
    if message.resolved:
        return _RESOLVED_SHAPE
    if message.reason is Reason.TEST:
        return _TEST_SHAPE
    return _SHAPES.get(message.severity, _OTHER_SHAPE)


def _fit(text: str, most_chars: int) -> str:
    """Escaped, and at most so many characters after that; an entity is never cut in two."""
    escaped = "".join(_ENTITIES.get(character, character) for character in text[:most_chars])
    if len(escaped) <= most_chars and len(text) <= most_chars:
        return escaped
    kept: list[str] = []
    left = most_chars - 1
    for character in text:
        shown = _ENTITIES.get(character, character)
        left -= len(shown)
        if left < 0:
            break
        kept.append(shown)
    return "".join(kept) + "…"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}
