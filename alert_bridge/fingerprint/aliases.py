"""A second look at masked text: templates that differ in one plain word, often enough, are one problem.

"session opened for user cyrus" and "… user news" cannot be told to be one by looking at either alone. This table looks
at all of them: it only ever merges, the order of arrival does not change the outcome, and losing it may split a problem
but never hides one. Pure; the store keeps its templates.
"""

from __future__ import annotations

__all__ = ["Aliases"]

DISTINCT_WORDS = 6  # so many different words in one place make it a variable
DISTINCT_IDENTIFIERS = 4  # fewer are enough if they look like names of things: a_b, a-b, a.b, CamelCase
LEAST_CONSTANT_WORDS = 3  # besides the place in question
MOST_WORDS = 40
MAX_DEPTH = 3
HOLE = "*"


class Aliases:
    """Masked texts and which of them are one problem."""

    def __init__(self) -> None:
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
            if _is_variable(seen) and depth < MAX_DEPTH:
                general = " ".join((*words[:place], HOLE, *words[place + 1 :]))
                self._insert(general, depth + 1)
                for one in seen.values():
                    self._union(one, general)

    def _union(self, one: str, other: str) -> None:
        a, b = self._root(one), self._root(other)
        if a != b:
            small, large = sorted((a, b))
            self._parent[large] = small


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
