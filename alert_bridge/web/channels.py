"""The channels: their books, which must balance, and what each last answered."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from alert_bridge.store.exports import ExportState
from alert_bridge.store.interface import Books, ChannelHealth
from alert_bridge.web.settings import ChannelSetup
from alert_bridge.web.site import Site

__all__ = ["ChannelRow", "channel_rows", "show_channels"]


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One channel: how it is set up, how it stands, its books."""

    name: str
    shape: str
    word: str
    css: str
    setup: ChannelSetup | None
    health: ChannelHealth | None
    books: Books | None


def _standing(setup: ChannelSetup | None, health: ChannelHealth | None, books: Books | None) -> tuple[str, str, str]:
    """(shape, word, CSS class): the worst thing that is true of the channel."""
    if books and books.balance:
        return "✕", "books do not balance", "bad"
    if health and health.last_failed_at > health.last_delivered_at:
        return "✕", "failing", "bad"
    if books and books.dead:
        return "▲", "working, with messages given up", "late"
    if setup and setup.previewed:
        return "○", "preview only", "quiet"
    if health and health.last_delivered_at:
        return "✓", "working", "fine"
    return "○", "ready, nothing sent yet", "quiet"


def channel_rows(site: Site) -> list[ChannelRow]:
    """Every channel that is set up, has books or ever answered."""
    setups = {setup.name: setup for setup in site.settings.channels}
    health = {each.channel: each for each in site.control.channel_health()}
    books = {each.channel: each for each in site.control.books()}
    return [
        ChannelRow(
            name,
            *_standing(setups.get(name), health.get(name), books.get(name)),
            setups.get(name),
            health.get(name),
            books.get(name),
        )
        for name in dict.fromkeys((*setups, *books, *health))
    ]


def show_channels(site: Site, request: Request) -> Response:
    """Books and health per channel."""
    exports = [(_export_standing(state), state) for state in site.settings.exports()]
    return site.page(request, "channels.html", channels=channel_rows(site), exports=exports)


def _export_standing(state: ExportState) -> tuple[str, str, str]:
    """(shape, word, CSS class): the worst thing that is true of the exporter."""
    if any(book.balance for book in state.books):
        return "✕", "books do not balance", "bad"
    if state.failing_since:
        return "✕", "failing", "bad"
    if any(book.dropped or book.refused for book in state.books):
        return "▲", "working, with losses", "late"
    return ("✓", "working", "fine") if state.last_sent_at else ("○", "ready, nothing sent yet", "quiet")
