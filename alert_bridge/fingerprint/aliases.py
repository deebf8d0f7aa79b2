"""A second look at masked text: templates that differ in one plain word, often enough, are one problem.

"session opened for user cyrus" and "… user news" cannot be told to be one by looking at either alone. This table looks
at all of them: it only ever merges, the order of arrival does not change the outcome, and losing it may split a problem
but never hides one. Pure; the store keeps its templates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alert_bridge.model import Fingerprint

__all__ = ["MERGEABLE", "Aliases", "Family", "Merge", "place_and_text"]

DISTINCT_WORDS = 6  # so many different words in one place make it a variable
DISTINCT_IDENTIFIERS = 4  # fewer are enough if they look like names of things: a_b, a-b, a.b, CamelCase
LEAST_CONSTANT_WORDS = 3  # besides the place in question
MOST_WORDS = 40
MAX_DEPTH = 3
HOLE = "*"
MERGEABLE = {"template": "template", "location": "text", "program": "text"}  # rung -> its part that is a text

_PLACEHOLDER = re.compile(r"%(?:\(\w{1,80}\))?[-+ #0]{0,5}[\d.*]{0,9}[a-zA-Z]|\{[^{}]{0,80}\}")


class Aliases:
    """Masked texts and which of them are one problem. ``undone``: forms that must not merge what has them."""

    def __init__(self, undone: Iterable[str] = ()) -> None:
        self.merged: dict[str, set[str]] = {}  # form -> texts, by their own words or those of a form
        self._undone = frozenset(undone)
        self._parent: dict[str, str] = {}
        self._depth: dict[str, int] = {}
        self._contexts: dict[tuple[str, ...], dict[str, str]] = {}

    def add(self, template: str) -> str:
        """Takes a masked text in and returns the problem it belongs to: the smallest text of its group."""
        if template not in self._parent:
            self._insert(template, 0)
        return self.problem_of(template)

    def problem_of(self, template: str) -> str:
        """The group of a text; a text never seen is its own."""
        return self._root(template)

    def _root(self, template: str) -> str:
        root = template
        while (above := self._parent.get(root, root)) != root:
            root = above
        while template != root:
            self._parent[template], template = root, self._parent.get(template, root)
        return root

    def _insert(self, template: str, depth: int) -> None:
        if template in self._parent:
            return
        self._parent[template] = template
        words = template.split(" ")
        if len(words) > MOST_WORDS:
            return
        constants = sum(HOLE not in word and _is_plain(word) for word in words)
        for place, word in enumerate(words):
            if word == HOLE or not _is_plain(word):
                continue
            if constants - (HOLE not in word) < LEAST_CONSTANT_WORDS:
                continue
            context = (*words[:place], "\0", *words[place + 1 :])
            seen = self._contexts.setdefault(context, {})
            seen[word] = template
            general = " ".join((*words[:place], HOLE, *words[place + 1 :]))
            if _is_variable(seen) and depth < MAX_DEPTH and general not in self._undone:
                self._insert(general, depth + 1)
                self.merged.setdefault(general, set()).update(seen.values())
                for one in seen.values():
                    self._union(one, general)

    def _union(self, one: str, other: str) -> None:
        a, b = self._root(one), self._root(other)
        if a != b:
            small, large = sorted((a, b))
            self._parent[large] = small


@dataclass(frozen=True, slots=True)
class Merge:
    """Texts that are one problem because they differ in one word: ``form`` has a hole in its place."""

    place: str
    form: str
    texts: Sequence[str]
    leader: str  # the fingerprint that stands for all


class Family:
    """The texts of one place, in the order in which they were first seen, and who stands for each group."""

    def __init__(self, place: str, undone: Iterable[str] = ()) -> None:
        self.place = place
        self._aliases = Aliases(undone)
        self._order: dict[str, tuple[int, str]] = {}  # text -> when it came, its fingerprint
        self._leaders: dict[str, tuple[int, str]] = {}
        self._merges = 0

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, text: str) -> bool:
        return text in self._order

    def learn(self, text: str, fingerprint: str) -> None:
        """Takes a text in; the first one of a group leads it."""
        if text not in self._order:
            self._order[text] = len(self._order), fingerprint
            self._aliases.add(text)

    def leader(self, text: str, fingerprint: str) -> str:
        """The fingerprint that stands for this text's problem; its own if nothing else is known."""
        if text not in self._order:
            return fingerprint
        merges = sum(map(len, self._aliases.merged.values()))
        if merges != self._merges or text not in self._leaders:
            self._merges = merges
            by_group: dict[str, tuple[int, str]] = {}
            for one, came in self._order.items():
                group = self._aliases.problem_of(one)
                by_group[group] = min(by_group.get(group, came), came)
            self._leaders = {one: by_group[self._aliases.problem_of(one)] for one in self._order}
        return self._leaders[text][1]

    def merges(self) -> Sequence[Merge]:
        """What was merged, for a person to look at."""
        return [
            Merge(self.place, form, sorted(texts), self.leader(own[0], ""))
            for form, texts in sorted(self._aliases.merged.items())
            if (
                own := sorted(
                    text for text in self._order if self._aliases.problem_of(text) == self._aliases.problem_of(form)
                )
            )
        ]


def place_and_text(found: Fingerprint) -> tuple[str, str] | None:
    """Where a problem's text stands, and the text; None if it is told by more than its text."""
    name = MERGEABLE.get(found.rung)
    if name is None:
        return None
    text = next((value for part, value in found.components if part == name), "")
    rest = [(part, value) for part, value in found.components if part != name]
    return json.dumps([found.rung, *rest], ensure_ascii=True, separators=(",", ":")), _PLACEHOLDER.sub(HOLE, text)


def _is_plain(word: str) -> bool:
    return any(char.isalpha() for char in word)


def _is_variable(seen: dict[str, str]) -> bool:
    if len(seen) >= DISTINCT_WORDS:
        return True
    return len(seen) >= DISTINCT_IDENTIFIERS and sum(_is_identifier(word) for word in seen) >= DISTINCT_IDENTIFIERS


def _is_identifier(word: str) -> bool:
    bare = word.strip("()[]{}<>.,;:!?\"'")
    return any(mark in bare[1:-1] for mark in "_-./@") or (
        bare[1:] != bare[1:].lower() and bare[1:] != bare[1:].upper()
    )
