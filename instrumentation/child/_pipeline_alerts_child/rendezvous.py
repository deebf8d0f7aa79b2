"""How a Python with a cleared environment finds the run it belongs to: by its parents' process numbers. Linux.

`pipeline-alerts attach ENV` writes a `.pth` into an environment; `run` keeps a file per supervisor in one folder, which
that `.pth` names. Both are needed: PYTHONPATH and our variables survive neither `env -i` nor `su -`.
"""

from __future__ import annotations

import os

from . import names

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PARENTS = 64  # walked upwards from a process
MAX_FILE_BYTES = 65_536  # of a supervisor's file
_STARTED_FIELD = 19  # of /proc/PID/stat after the command's name: start time in clock ticks
_PARENT_FIELD = 1
_PTH = """try:
 if sys.version_info >= (3, 9) and (os.environ.get(%(variable)r) or os.listdir(%(rendezvous)r)):
  _path = sys.path[:]
  sys.path.append(%(child)r)
  try:
   from _pipeline_alerts_child import boot
   boot.start_attached(%(rendezvous)r)
  finally:
   sys.path[:] = _path
except Exception:
 pass
"""


def announce(folder: str, environ: Mapping[str, str], pid: int | None = None) -> str:
    """Writes a supervisor's file, with what its children would have found in their environment; returns its path.

    Args:
        folder: the rendezvous folder, created with mode 0700 if it is not there.
        environ: where the variables of `names.CONTRACT` are taken from.
        pid: the supervisor; this process without it.

    Raises:
        OSError: the file cannot be written.
    """
    pid = os.getpid() if pid is None else pid
    os.makedirs(folder, mode=0o700, exist_ok=True)
    lines = ["started=%s" % _started(pid)]
    lines += ["%s=%s" % (name, environ[name]) for name in names.CONTRACT if "\n" not in environ.get(name, "\n")]
    path = os.path.join(folder, str(pid))
    new = path + ".new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    os.rename(new, path)
    return path


def rendezvous(folder: str) -> dict[str, str]:
    """The variables of the nearest supervisor among this process's parents; empty if there is none. Never raises."""
    try:
        supervisors = {name for name in os.listdir(folder) if name.isdigit()}
        pid = os.getpid()
        for _ in range(MAX_PARENTS if supervisors else 0):
            pid = int(_stat(pid)[_PARENT_FIELD])
            if pid <= 0:
                break
            if str(pid) in supervisors:
                found = _read(os.path.join(folder, str(pid)))
                if found.pop("started", None) == _started(pid):  # else: a number used again after a supervisor died
                    return found
    except Exception:
        pass
    return {}


def pth_line(child_folder: str, folder: str) -> str:
    """The one line of a `.pth` file that starts the child side where a supervisor is found, and is silent elsewhere.

    Args:
        child_folder: where this package lies; if it is gone, the line does nothing.
        folder: the rendezvous folder.
    """
    body = _PTH % {"variable": names.ENV_RUN_FOLDER, "rendezvous": folder, "child": child_folder}
    return "import os, sys; exec(%r)\n" % body


def _read(path: str) -> dict[str, str]:
    with open(path, encoding="utf-8") as file:
        if os.fstat(file.fileno()).st_uid not in (os.geteuid(), 0):
            return {}  # another user's: not to be believed
        lines = file.read(MAX_FILE_BYTES).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _started(pid: int) -> str:
    return _stat(pid)[_STARTED_FIELD]


def _stat(pid: int) -> list[str]:
    with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()
