"""loguru, which has loggers of its own: what it prints stays the same, what it says is kept once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import children
from tests.servers.receiver import Receiver
from tests.servers.shipping import environ_towards, wait_until_shipped

TIMEOUT_S = 120
# Nothing that differs from one run to the next is printed: no times, no process ids.
FORMAT = "{level} {name}:{function}:{line} {message} {extra}"
PREAMBLE = f"""
import logging, sys
from loguru import logger
logger.remove()
logger.add(sys.stderr, format={FORMAT!r}, level="INFO")
"""
# The two recipes of loguru's documentation.
TO_LOGURU = """
class InterceptHandler(logging.Handler):
    def emit(self, record):
        frame, depth = sys._getframe(6), 6
        while frame and frame.f_code.co_filename == logging.__file__:
            frame, depth = frame.f_back, depth + 1
        logger.opt(depth=depth, exception=record.exc_info).log(record.levelname, record.getMessage())
logging.basicConfig(handlers=[InterceptHandler()], level=0, force=True)
"""
TO_LOGGING = """
class PropagateHandler(logging.Handler):
    def emit(self, record):
        logging.getLogger(record.name).handle(record)
logger.add(PropagateHandler(), format="{message}")
logging.basicConfig(format="%(levelname)s %(message)s")
"""

# name → (program, "LEVEL message" of every record that a handler of loguru's asked for)
SETUPS: dict[str, tuple[str, list[str]]] = {
    "levels": ("logger.error('a {}', 1); logger.debug('no'); logger.success('b')", ["ERROR a 1", "SUCCESS b"]),
    "levels of one's own": (
        "logger.level('FATAL', no=60); logger.log('FATAL', 'a'); logger.log(33, 'b')",
        ["FATAL a", "Level 33 b"],
    ),
    "two handlers": (
        "logger.add('app.log'); logger.error('same'); logger.error('same')",
        ["ERROR same", "ERROR same"],
    ),
    "no handler": ("logger.remove(); logger.error('nobody asked')", []),
    "a library's messages disabled": ("logger.disable('__main__'); logger.error('nobody asked')", []),
    "handlers replaced": ("logger.configure(handlers=[{'sink': 'app.log'}]); logger.debug('a')", ["DEBUG a"]),
    "patched": ("logger.patch(lambda record: record.update(message='redacted')).error('secret')", ["ERROR redacted"]),
    "raw and coloured": (
        "logger.opt(raw=True).info('a'); logger.opt(colors=True).error('<red>b</red>')",
        ["INFO a", "ERROR b"],
    ),
    "behind a queue": ("logger.add('app.log', enqueue=True); logger.error('a'); logger.complete()", ["ERROR a"]),
    "a sink that fails": (
        (
            "logger.add(lambda message: 1 / 0, format='{message}', catch=True)\n"
            "sys.stderr = open('errors.log', 'w'); logger.error('a')"
        ),  # it prints the time of the record
        ["ERROR a"],
    ),
    "logging sent to loguru": (
        TO_LOGURU + "logging.getLogger('lib').error('a %d', 1); logger.error('b')",
        ["ERROR a 1", "ERROR b"],
    ),
    "loguru sent to logging": (
        TO_LOGGING + "logger.error('a {}', 1); logging.error('b after a 1')",
        ["ERROR a 1", "ERROR b after a 1"],
    ),
    "what a sink says itself": (
        "logger.add(lambda message: logging.warning('slow disk'))\nlogger.error('a')",
        ["ERROR a", "WARNING slow disk"],
    ),
    "what a handler of logging says itself": (
        (
            "class Slow(logging.Handler):\n    def emit(self, record): logger.warning('slow disk')\n"
            "logging.basicConfig(handlers=[Slow()]); logging.error('a')"
        ),
        ["ERROR a", "WARNING slow disk"],
    ),
    "a function in a coroutine": (
        (
            "import asyncio\nasync def main():\n    async def sink(message): pass\n"
            "    logger.add(sink); logger.error('a'); await logger.complete()\nasyncio.run(main())"
        ),
        ["ERROR a"],
    ),
    "processes": (
        (
            "import multiprocessing\ndef work(how): logger.error('by {}', how)\n"
            "if __name__ == '__main__':\n"
            "    for how in ('fork', 'spawn'):\n"
            "        child = multiprocessing.get_context(how).Process(target=work, args=(how,))\n"
            "        child.start(); child.join()"
        ),
        ["ERROR by fork", "ERROR by spawn"],
    ),
}


@pytest.mark.parametrize("name", SETUPS)
def test_what_loguru_prints_stays_the_same_and_what_it_says_is_kept_once(name: str, tmp_path: Path) -> None:
    program, expected = SETUPS[name]
    without, under_run = tmp_path / "without", tmp_path / "under_run"
    for folder in (without, under_run):
        folder.mkdir()

    alone = children.run(PREAMBLE + program, cwd=without)
    watched = children.run(PREAMBLE + program, tmp_path / "run", cwd=under_run)

    assert watched == alone
    assert sorted(children.kept(tmp_path / "run").said) == sorted(expected)


def test_a_record_has_its_place_its_exception_and_what_was_bound(tmp_path: Path) -> None:
    program = (
        PREAMBLE + "def load():\n"
        "    with logger.contextualize(country='NG'):\n"
        "        try: {}['cm']\n"
        "        except KeyError: logger.bind(rows=3, name='ged').exception('cannot load {}', 'cm')\n"
        "load()"
    )

    children.run(program, tmp_path / "run", cwd=tmp_path)

    (line,) = children.kept(tmp_path / "run").logs
    assert (line["g"], line["o"], line["i"], line["h"]) == ("__main__", "load", 9, "MainThread")
    assert Path(line["f"]).name == "program.py"
    assert (line["e"]["t"], line["e"]["m"]) == ("KeyError", "'cm'")
    assert "in load\n" in line["e"]["s"]
    assert line["d"] == {"country": "NG", "rows": 3, "extra.name": "ged"}  # a record has a name of its own


def test_an_error_that_loguru_catches_in_place_of_the_program_is_known(tmp_path: Path) -> None:
    program = PREAMBLE + "@logger.catch\ndef main(): raise ValueError('no rows')\nmain()\nprint('done')"

    ended = children.run(program, tmp_path / "run", cwd=tmp_path)

    (line,) = children.kept(tmp_path / "run").logs
    assert (ended.code, ended.out) == (0, b"done\n")
    assert (line["l"], line["e"]["t"], line["e"]["m"]) == ("ERROR", "ValueError", "no rows")


def test_levels_below_the_one_that_was_asked_for_are_left_out(tmp_path: Path) -> None:
    children.run(
        PREAMBLE + "logger.info('no'); logger.warning('a')",
        tmp_path / "run",
        cwd=tmp_path,
        PIPELINE_ALERTS_LEVEL="WARNING",
    )

    assert children.kept(tmp_path / "run").said == ["WARNING a"]


@pytest.mark.parametrize("recipe", [TO_LOGURU, TO_LOGGING], ids=["to loguru", "to logging"])
@pytest.mark.parametrize("first", ["loguru", "configure"])
def test_configure_sees_loguru_whichever_comes_first(
    first: str, recipe: str, tmp_path: Path, receiver: Receiver
) -> None:
    environ = environ_towards(receiver, tmp_path / "state", linger_s=60)
    set_up = ["from loguru import logger", "import instrumentation; instrumentation.configure('n')"]
    program = "\n".join([*(set_up if first == "loguru" else set_up[::-1]), recipe, "logger.error('a {}', 1)"])
    program = "import logging, sys\n" + program + "\nlogging.error('b')"

    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environ, timeout=TIMEOUT_S, check=False)
    wait_until_shipped(environ)

    assert done.returncode == 0
    said = [record.body.string_value for record in receiver.records() if not record.event_name]
    assert said == ["a 1", "b"]
