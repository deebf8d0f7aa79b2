"""The handler by its dotted path in a logging configuration: it survives, keeps once, and never disturbs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.servers import children

ROOT = Path(__file__).parents[2]
CONFIG = f"""
import logging, logging.config, os, sys
sys.path.insert(0, {str(ROOT)!r})
config = {{
    "version": 1, "disable_existing_loggers": False,
    "handlers": {{
        "console": {{"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
        "pipeline_alerts": {{"class": "instrumentation.PipelineHandler"}},
    }},
    "root": {{"level": "DEBUG", "handlers": ["console", "pipeline_alerts"]}},
}}
from instrumentation import journal, running
folder = os.environ["FOLDER"]
opened = journal.Journal(folder)
if "PIPELINE_ALERTS_JOURNAL_DIR_RUN" not in os.environ:
    opened.open()
    running.begin(opened)
logging.config.dictConfig(config)
log = logging.getLogger("app")
"""


def ran(program: str, tmp_path: Path, **more: str) -> children.Ended:
    folder = tmp_path / "own"
    folder.mkdir(exist_ok=True)
    return children.run(CONFIG + program, cwd=tmp_path, FOLDER=str(folder), **more)


def test_repeated_configurations_detach_and_close_it_and_lose_nothing(tmp_path: Path) -> None:
    ended = ran("for i in range(3):\n    logging.config.dictConfig(config); log.error('b %d', i)", tmp_path)

    assert ended == children.Ended(0, b"b 0\nb 1\nb 2\n", b"")
    assert children.kept(tmp_path / "own").said == ["ERROR b 0", "ERROR b 1", "ERROR b 2"]


def test_under_run_it_keeps_nothing_because_the_child_side_has_the_record(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    under_run = {
        "PIPELINE_ALERTS_JOURNAL_DIR_RUN": str(run),
        "PYTHONPATH": str(children.CHILD_FOLDER),
    }

    ended = ran("log.error('once')", tmp_path, **under_run)

    assert ended == children.Ended(0, b"once\n", b"")
    assert children.kept(run).said == ["ERROR once"]
    assert children.kept(tmp_path / "own").lines == []


def test_it_keeps_info_and_above_by_default(tmp_path: Path) -> None:
    ran("log.debug('no'); log.info('yes')", tmp_path)

    assert children.kept(tmp_path / "own").said == ["INFO yes"]


def test_two_of_them_on_a_records_way_keep_it_once(tmp_path: Path) -> None:
    ran("from instrumentation import PipelineHandler; log.addHandler(PipelineHandler()); log.error('a')", tmp_path)

    assert children.kept(tmp_path / "own").said == ["ERROR a"]


def test_what_shipping_makes_libraries_say_is_left_out(tmp_path: Path) -> None:
    program = """
import threading
for name in ("urllib3.connectionpool", "requests", "httpx", "httpcore.http11", "slack_sdk.web", "wandb"):
    logging.getLogger(name).info("chatter"); logging.getLogger(name).warning("kept " + name)
logging.getLogger("opentelemetry.sdk").error("chatter")
logging.getLogger("wandb_like").info("kept")
t = threading.Thread(target=lambda: logging.getLogger("urllib3").error("ours"), name="pipeline-alerts-sender")
t.start(); t.join()
"""
    ran(program, tmp_path)

    said = children.kept(tmp_path / "own").said
    assert said == [
        "WARNING kept urllib3.connectionpool",
        "WARNING kept requests",
        "WARNING kept httpx",
        "WARNING kept httpcore.http11",
        "WARNING kept slack_sdk.web",
        "WARNING kept wandb",
        "INFO kept",
    ]


@pytest.mark.parametrize(
    "call", ["log.error('%d', 'x')", "log.error('%s', Odd())", "log.error(Odd())", "log.error('a', extra={'k': Odd()})"]
)
def test_nothing_that_is_logged_raises_or_adds_to_the_console(call: str, tmp_path: Path) -> None:
    program = (
        "class Odd:\n    def __str__(self): raise ValueError('no')\n"
        "logging.raiseExceptions = False; logging.getLogger().removeHandler(logging.getLogger().handlers[0])\n"
        f"{call}\nlog.error('after')"
    )

    assert ran(program, tmp_path) == children.Ended(0, b"", b"")
    kept = children.kept(tmp_path / "own")
    assert [line["l"] for line in kept.logs] == ["ERROR", "ERROR"]


def test_a_forked_child_keeps_its_records_in_its_own_file(tmp_path: Path) -> None:
    ran("p = os.fork(); log.error('a'); os._exit(0) if not p else os.waitpid(p, 0)", tmp_path)

    kept = children.kept(tmp_path / "own")
    assert kept.said == ["ERROR a", "ERROR a"]
    assert len(kept.starts) == 2


def test_ends_of_a_program_without_a_parent_are_kept(tmp_path: Path) -> None:
    program = """
import threading
from instrumentation import hooks
hooks.install(); hooks.install()
t = threading.Thread(target=lambda: 1 / 0, name="T"); t.start(); t.join()
raise ValueError("end")
"""
    ended = ran(program, tmp_path)

    assert ended.code == 1
    assert children.kept(tmp_path / "own").said == [
        "ERROR uncaught in thread T: ZeroDivisionError: division by zero",
        "CRITICAL uncaught ValueError: end",
    ]


def test_importing_it_imports_nothing_heavy(tmp_path: Path) -> None:
    program = """
import sys, instrumentation
from instrumentation import PipelineHandler
print([name for name in ("opentelemetry", "requests", "numpy", "asyncio", "wandb", "prefect") if name in sys.modules])
"""
    ended = children.run(
        [sys.executable, "-c", program], cwd=tmp_path, PYTHONPATH=os.pathsep.join([str(ROOT)]), PYTHONSAFEPATH="1"
    )

    assert ended == children.Ended(0, b"[]\n", b"")
