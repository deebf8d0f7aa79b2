"""Checks a Collector's configuration: what `otelcol validate` says, what it misses, and what known records prove."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from collector import proof
from collector.configuration import Configuration, effective
from collector.errors import CollectorError
from collector.finding import Finding, Level
from collector.state import held_by_another
from collector.wiring import busy_addresses, unset_variables, wiring

__all__ = ["Finding", "Level", "before_start", "check", "refuse"]

VALIDATE_TIMEOUT_SECONDS = 30


def check(binary: Path, configuration: Configuration, environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """Everything: `otelcol validate`, then the wiring and, if it shows no error, the proof on a started Collector."""
    found = [_validated(binary, configuration, environ)]
    if found[0].level is Level.ERROR:
        return tuple(found)
    found.extend(unset_variables(configuration, environ))
    found.extend(wiring(effective(binary, configuration, environ)))
    if not any(finding.level is Level.ERROR for finding in found):
        found.extend(proof.prove(binary, configuration, environ))
    return tuple(found)


def before_start(binary: Path, configuration: Configuration, environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """What can be known in a tenth of a second: the wiring, and whether addresses and state are free.

    Raises:
        CollectorError: the files cannot be read as a configuration.
    """
    document = effective(binary, configuration, environ)
    return (
        *unset_variables(configuration, environ),
        *wiring(document),
        *busy_addresses(document),
        *held_by_another(document),
    )


def refuse(findings: Iterable[Finding]) -> None:
    """Refuse to go on while a finding is an error.

    Raises:
        CollectorError: with every error, one a line.
    """
    errors = [str(finding) for finding in findings if finding.level is Level.ERROR]
    if errors:
        raise CollectorError("the Collector would not work:\n" + "\n".join(errors))


def _validated(binary: Path, configuration: Configuration, environ: Mapping[str, str]) -> Finding:
    answer = subprocess.run(  # noqa: S603 - the binary that the user has chosen
        [binary, "validate", *configuration.arguments()],
        env=environ, capture_output=True, text=True, timeout=VALIDATE_TIMEOUT_SECONDS, check=False,
    )  # fmt: skip
    where = ", ".join(str(path) for path in configuration.files)
    if answer.returncode == 0:
        return Finding.ok("otelcol validate", where, "accepted")
    return Finding.error("otelcol validate", where, answer.stderr.strip())
