"""From pydantic's errors to sentences with a place and a suggestion, and from those to what a terminal shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from alert_bridge.errors import Diagnostic
from alert_bridge.policy.source import Source, Step, nulls

__all__ = ["closest", "explain", "render", "without_value"]

MAX_SHOWN_CHARACTERS = 160

_EXPECTED = {
    "list_type": "a list is expected here",
    "dict_type": "a mapping (key: value) is expected here",
    "model_type": "a mapping (key: value) is expected here",
    "model_attributes_type": "a mapping (key: value) is expected here",
    "string_type": "a text is expected here",
    "too_short": "this is empty",
    "int_parsing": "a whole number is expected here",
    "int_type": "a whole number is expected here",
    "bool_parsing": "true or false is expected here",
    "bool_type": "true or false is expected here",
    "greater_than_equal": "this must be at least 1",
}


def closest(word: str, choices: Sequence[str]) -> str:
    """`did you mean …?`, or the choices where none is close."""
    found = get_close_matches(word, choices, n=1, cutoff=0.6)
    found = found or [choice for choice in choices if word and (word.startswith(choice) or choice.startswith(word))]
    if found:
        return f"did you mean {found[0]}?"
    if len(choices) == 1:
        return f"write {choices[0]}"
    return f"one of {', '.join(choices)}" if choices else ""


def explain(error: ValidationError, source: Source, shape: type[BaseModel]) -> Iterator[Diagnostic]:
    """One diagnostic per error, each at the place in the file that a person has to change."""
    for detail in error.errors(include_url=False):
        # pydantic marks an error in a mapping's key by a last step that stands in no file.
        at_key = detail["loc"][-1:] == ("[key]",)
        where: Step = detail["loc"][:-1] if at_key else detail["loc"]
        context = detail.get("ctx", {})
        kind = detail["type"]
        if detail["input"] is None:
            continue  # said once and for all by `without_value`
        if kind == "extra_forbidden":
            allowed = _keys_at(shape, where[:-1])
            yield source.at_key(where, f"unknown key {where[-1]!r}", closest(str(where[-1]), allowed))
        elif kind == "missing":
            yield source.at_key(where[:-1], f"{where[-1]} is missing", _missing_hint(shape, where))
        elif kind == "policy":
            place = source.at_key if at_key else source.at
            yield place(where, context["message"], context["suggestion"])
        elif kind == "literal_error":
            value = str(detail["input"])
            choices = [choice.strip("'") for choice in context["expected"].replace(" or ", ", ").split(", ")]
            yield source.at(where, f"unknown {where[-1]} {value!r}", closest(value, choices))
        else:
            yield source.at(where, _EXPECTED.get(kind, detail["msg"]), _shape_hint(where, kind))


def without_value(source: Source) -> Iterator[Diagnostic]:
    """One diagnostic per key or list item after which nothing stands."""
    for where in nulls(source.data):
        if where and isinstance(where[-1], str):
            yield source.at_key(where, f"{where[-1]} has no value", _null_hint(where))
        else:
            yield source.at(where, "this item has no value", "write one, or delete the line")


def render(diagnostic: Diagnostic, lines: Sequence[str], *, kind: str) -> str:
    """The way compilers say it: place and sentence, the line itself, a caret, and the suggestion.

    Args:
        diagnostic: what is wrong.
        lines: the file's lines.
        kind: `error` or `warning`.
    """
    head = f"{diagnostic.path}:{diagnostic.line}:{diagnostic.column}: {kind}: {diagnostic.message}"
    parts = [head]
    if 0 < diagnostic.line <= len(lines):
        text = lines[diagnostic.line - 1].replace("\t", " ")
        start = max(0, diagnostic.column - MAX_SHOWN_CHARACTERS // 2) if len(text) > MAX_SHOWN_CHARACTERS else 0
        shown = text[start : start + MAX_SHOWN_CHARACTERS]
        gutter = f"{diagnostic.line:>5} | "
        parts += [
            f"{gutter}{shown}".rstrip(),
            " " * (len(gutter) - 2) + "| " + " " * (diagnostic.column - 1 - start) + "^",
        ]
    if diagnostic.suggestion:
        parts.append(f"        {diagnostic.suggestion}")
    return "\n".join(parts)


def _keys_at(shape: type[BaseModel], where: Step) -> list[str]:
    """The keys that the shape knows at a place."""
    current: Any = shape
    for step in where:
        current = _below(current, step)
    return [field.alias or name for name, field in current.model_fields.items()] if _is_shape(current) else []


def _below(annotation: Any, step: str | int) -> Any:
    if _is_shape(annotation):
        fields = annotation.model_fields
        name = next((name for name, field in fields.items() if step in (name, field.alias)), "")
        return _inner(fields[name].annotation) if name else None
    arguments = get_args(annotation)
    return _inner(arguments[-1]) if arguments else None


def _inner(annotation: Any) -> Any:
    """Without `Annotated[…]` and `… | None`."""
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if len(arguments) == 1 and get_origin(annotation) is not list:
        return _inner(arguments[0])
    return annotation


def _is_shape(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _missing_hint(shape: type[BaseModel], where: Step) -> str:
    if where == ("version",):
        return "write version: 1 at the top"
    keys = _keys_at(shape, where[:-1])
    return f"the keys here are {', '.join(keys)}" if keys else ""


def _null_hint(where: Step) -> str:
    if where[-1:] == ("slack",):
        return 'quote it: slack: "#channel"; without quotes, # starts a comment'
    return "write one, or delete the line"


def _shape_hint(where: Step, kind: str) -> str:
    if kind == "list_type":
        return f"{where[-1]}: [one, two]" if where and isinstance(where[-1], str) else "start the line with -"
    if kind == "too_short":
        return "name at least one"
    return ""
