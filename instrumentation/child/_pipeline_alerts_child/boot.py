"""Starts the child side, once per process: opens the journal, and waits for the program to import what is watched."""

import atexit
import os
import sys

from . import imports, names
from .journal import Journal

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType
    from typing import Any

    from .ends import Reporter

_reporter: "Reporter | None" = None
_journal: "Journal | None" = None  # of this process, or None: not under `run`
_place: dict[str, str] = {}  # noted at the start: stages change it, and what reads it is loaded within one, perhaps


def start(environ: "Mapping[str, str]" = os.environ) -> "Journal | None":
    """Opens this process's journal and installs the hooks; returns the journal, or None where there is nothing to do.

    Does nothing without a run's folder in the environment or when called again. Never raises.
    """
    global _journal  # noqa: PLW0603 - one per process is the point
    if _journal is not None:
        return _journal
    try:
        folder = environ.get(names.ENV_RUN_FOLDER)
        if not folder or not os.path.isdir(folder):
            return None
        opened = Journal(folder, environ.get(names.ENV_POKE) or None)
        if not opened.open():
            return None
        _journal = opened
        _place.update((name, environ[name]) for name in names.PLACE if name in environ)
        stages = environ.get(names.ENV_STAGES)
        imports.Watch(
            {
                **(_named_stages(stages) if stages else {}),
                "opentelemetry.instrumentation.auto_instrumentation": lambda _module: _let_opentelemetry_start_us(),
                "logging": lambda module: _watch_logging(module, opened, environ),
                "threading": lambda module: _ends().watch_threads(module),
                **dict.fromkeys(names.POOL_MODULES, _watch_pools),
                "subprocess": lambda module: _watch_kills(module, opened),
                "multiprocessing.util": lambda module: _ends().watch_processes(module),
                **dict.fromkeys(names.PREFECT_MODULES, lambda module: _watch_prefect(module, opened)),
                "wandb": lambda _module: _watch_wandb(opened),
                "loguru": lambda _module: _watch_loguru(opened, environ),
            },
            again="logging",  # a recipe for notebooks reloads it
        )
        _watch_interpreter(opened)
        wanted = environ.get(names.ENV_STACKS)
        if wanted:
            from .stacks import offer

            offer(wanted)
    except Exception:
        pass  # what was opened is good, and the parent hears from it
    return _journal


def start_attached(folder: str) -> "Journal | None":
    """What an environment's `.pth` calls: `start`, after finding the run through the parents if variables are missing.

    The variables are set again for this process's own children, which often inherit what is left of the environment.
    """
    if not os.environ.get(names.ENV_RUN_FOLDER):
        from .rendezvous import rendezvous

        found = rendezvous(folder)
        if not found:
            return None
        for name, value in found.items():
            os.environ.setdefault(name, value)
    return start()


def _named_stages(named: str) -> "dict[str, Any]":
    from .named import wanted, watch_main

    watch_main(named)
    return wanted(named)


def _let_opentelemetry_start_us() -> None:
    """`opentelemetry-instrument` puts its own start-up hook before ours, and starts what entry points name.

    So the folder with ours comes on the path behind it, and only there: in others, `pip list` would have a line more.
    """
    folder = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "child_entry_point"))
    path = os.environ.get("PYTHONPATH", "")
    if folder not in path.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join([path, folder] if path else [folder])


def journal() -> "Journal | None":
    """The journal that `start` opened in this process, or None."""
    return _journal


def _ends() -> "Reporter":
    """The reporter of this process's ends; not imported before something can end."""
    global _reporter  # noqa: PLW0603 - one per process is the point
    if _reporter is None:
        from .ends import Reporter

        _reporter = Reporter(journal, _place)
    return _reporter


def _watch_interpreter(opened: Journal) -> None:
    """What `Reporter.watch_interpreter` does, for processes of which most end without anything to report."""
    previous = sys.unraisablehook

    def unraisablehook(unraisable: "Any", /) -> "Any":
        try:
            _ends().unraisable(unraisable)
        except Exception:
            pass
        return previous(unraisable)

    def at_exit() -> None:
        try:
            if "logging" in sys.modules or getattr(sys, "last_value", None) is not None:
                _ends().at_exit()
            else:
                opened.close()
        except Exception:
            pass

    sys.unraisablehook = unraisablehook
    atexit.register(at_exit)


def _watch_logging(logging: "ModuleType", opened: Journal, environ: "Mapping[str, str]") -> None:
    from . import hook

    opened.allocate_reserve()
    asked = environ.get(names.ENV_LEVEL, "")
    hook.install(logging, opened, _ends().encoder(), hook.floor_of(logging, asked), keeps_private=bool(asked))
    _ends().logging = logging


def _watch_loguru(opened: Journal, environ: "Mapping[str, str]") -> None:
    from . import hook, loguru_records

    encoder = _ends().encoder()
    floor = hook.floor_of(sys.modules["logging"], environ.get(names.ENV_LEVEL, ""))

    def keep(record: "Any") -> None:
        if record.levelno >= floor:
            own = opened.owns(record.process)
            opened.write(encoder.encode(record, opened.next_number(), own), record.levelno)

    loguru_records.watch(sys.modules["loguru._handler"], keep)


def _watch_kills(module: "ModuleType", opened: Journal) -> None:
    from .kills import watch

    watch(module, opened, lambda: _ends().encoder().context)


def _watch_prefect(module: "ModuleType", opened: Journal) -> None:
    from .prefect_runs import watch

    watch(module, opened, _ends().encoder().context)


def _watch_pools(module: "ModuleType") -> None:
    from .carrying import carry

    carry(module, _ends().encoder().context)


def _watch_wandb(opened: Journal) -> None:
    from .wandb_runs import WandbRuns

    WandbRuns(opened, _ends().encoder().context).watch()
