"""`pipeline-alerts check-policy`: every mistake of a policy file with its place, or what it would do."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import click

from alert_bridge.cli.policy_examples import Difference, compare, read_examples
from alert_bridge.cli.policy_summary import summarise
from alert_bridge.errors import Diagnostic, PolicyError, UsageError
from alert_bridge.policy.diagnostics import render
from alert_bridge.policy.load import load, policy_path
from alert_bridge.policy.model import Policy

__all__ = ["command"]


@click.command("check-policy")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--table", "table", type=click.Path(path_type=Path), metavar="FILE",
    help="Examples (YAML or CSV) of records and who must hear of them; exit code 1 if one differs.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
def command(file: Path | None, table: Path | None, *, as_json: bool) -> None:
    """Check a policy file, by line and column, and say in a few lines what it would do.

    FILE: default $PIPELINE_ALERTS_POLICY, else ./alerting.yaml, else the packaged policy.

    Exit codes: 0 valid (warnings included), 1 a mistake or an example that differs, 2 wrong usage or set-up.
    """
    path = file or policy_path(os.environ)
    if not path.is_file():
        raise UsageError(f"there is no policy file {path}: `pipeline-alerts init` writes one to start from")
    now = time.time_ns()
    try:
        policy = load(path)
    except PolicyError as error:
        _show_errors(path, error.diagnostics, as_json=as_json)
        raise SystemExit(1) from error
    differences: tuple[Difference, ...] = ()
    checked = 0
    if table is not None:
        examples = read_examples(table, policy)
        checked, differences = len(examples), tuple(compare(examples, policy, now))
    if as_json:
        _print_json(path, policy, checked, differences, now)
    else:
        _show_policy(policy, now)
        if table is not None:
            _show_differences(table, checked, differences)
    if differences:
        raise SystemExit(1)


def _show_errors(path: Path, diagnostics: tuple[Diagnostic, ...], *, as_json: bool) -> None:
    if as_json:
        _document({"file": str(path), "valid": False, "errors": [_plain(found) for found in diagnostics]})
        return
    lines = _lines(path)
    for diagnostic in diagnostics:
        click.echo(render(diagnostic, lines, kind="error"), err=True)
    count = len(diagnostics)
    click.echo(f"{path}: {count} mistake{'s' if count != 1 else ''}; the bridge would not start with it", err=True)


def _show_policy(policy: Policy, now: int) -> None:
    lines = _lines(policy.path)
    for warning in policy.warnings:
        click.echo(render(warning, lines, kind="warning"), err=True)
    click.echo(f"{policy.path} is valid.")
    for line in summarise(policy, now):
        click.echo(f"  {line}")
    if policy.placeholders:
        click.echo(f"  Not for real yet: {', '.join(policy.placeholders)} must be replaced")


def _show_differences(table: Path, checked: int, differences: tuple[Difference, ...]) -> None:
    for difference in differences:
        click.echo(f"{table}:{difference.example.line}: {difference.example.name}", err=True)
        for what, expected, got in difference.points:
            click.echo(f"    {what:<8}  - expected {expected}\n    {'':<8}  + got      {got}", err=True)
        for reason in difference.because:
            click.echo(f"    because   {reason}", err=True)
    if differences:
        click.echo(f"{table}: {len(differences)} of {checked} examples differ", err=True)
    else:
        click.echo(f"{table}: all {checked} examples come out as written.")


def _print_json(path: Path, policy: Policy, checked: int, differences: tuple[Difference, ...], now: int) -> None:
    _document(
        {
            "file": str(path),
            "valid": True,
            "errors": [],
            "warnings": [_plain(found) for found in policy.warnings],
            "summary": list(summarise(policy, now)),
            "placeholders": list(policy.placeholders),
            "digest": policy.digest,
            "examples": {
                "checked": checked,
                "differences": [
                    {
                        "line": difference.example.line,
                        "name": difference.example.name,
                        "points": [
                            {"what": what, "expected": expected, "got": got}
                            for what, expected, got in difference.points
                        ],
                        "because": list(difference.because),
                    }
                    for difference in differences
                ],
            },
        }
    )


def _plain(diagnostic: Diagnostic) -> dict[str, object]:
    return {**asdict(diagnostic), "path": str(diagnostic.path)}


def _document(content: dict[str, object]) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


def _lines(path: Path) -> list[str]:
    # Only to be shown: what is not UTF-8 is one of the mistakes.
    return path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
