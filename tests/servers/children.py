"""Real Python programs with and without the child side, and what their journals hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHILD_FOLDER = Path(__file__).parents[2] / "instrumentation" / "child"
TIME_LIMIT_SECONDS = 120


@dataclass(frozen=True)
class Ended:
    """What could be seen of a program from outside."""

    code: int
    out: bytes
    err: bytes


@dataclass(frozen=True)
class Kept:
    """What its processes kept."""

    lines: list[dict[str, Any]]
    reserve: list[dict[str, Any]]
    torn: int

    @property
    def logs(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["k"] == "log"]

    @property
    def starts(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["k"] == "proc"]

    @property
    def said(self) -> list[str]:
        """Level and finished message of every record."""
        return [f"{line['l']} {message(line)}" for line in self.logs]


def message(line: dict[str, Any]) -> str:
    """The finished message, as the parent makes it."""
    args = tuple(line.get("a", ()))
    try:
        return str(line["m"] % args if args else line["m"])
    except (TypeError, ValueError):
        return f"{line['m']} {args}"


def environment(folder: Path | None = None, **more: str) -> dict[str, str]:
    """A plain environment; under `run` with a folder."""
    kept = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONHASHSEED": "0"}
    if folder is not None:
        folder.mkdir(mode=0o700, exist_ok=True)
        kept |= {"PYTHONPATH": str(CHILD_FOLDER), "PIPELINE_ALERTS_JOURNAL_DIR_RUN": str(folder)}
    return {**kept, **more}


def run(
    source: str | list[str], folder: Path | None = None, *, python: str = sys.executable, cwd: Path, **more: str
) -> Ended:
    """Runs a program's source, or a command line, to its end."""
    if isinstance(source, str):
        script = cwd / "program.py"
        script.write_text(textwrap.dedent(source), encoding="utf-8")
        source = [python, str(script)]
    done = subprocess.run(
        source, cwd=cwd, env=environment(folder, **more), capture_output=True, timeout=TIME_LIMIT_SECONDS, check=False
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def kept(folder: Path) -> Kept:
    """Everything in the run's folder, file by file."""
    lines: list[dict[str, Any]] = []
    reserve: list[dict[str, Any]] = []
    torn = 0
    for path in sorted(folder.iterdir()):
        into = reserve if path.suffix == ".reserve" else lines
        for raw in path.read_bytes().rstrip(b"\0").splitlines():
            try:
                into.append(json.loads(raw))
            except ValueError:
                torn += 1
    return Kept(lines, reserve, torn)


def kept_in(path: Path) -> list[dict[str, Any]]:
    """The lines of one file, every one of which must be whole."""
    return [json.loads(raw) for raw in path.read_bytes().rstrip(b"\0").splitlines()]
