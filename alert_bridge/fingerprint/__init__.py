"""Which records are the same problem: a pure, versioned, explained function of what a record says."""

from __future__ import annotations

import hashlib
import json
import re

from alert_bridge.model import Fingerprint, Record
from instrumentation import attributes as names

__all__ = ["VERSION", "fingerprint"]

VERSION = 0

_VARIABLE = re.compile(r"""'[^']*'|"[^"]*"|\S*\d\S*""")


def fingerprint(record: Record) -> Fingerprint:
    """The record's problem. Never looks at host, process, run, line number or severity."""
    rung, parts = _parts(record)
    components = (("scope", f"{record.pipeline}/{record.environment}"), *parts)
    digest = hashlib.sha256(json.dumps([VERSION, rung, components], ensure_ascii=True).encode()).hexdigest()
    return Fingerprint(f"v{VERSION}-{digest[:24]}", VERSION, rung, components)


def _parts(record: Record) -> tuple[str, tuple[tuple[str, str], ...]]:
    own = record.text(names.FINGERPRINT)
    if own:
        return "user", (("fingerprint", own),)
    kind = record.text(names.EXCEPTION_TYPE)
    function = record.text(names.CODE_FUNCTION)
    if kind:
        message = _VARIABLE.sub("*", record.text(names.EXCEPTION_MESSAGE))
        return "exception", (("type", kind), ("message", message), ("function", function))
    template = record.text(names.TEMPLATE)
    if template:
        return "template", (("template", template), ("logger", record.scope))
    return "program", (("text", _VARIABLE.sub("*", record.body)), ("program", record.pipeline))
