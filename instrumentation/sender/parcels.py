"""Entries on their way, in the parcels that the wire wants: neighbours of one journal, signal and scope."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from instrumentation.sender.entry import Entry
from instrumentation.sender.journals import Journal

__all__ = ["Parcel", "Queue", "count_of", "halves"]

MAX_BATCH_ITEMS: Final = 1024
MAX_BATCH_BYTES: Final = 1_048_576
MAX_QUEUED_BYTES: Final = 8_388_608  # of one lane
FAR_AHEAD_BYTES: Final = 2 * MAX_BATCH_BYTES


@dataclass(slots=True)
class Parcel:
    """Entries that share what stands around them in a request; ``ends`` says where their lines end."""

    journal: Journal
    kind: str
    scope: str
    messages: list[bytes] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    size: int = 0  # bytes of the messages

    def cut(self, count: int) -> tuple[Parcel, Parcel]:
        """The first so many entries, and the others."""
        first, others = slice(None, count), slice(count, None)
        return (
            Parcel(self.journal, self.kind, self.scope, self.messages[first], self.ends[first]),
            Parcel(self.journal, self.kind, self.scope, self.messages[others], self.ends[others]),
        )


class Queue:
    """What waits for a lane, in order. What does not fit waits on disk, where it already is."""

    def __init__(self) -> None:
        self._parcels: deque[Parcel] = deque()
        self._last: Parcel | None = None  # in it, which more may join
        self._size = 0
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._parcels)

    @property
    def has_room(self) -> bool:
        return self._size < MAX_QUEUED_BYTES

    @property
    def is_far_ahead(self) -> bool:
        """Whether more waits than the next posts can take."""
        return self._size >= FAR_AHEAD_BYTES

    @property
    def fills_a_batch(self) -> bool:
        return self._count >= MAX_BATCH_ITEMS

    def put(self, journal: Journal, entries: Iterable[tuple[Entry, int]]) -> None:
        """Adds entries with the ends of their lines."""
        parcel = self._last
        for entry, end in entries:
            message = entry.message
            size = len(message)
            if (
                parcel is None
                or parcel.journal is not journal
                or parcel.scope != entry.scope
                or parcel.kind != entry.kind
                or len(parcel.ends) >= MAX_BATCH_ITEMS
                or parcel.size + size > MAX_BATCH_BYTES
            ):
                parcel = self._last = Parcel(journal, entry.kind, entry.scope)
                self._parcels.append(parcel)
            parcel.messages.append(message)
            parcel.ends.append(end)
            parcel.size += size
            self._size += size
            self._count += 1

    def next_batch(self) -> list[Parcel]:
        """Takes out what goes in one request, or in one per signal."""
        batch: list[Parcel] = []
        count = size = 0
        while self._parcels:
            parcel = self._parcels[0]
            count += len(parcel.ends)
            size += parcel.size
            if batch and (count > MAX_BATCH_ITEMS or size > MAX_BATCH_BYTES):
                break
            batch.append(self._parcels.popleft())
            self._size -= parcel.size
            self._count -= len(parcel.ends)
        if not self._parcels:
            self._last = None
        return batch


def count_of(parcels: Sequence[Parcel]) -> int:
    """How many entries they hold."""
    return sum(len(parcel.ends) for parcel in parcels)


def halves(parcels: Sequence[Parcel]) -> tuple[list[Parcel], list[Parcel]]:
    """The first half of at least two entries, and the second."""
    room = count_of(parcels) // 2
    for index, parcel in enumerate(parcels):
        if room <= len(parcel.ends):
            first, second = parcel.cut(room)
            return [*parcels[:index], first], [*([second] if second.ends else []), *parcels[index + 1 :]]
        room -= len(parcel.ends)
    raise AssertionError("unreachable")
