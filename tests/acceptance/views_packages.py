"""Beside the packages of the first users: installs cleanly, and changes no byte of what their logging writes.

    python -m tests.acceptance.views_packages [--light] [VERSION …]

Makes a fresh virtual environment per version of `views-pipeline-core`, installs our base package beside it, and asks
`pip check`. Then a program builds three of their logging modules, as three managers do (three `dictConfig` calls), and
logs after each; once alone, once under `run`, and once with our handler in their `logging.yaml`. Their five log files
and the console must be the same, but for times and process numbers, and every record must arrive exactly once.

Not part of `make test`: a full installation is some hundred packages from the package index. ``--light`` installs only
their package and what its logging imports, and stands in for the module that holds their paths; no `pip check` then.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.servers.receiver import Receiver

ROOT = Path(__file__).resolve().parent.parent.parent
VERSIONS = ("2.3.0", "3.3.4")
MANAGERS = ("bright_harbor", "calm_meadow", "dry_river")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
INSTALL_TIMEOUT_S = 3600
RUN_TIMEOUT_S = 900  # the first import of their dependencies compiles some thousand files
LIGHT_PACKAGES = ("pyyaml",)
PINNED_BY_THEM = ("protobuf<6",)  # 2.3.0 brings a wandb that needs it; a resolver finds it, the light way must be told

_PROGRAM = """
import logging, sys, types
from pathlib import Path
if sys.argv[2] == "light":
    paths = types.ModuleType("views_pipeline_core.data.model_path")
    paths.ModelPathManager = object
    sys.modules["views_pipeline_core.data"] = types.ModuleType("views_pipeline_core.data")
    sys.modules[paths.__name__] = paths
from views_pipeline_core.modules.logging.logging import LoggingModule
for name in sys.argv[3:]:
    LoggingModule(types.SimpleNamespace(logging=Path(sys.argv[1]) / name / "logs")).get_logger()
    for level in (10, 20, 30, 40, 50):
        logging.getLogger("views_pipeline_core." + name).log(level, "%s says %s", name, logging.getLevelName(level))
    print("a line of", name, flush=True)
"""
_OUR_HANDLER = """
import importlib.resources, sys, yaml
path = importlib.resources.files("views_pipeline_core.configs") / "logging.yaml"
config = yaml.safe_load(path.read_text())
config["handlers"]["pipeline_alerts"] = {"class": "instrumentation.PipelineHandler"}
config["root"]["handlers"].append("pipeline_alerts")
path.write_text(yaml.safe_dump(config))
"""


@dataclass(frozen=True, slots=True)
class Trace:
    """What a run of the program left: console and files without times and process numbers; messages that arrived."""

    console: tuple[bytes, bytes]
    files: dict[str, bytes]
    arrived: Counter[str]


def install(version: str, folder: Path, *, light: bool) -> tuple[Path, str]:
    """The interpreter of a fresh environment, and what `pip check` says.

    Raises:
        subprocess.CalledProcessError: the package index refused, or something does not install.
    """
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    uv = shutil.which("uv")  # resolves in seconds what takes pip many minutes
    pip = [uv, "pip"] if uv else [str(python), "-m", "pip"]
    of_it = ["-p", str(python)] if uv else []
    theirs = f"views-pipeline-core=={version}"
    steps = [[str(ROOT), theirs]]
    if light:
        steps = [["--no-deps", theirs], [*LIGHT_PACKAGES, *PINNED_BY_THEM, str(ROOT)]]
    for step in steps:
        subprocess.run([*pip, "install", "-q", *of_it, *step], check=True, timeout=INSTALL_TIMEOUT_S)
    check = subprocess.run([str(python), "-m", "pip", "check"], capture_output=True, text=True)
    return python, "not asked" if light else check.stdout.strip()


def trace(python: Path, mode: str, *, run: bool) -> Trace:
    """Runs the program in an empty folder, under `run` or as it is."""
    with tempfile.TemporaryDirectory() as temporary, Receiver() as receiver:
        folder = Path(temporary)
        (folder / "program.py").write_text(_PROGRAM, encoding="utf-8")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIPELINE_"))}
        environ |= {"XDG_STATE_HOME": str(folder / "state"), "PIPELINE_ALERTS_ENDPOINT": receiver.url}
        environ["PIPELINE_ALERTS_LINGER_SECONDS"] = "0"
        command = [str(python), "program.py", str(folder / "models"), mode, *MANAGERS]
        if run:
            command = [str(python.with_name("pipeline-alerts")), "run", "--", *command]
        done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, timeout=RUN_TIMEOUT_S, check=True)
        files = {
            str(path.relative_to(folder)): _plain(path.read_bytes(), folder)
            for path in sorted(folder.glob("models/*/logs/*.log"))
        }
        arrived = Counter(one.body.string_value for one in receiver.records() if " says " in one.body.string_value)
    return Trace((_plain(done.stdout, folder), _plain(done.stderr, folder)), files, arrived)


def _plain(data: bytes, folder: Path) -> bytes:
    data = data.replace(str(folder).encode(), b"FOLDER")
    return re.sub(rb"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}(.*?\]) \[\d+\]", rb"TIME\1 [PID]", data)


def compare(name: str, alone: Trace, ours: Trace, lowest: str) -> bool:
    """Prints a row; whether it is as promised."""
    wanted = {f"{manager} says {level}": 1 for manager in MANAGERS for level in LEVELS[LEVELS.index(lowest) :]}
    same_files, same_console = alone.files == ours.files, alone.console == ours.console
    once = ours.arrived == wanted
    print(
        f"  {name:24} {len(ours.files)} log files {'the same' if same_files else 'DIFFER'}"
        f"   console {'the same' if same_console else 'DIFFERS'}"
        f"   {sum(ours.arrived.values())} records of {len(wanted)}{', each once' if once else ', NOT each once'}"
    )
    return same_files and same_console and once and bool(ours.files)


def main() -> int:
    """Prints a table per version; 1 if anything in it is not as promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", default=VERSIONS)
    parser.add_argument("--light", action="store_true")
    given = parser.parse_args()
    mode = "light" if given.light else "full"
    good = True
    for version in given.versions:
        with tempfile.TemporaryDirectory() as temporary:
            python, check = install(version, Path(temporary) / "venv", light=given.light)
            print(f"views-pipeline-core {version} ({mode}): pip check: {check}", flush=True)
            good &= given.light or check == "No broken requirements found."
            alone = trace(python, mode, run=False)
            good &= compare("under run", alone, trace(python, mode, run=True), "DEBUG")
            subprocess.run([str(python), "-c", _OUR_HANDLER], check=True)
            good &= compare("handler in their YAML", alone, trace(python, mode, run=False), "INFO")
    print("as promised" if good else "NOT as promised")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
