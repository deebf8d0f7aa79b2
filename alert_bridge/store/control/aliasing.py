"""Which texts are one problem, in control.db: learned for ever, looked up in memory, undone by a person."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from alert_bridge.fingerprint.aliases import Family, Merge, place_and_text
from alert_bridge.model import Fingerprint

__all__ = ["AliasRows", "Families", "merges_in", "merges_of"]

TEXTS_PER_PLACE = 500  # what comes after is told apart by its text alone
TEXTS_MOST = 100_000
FAMILIES_IN_MEMORY = 200  # the last ones asked for


class Families:
    """The families that were asked for lately; what is not here is read again."""

    def __init__(self) -> None:
        self.undone = -1  # merges undone when this was read
        self.texts = 0  # rows in the table
        self.kept: OrderedDict[str, Family] = OrderedDict()

    def clear(self) -> None:
        """Forget all: a transaction that taught something was rolled back, or a person undid a merge."""
        self.kept.clear()
        self.undone = -1


class AliasRows:
    """Statements over alias texts, within one transaction."""

    connection: sqlite3.Connection
    families: Families

    def problem_behind(self, found: Fingerprint, *, now: int) -> Fingerprint:
        """The problem that this one is part of, if its text differs in one plain word from enough others."""
        known = place_and_text(found)
        if known is None:
            return found
        place, text = known
        family = self._family(place)
        if text not in family and len(family) < TEXTS_PER_PLACE and self.families.texts < TEXTS_MOST:
            self.connection.execute(
                "INSERT INTO alias_texts (place, text, fingerprint, seen_at) VALUES (?, ?, ?, ?)",
                (place, text, found.value, now),
            )
            self.families.texts += 1
            family.learn(text, found.value, at=now)
        leader = family.leader(text, found.value, now=now)
        return found if leader == found.value else replace(found, value=leader)

    def look_for_undone_merges(self) -> None:
        """Forget what was merged in memory if a person undid a merge since."""
        undone = self.connection.execute("SELECT count(*) FROM alias_undone").fetchone()[0]
        if undone != self.families.undone:
            self.families.clear()
            self.families.undone = undone
            self.families.texts = self.connection.execute("SELECT count(*) FROM alias_texts").fetchone()[0]

    def undo_merge(self, place: str, form: str, *, author: str, now: int) -> None:
        """Texts of this form are problems of their own again, from now on."""
        self.connection.execute(
            "INSERT INTO alias_undone (place, form, author, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (place, form, author, now),
        )

    def _family(self, place: str) -> Family:
        family = self.families.kept.get(place)
        if family is None:
            family = self.families.kept[place] = _read(self.connection, place)
            if len(self.families.kept) > FAMILIES_IN_MEMORY:
                self.families.kept.popitem(last=False)
        self.families.kept.move_to_end(place)
        return family


def merges_in(connection: sqlite3.Connection, *, now: int) -> Sequence[Merge]:
    """Everything that is merged, or soon will be."""
    places = connection.execute("SELECT DISTINCT place FROM alias_texts ORDER BY place").fetchall()
    return [merge for row in places for merge in _read(connection, row["place"]).merges(now=now)]


def merges_of(connection: sqlite3.Connection, found: Fingerprint, *, now: int) -> Sequence[Merge]:
    """What this problem's text is merged with, or soon will be."""
    known = place_and_text(found)
    if known is None:
        return ()
    place, text = known
    return [merge for merge in _read(connection, place).merges(now=now) if text in merge.texts]


def _read(connection: sqlite3.Connection, place: str) -> Family:
    undone = connection.execute("SELECT form FROM alias_undone WHERE place = ?", (place,)).fetchall()
    family = Family(place, [row["form"] for row in undone])
    rows = connection.execute(
        "SELECT text, fingerprint, seen_at FROM alias_texts WHERE place = ? ORDER BY id", (place,)
    )
    for row in rows:
        family.learn(row["text"], row["fingerprint"], at=row["seen_at"])
    return family
