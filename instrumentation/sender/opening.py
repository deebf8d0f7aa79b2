"""Where a run finds room for its folder, with a journal in it: where that was wanted, or where else there is some."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from instrumentation.child._pipeline_alerts_child.journal import Journal
from instrumentation.sender.folder import RunFolder, new_run_id
from instrumentation.settings import Settings

__all__ = ["open_run"]


def open_run(settings: Settings, facts: Mapping[str, object]) -> tuple[RunFolder, Journal, Settings]:
    """The run's folder, its first journal, and the settings with what had to be changed for them.

    A full or unwritable disk is the reason of many a failure that somebody has to hear of.

    Raises:
        OSError: there is no room anywhere.
    """
    facts = {**facts, "endpoint": settings.receiver}  # what is left is for nobody else
    try:
        return *_begin(settings.journal_home, str(facts["run_id"]), facts), settings
    except OSError as error:
        trouble = error
    for base in (os.environ.get("TMPDIR"), "/tmp", "/dev/shm"):  # noqa: S108 - made private below
        with contextlib.suppress(OSError):
            state = _private_below(Path(base or "/tmp"))  # noqa: S108
            home = state / "journals"
            found = _begin(home, new_run_id(time.time()), facts)
            problem = f"{settings.journal_home} cannot be written ({trouble.strerror or trouble}): using {home}"
            has_same_trouble = settings.log_home.parent == settings.journal_home.parent
            return *found, replace(
                settings,
                journal_home=home,
                log_home=state / "logs" if has_same_trouble else settings.log_home,
                problems=(*settings.problems, problem),
            )
    raise trouble


def _begin(home: Path, name: str, facts: Mapping[str, object]) -> tuple[RunFolder, Journal]:
    folder = RunFolder.create(home, name, facts)
    journal = Journal(str(folder.path))
    if journal.open():
        journal.allocate_reserve()
        return folder, journal
    folder.remove()
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _private_below(base: Path) -> Path:
    """A folder of this user alone in one that all may write to, the same for every run."""
    path = base.absolute() / f"pipeline-alerts-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(errno.EPERM, "somebody else's")
    return path
