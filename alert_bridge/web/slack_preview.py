"""A Slack message as Slack would show it: Block Kit blocks and mrkdwn, turned into safe HTML. Pure.

Covers what our messages use (header, section, context, divider, actions; bold, italic, strike, code, links, mentions);
any other block is named rather than dropped. Sources: docs.slack.dev, "Block Kit" and "Formatting message text".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup, escape

from alert_bridge.web.wording import is_web_link, visible

__all__ = ["Block", "mrkdwn", "slack_blocks"]

_TOKEN: Final = re.compile(r"```(?:[^`]|`(?!``))*```|`[^`\n]+`|<[^<>\n]+>")
_STYLE: Final = (
    (re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]*[^\s*])\*(?![\w*])"), r"<strong>\1</strong>"),
    (re.compile(r"(?<!\w)_(?=[^\s_])([^_\n]*[^\s_])_(?!\w)"), r"<em>\1</em>"),
    (re.compile(r"(?<![\w~])~(?=[^\s~])([^~\n]*[^\s~])~(?![\w~])"), r"<s>\1</s>"),
)
_QUOTE: Final = re.compile(r"^&gt; ?(.*)$", re.MULTILINE)
_OPEN, _CLOSE = "\ue000", "\ue001"  # private use: stand for a finished piece while the text around it is styled
_PIECE: Final = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


@dataclass(frozen=True, slots=True)
class Block:
    """One block, ready to draw: its kind and its pieces of HTML."""

    kind: str  # header, section, context, divider, actions, other
    html: tuple[Markup, ...]


def _unescape(text: str) -> str:
    """Slack escapes exactly three characters."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _link(target: str, label: str) -> Markup:
    target = _unescape(target)
    shown = escape(_unescape(label) or target)
    if is_web_link(target) or re.fullmatch(r"mailto:[^\s?]+", target):
        return Markup('<a href="{}" rel="noreferrer">{}</a>').format(target, shown)
    return shown


def _token(token: str) -> Markup:
    if token.startswith("```"):
        return Markup("<pre>{}</pre>").format(_unescape(token[3:-3].strip("\n")))
    if token.startswith("`"):
        return Markup("<code>{}</code>").format(_unescape(token[1:-1]))
    target, _, label = token[1:-1].partition("|")
    if target.startswith(("@", "#", "!")):
        name = _unescape(label or target.lstrip("#@!"))
        sign = "#" if target.startswith("#") else "@"
        return Markup('<span class="mention">{}{}</span>').format(sign, name.lstrip("#@"))
    return _link(target, label)


def mrkdwn(text: str) -> Markup:
    """The text as Slack would draw it. Nothing in it becomes markup but what mrkdwn knows."""
    pieces: list[Markup] = []

    def keep(match: re.Match[str]) -> str:
        pieces.append(_token(match[0]))
        return f"{_OPEN}{len(pieces) - 1}{_CLOSE}"

    plain = visible(text).replace(_OPEN, "").replace(_CLOSE, "")
    html = str(escape(_unescape(_TOKEN.sub(keep, plain))))
    html = _QUOTE.sub(r"<blockquote>\1</blockquote>", html)
    for pattern, replacement in _STYLE:
        html = pattern.sub(replacement, html)
    html = html.replace("</blockquote>\n", "</blockquote>").replace("\n", "<br>")
    return Markup(_PIECE.sub(lambda match: pieces[int(match[1])], html))  # noqa: S704  # built from escaped parts only


def _text(element: Any) -> Markup:
    """A text object, or what stands in for an element that has none."""
    if not isinstance(element, Mapping):
        return escape(visible(str(element)))
    kind, text = element.get("type"), element.get("text")
    if kind == "mrkdwn":
        return mrkdwn(str(text or ""))
    if kind == "image":
        return escape(visible(f"[image: {element.get('alt_text', '')}]"))
    return escape(visible(str(text or "")))


def _button(element: Any) -> Markup:
    if not isinstance(element, Mapping):
        return escape(visible(str(element)))
    label, target = _text(element.get("text")), str(element.get("url", ""))
    if is_web_link(target):
        return Markup('<a class="button" href="{}" rel="noreferrer">{}</a>').format(target, label)
    return Markup('<span class="button">{}</span>').format(label)


def _block(block: Mapping[str, Any]) -> Block:
    kind = str(block.get("type", "other"))
    if kind == "divider":
        return Block(kind, ())
    if kind == "header":
        return Block(kind, (_text(block.get("text")),))
    if kind == "section":
        body = [_text(block["text"])] if block.get("text") else []
        return Block(kind, (*body, *(_text(element) for element in block.get("fields") or ())))
    if kind == "context":
        return Block(kind, tuple(_text(element) for element in block.get("elements") or ()))
    if kind == "actions":
        return Block(kind, tuple(_button(element) for element in block.get("elements") or ()))
    return Block("other", (escape(visible(f"[{kind} block]")),))


def slack_blocks(payload: Mapping[str, Any]) -> tuple[Block, ...]:
    """The message's blocks, or its text where it has none."""
    blocks: Sequence[Any] = payload.get("blocks") or ()
    drawn = tuple(_block(block) for block in blocks if isinstance(block, Mapping))
    return drawn or (Block("section", (mrkdwn(str(payload.get("text", ""))),)),)
