"""Which commit the code is at, from git's files: two small reads, because the program waits for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Repository", "find_repository", "git_revision"]

_HEX_REVISION: Final = re.compile(r"[0-9a-f]{40,64}")


@dataclass(frozen=True, slots=True)
class Repository:
    """A work tree and its git folder, which lies elsewhere for linked work trees and submodules."""

    work_tree: Path
    git_folder: Path


def git_revision(start: Path) -> str:
    """The commit that the work tree around ``start`` is at, from its files; empty outside of one."""
    repository = find_repository(start)
    if repository is None:
        return ""
    try:
        head = (repository.git_folder / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head if _HEX_REVISION.fullmatch(head) else ""
        return _resolve(repository.git_folder, head.removeprefix("ref: "))
    except (OSError, UnicodeDecodeError):
        return ""


def find_repository(start: Path) -> Repository | None:
    """The repository around a folder."""
    for folder in (start, *start.parents):
        marker = folder / ".git"
        if marker.is_dir():
            return Repository(folder, marker)
        if marker.is_file():  # a linked work tree or a submodule
            try:
                pointer = marker.read_text(encoding="utf-8").strip().removeprefix("gitdir: ")
            except (OSError, UnicodeDecodeError):
                return None
            return Repository(folder, (folder / pointer).resolve())
    return None


def _resolve(git_folder: Path, reference: str) -> str:
    folders = [git_folder]
    common = git_folder / "commondir"
    if common.is_file():
        folders.append((git_folder / common.read_text(encoding="utf-8").strip()).resolve())
    for folder in folders:
        loose = folder / reference
        if loose.is_file():
            return loose.read_text(encoding="utf-8").strip()
        packed = folder / "packed-refs"
        if packed.is_file():
            for line in packed.read_text(encoding="utf-8").splitlines():
                revision, _, name = line.partition(" ")
                if name == reference:
                    return revision
    return ""
