"""A YAML file as plain text values with the place of each. Knows nothing of policies.

Scalars stay as they are written (`no` is the text "no", `2026-11` is a month and not a sum): the shape decides what
they mean. Anchors, aliases and tags are refused: nobody needs them to say who is told of what, and they are how YAML
turns a small file into a large one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

import yaml

from alert_bridge.errors import Diagnostic, PolicyError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "Plain", "Source", "Step", "nulls", "read_source"]

MAX_BYTES = 200_000  # a policy of a thousand rules is half of it; PyYAML takes about 2 s for this much
MAX_DEPTH = 12  # the deepest place of a valid policy is 6 deep

Plain: TypeAlias = "str | list[Plain] | dict[str, Plain] | None"
Step: TypeAlias = "tuple[str | int, ...]"  # the way to a value: ("routes", 0, "channel")

_CORE_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "value")
)
_NULL_TAG = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Source:
    """What a file says and where: 1-based (line, column) of each value, and of each mapping's key."""

    path: Path
    text: str
    data: Plain
    values: dict[Step, tuple[int, int]]
    keys: dict[Step, tuple[int, int]]
    faults: tuple[Diagnostic, ...]  # duplicate keys and the like: the rest of the file can still be checked

    def at(self, where: Step, message: str, suggestion: str = "") -> Diagnostic:
        """A diagnostic at the value, or at the nearest thing around it that stands in the file."""
        line, column = next(self.values[step] for step in _outward(where) if step in self.values)
        return Diagnostic(self.path, line, column, message, suggestion)

    def at_key(self, where: Step, message: str, suggestion: str = "") -> Diagnostic:
        """The same, at the key of a mapping's entry."""
        line, column = self.keys.get(where) or next(
            self.keys.get(step) or self.values[step] for step in _outward(where) if step in self.values
        )
        return Diagnostic(self.path, line, column, message, suggestion)


def read_source(path: Path) -> tuple[Source, bytes]:
    """The file's values with their places, and its bytes.

    Raises:
        PolicyError: with one diagnostic: it cannot be read, or it is not YAML that we take.
    """
    raw = _read(path)
    text = _decode(path, raw)
    try:
        root = _Composer(text).get_single_node()
    except _TooDeep as error:
        raise _refusal(path, error.mark, f"this is nested more than {MAX_DEPTH} deep") from error
    except yaml.MarkedYAMLError as error:
        message, suggestion = _explain(error, text)
        raise _refusal(path, error.problem_mark or error.context_mark, message, suggestion) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        unreadable = f"a character that YAML does not allow (code {error.character:#04x})"
        raise PolicyError((Diagnostic(path, line, column, unreadable, "delete it"),)) from error
    if root is None:
        raise _refusal(path, None, "the file is empty", "`pipeline-alerts init` writes one to start from")
    reading = _Reading(path)
    data = reading.plain(root, ())
    return Source(path, text, data, reading.values, reading.keys, tuple(reading.faults)), raw


def nulls(value: Plain, where: Step = ()) -> Iterator[Step]:
    """Every place that was left without a value."""
    if value is None:
        yield where
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from nulls(inner, (*where, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from nulls(inner, (*where, index))


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise _refusal(path, None, "this is not a file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        hint = "`pipeline-alerts init` writes one to start from"
        raise _refusal(path, None, "there is no such file", hint) from error
    except OSError as error:
        raise _refusal(path, None, f"the file cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise _refusal(path, None, f"the file is larger than {MAX_BYTES:,} bytes", "is it really a policy?")
    return raw


def _decode(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        message = f"byte {raw[error.start]:#04x} is not UTF-8"
        raise PolicyError((Diagnostic(path, line, column, message, "save the file as UTF-8"),)) from error


class _TooDeep(Exception):
    def __init__(self, mark: yaml.Mark) -> None:
        super().__init__()
        self.mark = mark


class _Composer(yaml.SafeLoader):
    """Nodes only: nothing is constructed. Stops at once at an alias and at too deep a nesting."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        peek: Callable[[], yaml.NodeEvent] = self.peek_event
        event = peek()
        mark = cast("yaml.Mark", event.start_mark)  # the pure-Python loader always has one
        if isinstance(event, yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are refused", mark)
        if getattr(event, "anchor", None) is not None:
            raise yaml.composer.ComposerError(None, None, "anchors are refused", mark)
        if self._depth >= MAX_DEPTH:
            raise _TooDeep(mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _explain(error: yaml.MarkedYAMLError, text: str) -> tuple[str, str]:
    problem = error.problem or "this is not YAML"
    mark = error.problem_mark
    if "'\\t'" in problem or (mark is not None and _tab_before(text, mark.line)):
        return "a tab is not allowed as indentation", "indent with spaces"
    if "refused" in problem:
        return problem.replace("are refused", "(&name, *name) are not supported"), "write the value out"
    if "another document" in problem:
        return "a second document starts here", "keep one `---` at most, at the top"
    if "'%'" in problem or "'@'" in problem or "'`'" in problem:
        return problem, 'put the value in quotes: "@U123"'
    return f"not valid YAML: {problem}", f"{error.context}" if error.context else ""


def _tab_before(text: str, line: int) -> bool:
    lines = text.splitlines()
    return line < len(lines) and re.match(r" *\t", lines[line]) is not None


def _refusal(path: Path, mark: yaml.Mark | None, message: str, suggestion: str = "") -> PolicyError:
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    return PolicyError((Diagnostic(path, line, column, message, suggestion),))


def _outward(where: Step) -> Iterator[Step]:
    for length in range(len(where), -1, -1):
        yield where[:length]


class _Reading:
    """Walks the nodes once, keeping places and faults."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[Step, tuple[int, int]] = {}
        self.keys: dict[Step, tuple[int, int]] = {}
        self.faults: list[Diagnostic] = []

    def plain(self, node: yaml.Node, where: Step) -> Plain:
        self.values[where] = _place(node)
        if node.tag not in _CORE_TAGS:
            self._fault(node, f"the tag {node.tag.removeprefix('tag:yaml.org,2002:')} is not supported", "remove it")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item, (*where, index)) for index, item in enumerate(node.value)]
        return None if node.tag == _NULL_TAG else str(node.value)

    def _mapping(self, node: yaml.MappingNode, where: Step) -> dict[str, Plain]:
        result: dict[str, Plain] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._fault(key, "a key must be a single word", 'put it in quotes: "…"')
                continue
            name = str(key.value)
            step = (*where, name)
            if name in result:
                self._fault(key, f"the key {name!r} stands here twice", f"first at line {self.keys[step][0]}")
                continue
            self.keys[step] = _place(key)
            result[name] = self.plain(value, step)
        return result

    def _fault(self, node: yaml.Node, message: str, suggestion: str) -> None:
        self.faults.append(Diagnostic(self.path, *_place(node), message, suggestion))


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
