"""A second look at masked text: templates that differ in one plain word, often enough, are one problem.

"session opened for user cyrus" and "… user news" cannot be told to be one by looking at either alone. This table looks
at all of them: it only ever merges, the order of arrival does not change the outcome, and losing it may split a problem
but never hides one. Pure; the store keeps its templates.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from alert_bridge.model import Fingerprint

__all__ = ["MERGEABLE", "Aliases", "Family", "Merge", "place_and_text"]

DISTINCT_WORDS = 6  # so many different words in one place make it a variable
DISTINCT_IDENTIFIERS = 4  # fewer are enough if they look like names of things: a_b, a-b, a.b, CamelCase
LEAST_CONSTANT_WORDS = 3  # besides the place in question
MOST_WORDS = 40
MAX_DEPTH = 3
SETTLES_AFTER_S = (
    3_600.0  # nothing merges in the heat of the moment: a burst may be many problems, and a person may look
)
NS = 1_000_000_000
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

    def __contains__(self, template: str) -> bool:
        return template in self._parent

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
    in_force: bool  # false: seen too lately, see `SETTLES_AFTER_S`


class Family:
    """The texts of one place, in the order in which they were first seen, and who stands for each group."""

    def __init__(self, place: str, undone: Iterable[str] = ()) -> None:
        self.place = place
        self._undone = tuple(undone)
        self._fingerprints: dict[str, str] = {}
        self._fresh: deque[tuple[int, str]] = deque()  # when first seen (ns), text
        self._aliases = Aliases(self._undone)  # of what has settled
        self._leaders: dict[str, str] = {}  # group -> the text that came first

    def __len__(self) -> int:
        return len(self._fingerprints)

    def __contains__(self, text: str) -> bool:
        return text in self._fingerprints

    def learn(self, text: str, fingerprint: str, *, at: int) -> None:
        """Takes a text in that was first seen at this moment (ns)."""
        if text not in self._fingerprints:
            self._fingerprints[text] = fingerprint
            self._fresh.append((at, text))

    def leader(self, text: str, fingerprint: str, *, now: int) -> str:
        """The fingerprint that stands for this text's problem; its own if nothing else is known."""
        self._settle(now)
        group = next((form for form in (text, *_forms(text)) if form in self._aliases), None)
        if group is None:
            return fingerprint
        return self._fingerprints.get(self._leaders[self._aliases.problem_of(group)], fingerprint)

    def merges(self, *, now: int) -> Sequence[Merge]:
        """What is merged or soon will be, for a person to look at."""
        self._settle(now)
        whole = Aliases(self._undone)
        for text in self._fingerprints:
            whole.add(text)
        return [
            Merge(self.place, form, sorted(texts), form in self._aliases.merged)
            for form, texts in sorted(whole.merged.items())
        ]

    def _settle(self, now: int) -> None:
        settled = False
        while self._fresh and now - self._fresh[0][0] >= SETTLES_AFTER_S * NS:
            self._aliases.add(self._fresh.popleft()[1])
            settled = True
        if settled:
            self._leaders.clear()
            for text in self._fingerprints:
                if text in self._aliases:
                    self._leaders.setdefault(self._aliases.problem_of(text), text)


def _forms(text: str) -> Iterator[str]:
    words = text.split(" ")
    return (" ".join((*words[:at], HOLE, *words[at + 1 :])) for at in range(min(len(words), MOST_WORDS)))


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
