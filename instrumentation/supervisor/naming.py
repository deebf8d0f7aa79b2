"""A pipeline's name where none was given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["name_of", "working_folder"]

_INTERPRETERS: Final = ("python", "pypy", "bash", "sh", "zsh", "uv", "conda", "env", "time", "nice")
_SAYS_NOTHING: Final = frozenset({"main", "run", "__main__", "app", "start", "job"})


def name_of(command: Sequence[str]) -> str:
    """Its script's or module's name, or its folder's where the script is just `main` or `run`."""
    words = [word for word in command[1:] if not word.startswith("-")]
    if not Path(command[0]).name.startswith(_INTERPRETERS) or not words or "-c" in command[1:2]:
        words = [command[0]]
    path = Path(words[0])
    stem = path.stem if path.suffix in {".py", ".sh"} else path.name
    if stem in _SAYS_NOTHING:
        return ((working_folder() or Path()) / path).parent.name or stem
    return stem or path.name or "command"


def working_folder() -> Path | None:
    """Where we are; None if that folder was removed."""
    try:
        return Path.cwd()
    except OSError:
        return None
