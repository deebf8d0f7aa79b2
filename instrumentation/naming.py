"""A pipeline's name where none was given: what is run, not with what. The same whatever the arguments are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

__all__ = ["name_of", "working_folder"]

_SHELLS: Final = frozenset({"bash", "dash", "sh", "zsh"})
_BEFORE_OTHERS: Final = _SHELLS | {
    *("python", "pypy", "uv", "conda", "mamba", "micromamba", "poetry", "pipenv", "env", "time", "timeout", "nice"),
    *("ionice", "nohup", "setsid", "stdbuf", "sudo", "srun", "mpirun", "mpiexec", "xvfb-run"),
}
_SCRIPTS: Final = frozenset({".py", ".sh"})
_SAYS_NOTHING: Final = frozenset({"main", "run", "__main__", "app", "start", "job"})
_TEXT_FOLLOWS: Final = re.compile(r"-[A-Za-z]*c")  # `-c`, `-lc`
_NO_PROGRAM: Final = re.compile(r"-|[\d.]+[smhd]?$|\w+=|(?:run|exec)$")  # an option, `5m`, `MONTH=561`, as in `uv run`
_VERSION: Final = re.compile(r"[\d.]*$")
_SHELL_WORD: Final = re.compile(r"[^\s;&|()<>\"']+")


def name_of(command: Sequence[str]) -> str:
    """Its script's or module's name, or its folder's where the script is just `main` or `run`."""
    path = Path(_run_by(command))
    stem = path.stem if path.suffix in _SCRIPTS else path.name
    if stem in _SAYS_NOTHING:
        return ((working_folder() or Path()) / path).parent.name or stem
    return stem or path.name or "command"


def working_folder() -> Path | None:
    """Where we are; None if that folder was removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


def _run_by(command: Sequence[str]) -> str:
    """The first script, module or program behind an interpreter and what stands before it; else the command itself."""
    first = command[0]
    if _program(first) not in _BEFORE_OTHERS:
        return first
    latest, other = first, ""
    for before, word in pairwise(command):
        if _TEXT_FOLLOWS.fullmatch(before):
            return (_run_in_text(word) if _program(latest) in _SHELLS else "") or latest
        if before == "-m" or (Path(word).suffix in _SCRIPTS and not word.startswith("-")):
            return word
        if _program(word) in _BEFORE_OTHERS:
            latest = word
        elif not other and not before.startswith("-") and not _NO_PROGRAM.match(word):
            other = word
    return other or latest


def _run_in_text(text: str) -> str:
    """The first script or module in lines for a shell, in the folder that they go to; empty if there is none."""
    folder = ""
    for before, word in pairwise(["", *_SHELL_WORD.findall(text)]):
        if before == "cd":
            folder = word
        elif before == "-m" or Path(word).suffix in _SCRIPTS:
            return str(Path(folder) / word)
    return ""


def _program(word: str) -> str:
    return _VERSION.sub("", Path(word).name)
