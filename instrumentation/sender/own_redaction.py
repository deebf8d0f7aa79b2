"""The user's own redaction, beside ours: a function from text to text, called before a text goes anywhere."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from instrumentation.redaction import MARK

__all__ = ["OwnRedaction", "load"]

FOLDER_VARIABLE: Final = "PIPELINE_ALERTS_REDACT_PATH"  # where a module was found that is not installed
_DEPTH: Final = 12

Redact = Callable[[str], str]


class OwnRedaction:
    """Rewrites a journal's line: message, template, exception and extras. A text that defeats it is not shipped."""

    def __init__(self, function: Redact) -> None:
        self._function = function
        self._thread = threading.local()

    def __call__(self, line: dict[str, Any]) -> dict[str, Any]:
        """The line with its message formatted, because a secret may stand across a template and its arguments."""
        told = dict(line)
        arguments = told.pop("a", None)
        if arguments:
            try:
                told["m"], told["mt"] = told["m"] % tuple(arguments), told["m"]
            except (TypeError, ValueError, KeyError, OverflowError):
                told["a"] = self._nested(arguments, 0)
        for name in ("m", "mt", "na", "sm", "e", "d", "ve"):
            if name in told:
                told[name] = self._nested(told[name], 0)
        return told

    def rewrite(self, line: str) -> str:
        """The same for a line that is about to be written. What the function itself makes somebody log is hidden."""
        if getattr(self._thread, "is_busy", False):
            return json.dumps(OwnRedaction(_hide)(json.loads(line)), separators=(",", ":"))
        self._thread.is_busy = True
        try:
            return json.dumps(self(json.loads(line)), separators=(",", ":"))
        finally:
            self._thread.is_busy = False

    def _nested(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            try:
                return str(self._function(value))
            except Exception:  # noqa: BLE001 - the user's code; better a lost text than one that nobody looked at
                return MARK
        if depth < _DEPTH and isinstance(value, Mapping):
            return {name: self._nested(item, depth + 1) for name, item in value.items()}
        if depth < _DEPTH and isinstance(value, list):
            return [self._nested(item, depth + 1) for item in value]
        return value


def _hide(_text: str) -> str:
    return MARK


def load(path: str) -> OwnRedaction:
    """The function that `module:function` names, from what is installed, else from the working folder.

    Raises:
        ValueError: there is none; says why.
    """
    module, colon, name = path.partition(":")
    with contextlib.suppress(OSError):  # the working folder was removed: what is installed is found all the same
        os.environ.setdefault(FOLDER_VARIABLE, os.getcwd())  # noqa: PTH109 - a text for the environment
    folder = os.environ.get(FOLDER_VARIABLE, "")
    cannot = f"PIPELINE_ALERTS_REDACT={path} cannot be used"
    if not (module and colon and name):
        raise ValueError(f"{cannot}: it is not MODULE:FUNCTION")
    if folder and folder not in sys.path:
        sys.path.append(folder)
    try:
        function: Redact = getattr(importlib.import_module(module), name)
        function("")
    except Exception as error:
        raise ValueError(f"{cannot}: {type(error).__name__}: {error}") from error
    return OwnRedaction(function)
