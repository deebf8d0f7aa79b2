"""Which records are the same problem: a pure, versioned, explained function of what a record says.

The ladder, first rung that holds: the user's own fingerprint → stack trace → exception type, message and function →
logging template → masked text and code location → masked text and program. Never host, process, run, line number or
severity, so that a restart, a replica or a new Python version changes no identity.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

from alert_bridge.fingerprint.ladder import Said, climb
from alert_bridge.model import Fingerprint, Record
from instrumentation import attributes as names

__all__ = ["VERSION", "Said", "fingerprint", "of"]

VERSION = 1  # part of every value: a change of the rules is a new identity, never a silent regrouping
HASH_CHARS = 24  # 96 bits: no two problems of one installation share one by chance


def fingerprint(record: Record) -> Fingerprint:
    """The record's problem, within its pipeline and environment."""
    return of(said(record))


def of(what: Said) -> Fingerprint:
    """The problem of what was said."""
    rung, parts = climb(what)
    return _identified(rung, (("scope", what.scope), *parts) if what.scope else parts)


@lru_cache(maxsize=4_096)
def _identified(rung: str, components: tuple[tuple[str, str], ...]) -> Fingerprint:
    canonical = json.dumps([VERSION, rung, components], ensure_ascii=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return Fingerprint(f"v{VERSION}-{digest[:HASH_CHARS]}", VERSION, rung, components)


def said(record: Record) -> Said:
    """The fields of a record that a fingerprint may look at."""
    return Said(
        scope=f"{record.pipeline}/{record.environment}",
        own=record.text(names.FINGERPRINT),
        body=record.body,
        exception_type=record.text(names.EXCEPTION_TYPE),
        exception_message=record.text(names.EXCEPTION_MESSAGE),
        stacktrace=record.text(names.EXCEPTION_STACKTRACE),
        template=record.text(names.TEMPLATE),
        logger=record.scope,
        code_file=record.text(names.CODE_FILE),
        code_function=record.text(names.CODE_FUNCTION),
        program=record.text(names.SERVICE_NAME),
    )
