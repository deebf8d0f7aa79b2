"""What a run was made of: packages, command line, inputs, host, scheduler, state of the work tree.

It feeds "what changed since the last good run". Nothing here is on the way of the program: it is collected beside it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from instrumentation import attributes as names
from instrumentation import git
from instrumentation.revision import find_repository, git_revision

__all__ = ["collect", "installed_packages", "site_packages_of"]

MAX_INPUT_BYTES: Final = 16_777_216  # of a file named on the command line that is digested
MAX_INPUTS: Final = 20
MAX_PACKAGES: Final = 1000
_DIST_INFO: Final = re.compile(r"^(?P<name>.+?)-(?P<version>[^-]+)\.(?:dist-info|egg-info)$")
# Where schedulers and services say who runs this: variable → attribute below `pipeline.scheduler.`.
_SCHEDULER: Final = {
    "SLURM_JOB_ID": "slurm.job_id",
    "SLURM_ARRAY_TASK_ID": "slurm.array_task_id",
    "PBS_JOBID": "pbs.job_id",
    "LSB_JOBID": "lsf.job_id",
    "JOB_ID": "sge.job_id",
    "KUBERNETES_SERVICE_HOST": "",  # only that there is one: the pod's name is the host's
    "GITHUB_RUN_ID": "github.run_id",
    "CI_JOB_ID": "gitlab.job_id",
    "BUILD_TAG": "jenkins.build_tag",
    "AIRFLOW_CTX_DAG_RUN_ID": "airflow.dag_run_id",
    "PREFECT__FLOW_RUN_ID": "prefect.flow_run_id",
    "INVOCATION_ID": "systemd.invocation_id",
}


def site_packages_of(executable: str) -> list[Path]:
    """The package folders of a Python interpreter, by its place; the interpreter is not started."""
    prefix = Path(executable).parent.parent
    return [path for path in prefix.glob("lib*/python3*/site-packages") if path.is_dir()]


def installed_packages(folders: Sequence[Path]) -> dict[str, str]:
    """Package names and versions, by the names of their metadata folders."""
    found: dict[str, str] = {}
    for folder in folders:
        try:
            entries = sorted(os.listdir(folder))  # noqa: PTH208 - thousands of entries, no need for objects
        except OSError:
            continue
        for entry in entries:
            match = _DIST_INFO.match(entry)
            if match and len(found) < MAX_PACKAGES:
                found.setdefault(match["name"].lower().replace("_", "-"), match["version"])
    return found


def collect(
    command: Sequence[str],
    environ: Mapping[str, str],
    start: Path,
    package_folders: Sequence[Path],
    python: str = "",
    asked: Callable[[], git.WorkTree] | None = None,
) -> dict[str, object]:
    """The attributes of `pipeline.run.manifest`. Asks git for what its files do not say; takes milliseconds, not less.

    Args:
        command: the command line.
        environ: where schedulers leave their ids.
        start: the working directory.
        package_folders: where the program's packages lie.
        python: the version of its interpreter, if known.
        asked: git's answer about the work tree around ``start``, if it was asked before.
    """
    import platform

    from instrumentation.redaction import scrub_arguments, scrub_text

    system, libc = os.uname(), "".join(platform.libc_ver())  # `platform.platform` starts `uname` as the program's child
    manifest: dict[str, object] = {
        names.COMMAND: " ".join(scrub_arguments(command)),
        names.HOST_NAME: platform.node(),
        names.RUNTIME_VERSION: python or platform.python_version(),
        names.OS_DESCRIPTION: "-".join(
            filter(None, (system.sysname, system.release, system.machine, libc and f"with-{libc}"))
        ),
        names.WORKING_DIRECTORY: scrub_text(str(start)),
    }
    repository = find_repository(start)
    if repository is not None:
        said = (asked or git.ask(repository.work_tree))()
        manifest |= {
            names.VCS_REVISION: git_revision(start),
            names.VCS_REF_NAME: said.branch,
            names.VCS_REPOSITORY_URL: scrub_text(said.origin),
        }
        if said.is_dirty is not None:
            manifest[names.VCS_DIRTY] = said.is_dirty
    for variable, attribute in _SCHEDULER.items():
        value = environ.get(variable, "").strip()
        if value and attribute:
            manifest[names.SCHEDULER_PREFIX + attribute] = scrub_text(value)
    packages = installed_packages(package_folders)
    if packages:
        manifest[names.PACKAGES] = packages
    inputs = _digests(command[1:], start)
    if inputs:
        manifest[names.INPUT_DIGESTS] = inputs
    return {name: value for name, value in manifest.items() if value != ""}


def own_package_folders() -> list[Path]:
    """The package folders of this very interpreter."""
    return [Path(entry) for entry in sys.path if entry.endswith("site-packages")]


def _digests(arguments: Sequence[str], start: Path) -> dict[str, str]:
    """SHA-256 of the files that the command line names: scripts and configurations, whose change explains a change."""
    import hashlib

    from instrumentation.redaction import scrub_text

    found: dict[str, str] = {}
    for argument in arguments:
        name = argument.partition("=")[2] if argument.startswith("-") else argument
        if not name or len(found) >= MAX_INPUTS:
            continue
        try:
            path = start / name
            if path.is_file() and path.stat().st_size <= MAX_INPUT_BYTES:
                found[scrub_text(name)] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        except (OSError, ValueError):
            continue
    return found
