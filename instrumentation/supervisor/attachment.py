"""The `.pth` file that `pipeline-alerts attach` puts into an environment, and where a run can be found from there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from instrumentation.child._pipeline_alerts_child import rendezvous
from instrumentation.settings import state_home

__all__ = ["announce_run", "attach", "detach", "rendezvous_folder", "site_packages"]

PTH_FILE: Final = "pipeline_alerts.pth"
_CHILD_PATH: Final = Path(__file__).resolve().parent.parent / "child"


def rendezvous_folder(environ: Mapping[str, str]) -> Path:
    """Where supervisors say that they run; made by the first `attach`, so that nobody else pays for it."""
    return state_home(environ) / "rendezvous"


def announce_run(environ: Mapping[str, str], given: Mapping[str, str]) -> Path | None:
    """Says that this process supervises a run, if any environment is attached; the file to remove afterwards."""
    folder = rendezvous_folder(environ)
    if not folder.is_dir():
        return None
    with contextlib.suppress(OSError):
        return Path(rendezvous.announce(str(folder), given))
    return None


def site_packages(environment: Path) -> list[Path]:
    """The package folders of a virtual or conda environment, named by its folder or by its Python."""
    prefix = environment.parent.parent if environment.is_file() else environment
    found = {path.resolve(): path for path in sorted(prefix.glob("lib*/python3*/site-packages"), reverse=True)}
    return sorted(path for path in found.values() if path.is_dir())  # `lib64` is mostly another name of `lib`


def attach(folder: Path) -> Path:
    """Writes the file into a package folder, in one step.

    Raises:
        OSError: it cannot be written.
    """
    meeting = rendezvous_folder(os.environ)
    meeting.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = folder / f".{PTH_FILE}"
    temporary.write_text(rendezvous.pth_line(str(_CHILD_PATH), str(meeting)), encoding="utf-8")
    return temporary.replace(folder / PTH_FILE)


def detach(folder: Path) -> Path | None:
    """Removes it; None if there is none.

    Raises:
        OSError: it cannot be removed.
    """
    file = folder / PTH_FILE
    if not file.exists():
        return None
    file.unlink()
    return file
