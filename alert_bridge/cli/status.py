"""`pipeline-alerts status`: books, queues and health per channel, read from control.db, beside a bridge or alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from alert_bridge.cli.stores import is_running, json_option, state_of, state_option

__all__ = ["command"]

FOUND = 1  # exit code: a channel is broken, or the books do not balance
NS = 1_000_000_000
_BOOKS = {  # the words of the pages, each as wide as its numbers may become
    "matched": "  matched",
    "delivered": "delivered",
    "queued": "   queued",
    "suppressed": "held back",
    "dead": " given up",
    "balance": "  missing",
}


@click.command("status", help="Books, queues and health per channel. Exit code 1: something is broken or missing.")
@state_option
@json_option
def command(state: str, as_json: bool) -> None:
    """Read the store and say how things stand."""
    found = status_of(state_of(state))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print(found)
    raise SystemExit(0 if found["ok"] else FOUND)


def status_of(state: Path) -> dict[str, Any]:
    """Everything `status` says, as one JSON-able document. Times are ISO 8601, UTC; null: never.

    Raises:
        SettingsError: no bridge ever worked on this state directory.
    """
    from alert_bridge.store.control import open_reader

    reader = open_reader(state)
    try:
        meta, queues, broken = reader.meta(), reader.queues(), reader.broken()
        books, health = reader.books(), {one.channel: one for one in reader.channel_health()}
        counters, last_accepted = reader.counters(), reader.last_accepted()
        open_incidents = len(reader.incidents(limit=1_000_000))
    finally:
        reader.close()
    configured = {name.partition("/")[2]: why for name, why in meta.items() if name.startswith("channel/")}
    waiting = {channel: (count, oldest) for channel, count, oldest in queues}
    by_channel = {book.channel: book for book in books}
    channels = []
    for name in sorted({*configured, *by_channel, *health}):
        book, seen = by_channel.get(name), health.get(name)
        count, oldest = waiting.get(name, (0, 0))
        channels.append(
            {
                "channel": name,
                "setup": configured.get(name, ""),
                "books": {**asdict(book), "balance": book.balance} if book else None,
                "queue": {"waiting": count, "oldest_due_at": _iso(oldest)},
                "broken": [
                    {"address": address, "since": _iso(since), "error": error}
                    for channel, address, since, error in broken
                    if channel == name
                ],
                "last_delivered_at": _iso(seen.last_delivered_at if seen else 0),
                "last_failed_at": _iso(seen.last_failed_at if seen else 0),
                "last_error": seen.last_error if seen else "",
            }
        )
    exporters = _exporters(state)
    return {
        "ok": not broken
        and all(book.balance == 0 for book in books)
        and all(_is_well(exporter) for exporter in exporters),
        "running": is_running(state),
        "url": meta.get("url", ""),
        "policy": {"path": meta.get("policy", ""), "problem": meta.get("policy_problem", "")},
        "last_accepted_at": _iso(last_accepted),
        "open_incidents": open_incidents,
        "channels": channels,
        "exporters": exporters,
        "stores": {store.stem: _size(store) for store in sorted(state.glob("*.db"))},
        "counters": counters,
    }


def _exporters(state: Path) -> list[dict[str, Any]]:
    """Prefect and W&B: their books are in records, spans and points, because nobody is addressed."""
    from alert_bridge.store.exports import export_states

    return [
        {
            "exporter": one.name,
            "setup": one.setup,
            "url": one.url,
            "failing_since": _iso(one.failing_since),
            "next_try_at": _iso(one.next_try_at),
            "last_sent_at": _iso(one.last_sent_at),
            "last_failed_at": _iso(one.last_failed_at),
            "last_error": one.last_error,
            "books": [asdict(book) for book in one.books],
        }
        for one in export_states(state)
    ]


def _is_well(exporter: dict[str, Any]) -> bool:
    return not exporter["failing_since"] and all(book["balance"] == 0 for book in exporter["books"])


def _size(store: Path) -> int:
    """Bytes on disk, with what has not moved into the file itself yet."""
    parts = (store, store.with_name(f"{store.name}-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())


def _iso(time: int) -> str | None:
    return datetime.fromtimestamp(time / NS, UTC).isoformat(timespec="seconds") if time else None


def _print(found: dict[str, Any]) -> None:
    from alert_bridge.messages.moments import memory

    policy = found["policy"]["path"]
    click.echo(
        " · ".join(
            part
            for part in ("running" if found["running"] else "not running", found["url"], policy and f"policy {policy}")
            if part
        )
    )
    if found["policy"]["problem"]:
        click.echo(f"The newest policy file is not in force:\n{found['policy']['problem']}")
    number = found["open_incidents"]
    click.echo(
        f"last accepted {found['last_accepted_at'] or 'never'} · {number} open incident{'' if number == 1 else 's'}"
    )
    click.echo(
        f"{'channel':<10}" + "".join(f"{word:>{len(word) + 2}}" for word in _BOOKS.values()) + "  last delivered"
    )
    for channel in found["channels"]:
        book = channel["books"] or {}
        click.echo(
            f"{channel['channel']:<10}"
            + "".join(f"{book.get(name, 0):>{len(word) + 2}}" for name, word in _BOOKS.items())
            + f"  {channel['last_delivered_at'] or 'never'}"
        )
        waiting = channel["queue"]["waiting"]
        if waiting:
            messages = "1 message waits" if waiting == 1 else f"{waiting} messages wait, the oldest"
            click.echo(f"  {messages} since {channel['queue']['oldest_due_at']}")
        for broken in channel["broken"]:
            click.echo(f"  BROKEN {broken['address']} since {broken['since']}: {broken['error']}")
    _print_exporters(found["exporters"])
    sizes = (f"{name} {memory(size)}" for name, size in found["stores"].items())
    click.echo(f"stores: {', '.join(sizes)}")


def _print_exporters(exporters: list[dict[str, Any]]) -> None:
    if exporters:
        click.echo(
            f"{'exporter':<10}{'signal':<9}{'sent':>9}{'skipped':>9}{'refused':>9}{'dropped':>9}{'waiting':>9}{'missing':>9}"
            "  last sent"
        )
    for exporter in exporters:
        for book in exporter["books"]:
            numbers = [book[name] for name in ("sent", "skipped", "refused", "dropped", "waiting", "balance")]
            click.echo(
                f"{exporter['exporter']:<10}{book['signal']:<9}"
                + "".join(f"{number:>9}" for number in numbers)
                + f"  {exporter['last_sent_at'] or 'never'}"
            )
        if exporter["failing_since"]:
            click.echo(f"  FAILING since {exporter['failing_since']}: {exporter['last_error']}")
