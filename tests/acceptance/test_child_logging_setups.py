"""Every way in which programs set up `logging`: what they print stays the same to the byte, what they log is kept."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tests.servers import children

PREAMBLE = "import logging, logging.config, logging.handlers, os, sys\nlog = logging.getLogger('app.step')\n"

DICT_CONFIG = """
config = {
    "version": 1, "disable_existing_loggers": False,
    "formatters": {"f": {"format": "%(levelname)s [%(filename)s:%(lineno)d] %(funcName)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "f", "stream": "ext://sys.stdout"}},
    "root": {"level": "DEBUG", "handlers": ["console"]},
}
"""

# name → (program, "LEVEL message" of every record that logging accepted)
SETUPS: dict[str, tuple[str, list[str]]] = {
    "none": ("log.info('no'); log.warning('yes')", ["WARNING yes"]),
    "module functions": ("logging.warning('a %s', 1); logging.info('no')", ["WARNING a 1"]),
    "basicConfig": ("logging.basicConfig(level=20); log.info('a'); log.debug('no')", ["INFO a"]),
    "basicConfig twice": (
        "logging.basicConfig(level=20); logging.basicConfig(level=10); log.debug('no'); log.info('a')",
        ["INFO a"],
    ),
    "basicConfig force": (
        (
            "logging.basicConfig(); logging.basicConfig(force=True, level=10, format='%(levelname)s %(message)s')\n"
            "log.debug('a')"
        ),
        ["DEBUG a"],
    ),
    "dictConfig": (
        DICT_CONFIG + "logging.config.dictConfig(config); log.debug('a'); log.error('b')",
        ["DEBUG a", "ERROR b"],
    ),
    "dictConfig thrice": (
        DICT_CONFIG + "for i in range(3):\n    logging.config.dictConfig(config); log.error('b%d', i)",
        ["ERROR b0", "ERROR b1", "ERROR b2"],
    ),
    "dictConfig disables existing loggers": (
        DICT_CONFIG + "config['disable_existing_loggers'] = True; logging.config.dictConfig(config)\n"
        "log.error('gone'); logging.getLogger('new').error('kept')",
        [
            "ERROR kept",
            "INFO 1 loggers are disabled by the logging configuration, their records reach nobody: app.step",
        ],
    ),
    "dictConfig incremental": (
        DICT_CONFIG + "logging.config.dictConfig(config)\n"
        "logging.config.dictConfig({'version': 1, 'incremental': True, 'root': {'level': 'ERROR'}})\n"
        "log.warning('no'); log.error('a')",
        ["ERROR a"],
    ),
    "fileConfig": (
        (
            "open('c.ini', 'w').write('''[loggers]\\nkeys=root\\n[handlers]\\nkeys=h\\n[formatters]\\nkeys=\\n"
            "[logger_root]\\nlevel=INFO\\nhandlers=h\\n[handler_h]\\nclass=StreamHandler\\nargs=(sys.stderr,)\\n''')\n"
            "logging.config.fileConfig('c.ini', disable_existing_loggers=False); log.info('a')"
        ),
        ["INFO a"],
    ),
    "handlers cleared": (
        "logging.basicConfig(level=20); logging.getLogger().handlers.clear(); log.info('a'); log.warning('b')",
        ["INFO a", "WARNING b"],
    ),
    "handlers replaced": (
        "logging.getLogger().handlers = [logging.StreamHandler(sys.stdout)]; log.error('a')",
        ["ERROR a"],
    ),
    "propagate off": (
        "log.propagate = False; log.addHandler(logging.StreamHandler()); log.setLevel(20); log.info('a')",
        ["INFO a"],
    ),
    "propagate off without handlers": ("log.propagate = False; log.error('a')", ["ERROR a"]),
    "no last resort": ("logging.lastResort = None; log.error('a'); log.error('b')", ["ERROR a", "ERROR b"]),
    "logging.disable": (
        "logging.basicConfig(level=10); logging.disable(logging.INFO); log.info('no'); log.error('a')",
        ["ERROR a"],
    ),
    "own logger class": (
        (
            "class L(logging.Logger):\n    def step(self, *a): self._log(25, *a)\n"
            "logging.setLoggerClass(L); logging.basicConfig(level=20); logging.getLogger('l').step('a %s', ('b',))"
        ),
        ["Level 25 a b"],
    ),
    "logger filter that drops": (
        "log.addFilter(lambda r: 'no' not in r.msg); log.error('no'); log.error('a')",
        ["ERROR a"],
    ),
    "logger filter that redacts": (
        (
            "def f(r):\n    r.msg = r.msg.replace('hunter2', '***'); return True\n"
            "log.addFilter(f); log.error('password hunter2')"
        ),
        ["ERROR password ***"],
    ),
    "handler filter": (
        "h = logging.StreamHandler(); h.addFilter(lambda r: False); logging.getLogger().addHandler(h); log.error('a')",
        ["ERROR a"],
    ),
    "queue": (
        (
            "import queue; q = queue.Queue()\n"
            "l = logging.handlers.QueueListener(q, logging.StreamHandler(sys.stdout))\n"
            "logging.getLogger().addHandler(logging.handlers.QueueHandler(q)); l.start()\n"
            "log.error('a %s', 1); l.stop()"
        ),
        ["ERROR a 1"],
    ),
    "memory handler": (
        (
            "m = logging.handlers.MemoryHandler(10, target=logging.StreamHandler()); log.addHandler(m)\n"
            "log.warning('a'); log.error('b'); m.flush()"
        ),
        ["WARNING a", "ERROR b"],
    ),
    "rotating file": (
        (
            "h = logging.handlers.RotatingFileHandler('x.log', maxBytes=30, backupCount=2); log.addHandler(h)\n"
            "for i in range(5): log.error('line %d', i)\n"
            "print(sorted(os.listdir('.')), open('x.log').read())"
        ),
        [f"ERROR line {i}" for i in range(5)],
    ),
    "bad arguments": (
        "logging.basicConfig(); log.error('%d', 'x'); log.error('a %s')",
        ["ERROR %d ('x',)", "ERROR a %s"],
    ),
    "too many arguments": ("logging.basicConfig(); log.error('a', 1, 2)", ["ERROR a (1, 2)"]),
    "silent errors": (
        "logging.raiseExceptions = False; logging.basicConfig(); log.error('%d', 'x')",
        ["ERROR %d ('x',)"],
    ),
    "mapping argument": ("logging.basicConfig(); log.error('%(a)s!', {'a': 1})", ["ERROR 1!"]),
    "lone surrogate": (
        "logging.basicConfig(stream=open('o', 'w', errors='replace')); log.error('file \\udce9')",
        ["ERROR file \\udce9"],
    ),
    "surrogate that the console refuses": (
        "logging.basicConfig(stream=open(1, 'w', encoding='utf-8')); log.error('file \\udce9')",
        ["ERROR file \\udce9"],
    ),
    "handler that kills": (
        (
            "class K(logging.Handler):\n    def emit(self, r): os._exit(9)\n"
            "log.addHandler(K()); log.error('last words'); log.error('never')"
        ),
        ["ERROR last words"],
    ),
    "handler that raises": (
        (
            "class R(logging.Handler):\n    def emit(self, r): raise OSError('full')\n"
            "log.addHandler(R())\ntry: log.error('a')\nexcept OSError as e: print(e)"
        ),
        ["ERROR a"],
    ),
    "handler that logs": (
        (
            "class H(logging.Handler):\n    def emit(self, r):\n"
            "        if r.name != 'inner': logging.getLogger('inner').error('b')\n"
            "logging.getLogger().addHandler(H()); log.error('a')"
        ),
        ["ERROR a", "ERROR b"],
    ),
    "argument that logs": (
        (
            "class A:\n    def __str__(self): log.error('b'); return 'x'\n"
            "log.addHandler(logging.NullHandler()); log.propagate = False; log.error('a %s', A())"
        ),
        ["ERROR b", "ERROR a x"],
    ),
    "argument that cannot be shown": (
        (
            "class A:\n    def __str__(self): raise ValueError('no')\n    def __repr__(self): return 'A'\n"
            "logging.basicConfig(); log.error('a %s', A()); log.error('b')"
        ),
        ["ERROR a <A: str() raised ValueError>", "ERROR b"],
    ),
    "intercepting handler that looks for the caller": (
        (
            "class I(logging.Handler):\n    def emit(self, r):\n        f, depth = logging.currentframe(), 0\n"
            "        while f and (depth == 0 or f.f_code.co_filename == logging.__file__): f = f.f_back; depth += 1\n"
            "        print(depth > 1, f.f_code.co_name, f.f_lineno)\n"
            "logging.basicConfig(handlers=[I()], level=0, force=True)\ndef user(): log.error('a')\nuser()"
        ),
        ["ERROR a"],
    ),
    "stack level": (
        (
            "logging.basicConfig(format='%(funcName)s %(lineno)d %(message)s')\n"
            "def helper(): log.error('a', stacklevel=2)\ndef user(): helper()\nuser()"
        ),
        ["ERROR a"],
    ),
    "stack info": ("logging.basicConfig(); log.error('a', stack_info=True)", ["ERROR a"]),
    "adapter": (
        (
            "class A(logging.LoggerAdapter):\n    def process(self, m, k): return '[m1] ' + m, k\n"
            "logging.basicConfig(level=20); A(log, {}).info('a %s', 'b')"
        ),
        ["INFO [m1] a b"],
    ),
    "record factory": (
        (
            "old = logging.getLogRecordFactory()\n"
            "def new(*a, **k):\n    r = old(*a, **k); r.month = 540; return r\n"
            "logging.setLogRecordFactory(new); logging.basicConfig(format='%(month)s %(message)s'); log.error('a')"
        ),
        ["ERROR a"],
    ),
    "own level": (
        "logging.addLevelName(25, 'NOTICE'); logging.basicConfig(level=0); log.log(25, 'a'); log.log(5, 'b')",
        ["NOTICE a", "Level 5 b"],
    ),
    "relabelled levels": (
        "logging.addLevelName(logging.ERROR, '\\033[31mERROR\\033[0m'); logging.basicConfig(); log.error('a')",
        ["\033[31mERROR\033[0m a"],
    ),
    "exception with a cause": (
        (
            "logging.basicConfig()\ntry:\n    try: {}['k']\n    except KeyError as e: raise ValueError('bad') from e\n"
            "except ValueError: log.exception('failed')"
        ),
        ["ERROR failed"],
    ),
    "exc_info without an exception": ("logging.basicConfig(); log.error('a', exc_info=True)", ["ERROR a"]),
    "message that is a dictionary": (
        "logging.basicConfig(); log.warning({'m data alert 3': ' x'})",
        ["WARNING {'m data alert 3': ' x'}"],
    ),
    "record made by hand": (
        (
            "logging.basicConfig(); log.handle(logging.makeLogRecord({'msg': 'a %s', 'args': ('b',), 'levelno': 40,"
            " 'levelname': 'ERROR', 'name': 'far', 'process': os.getpid()}))"
        ),
        ["ERROR a b"],
    ),
    "warnings captured": (
        (
            "import warnings; logging.basicConfig(format='%(name)s'); logging.captureWarnings(True)\n"
            "warnings.warn_explicit('old', UserWarning, 'f.py', 3)"
        ),
        ["WARNING f.py:3: UserWarning: old\n"],
    ),
    "warnings not captured": ("import warnings; warnings.warn_explicit('old', UserWarning, 'f.py', 3)", []),
    "reloaded": (
        "import importlib; log.error('a'); importlib.reload(logging); logging.basicConfig(); logging.error('b %s', 1)",
        ["ERROR a", "ERROR b 1"],
    ),
    "shut down early": ("logging.basicConfig(); logging.shutdown(); log.error('a')", ["ERROR a"]),
    "console closed": (
        (
            "logging.basicConfig(stream=sys.stdout); logging.raiseExceptions = False\n"
            "sys.stdout.close(); log.error('a')\n"
            "sys.stdout = None"
        ),
        ["ERROR a"],
    ),
    "descriptors closed": (
        (
            "logging.basicConfig(); log.error('a'); os.closerange(3, 512); f = open('data.csv', 'w')\n"
            "log.error('b'); f.write('1,2'); f.close(); print(open('data.csv').read())"
        ),
        ["ERROR a", "ERROR b"],
    ),
    "threads": (
        (
            "import threading; logging.basicConfig(stream=sys.stdout, format='%(message)s', level=20)\n"
            "ts = [threading.Thread(target=lambda: [log.info('n') for _ in range(50)]) for _ in range(4)]\n"
            "[t.start() for t in ts]; [t.join() for t in ts]"
        ),
        ["INFO n"] * 200,
    ),
    "asyncio debug": (
        (
            "import asyncio; logging.basicConfig(level=30, format='%(name)s %(message)s')\n"
            "async def main():\n    asyncio.get_running_loop().slow_callback_duration = 60; log.warning('a')\n"
            "asyncio.run(main(), debug=True)"
        ),
        ["WARNING a"],
    ),
    "subclass that overrides handle": (
        (
            "class L(logging.Logger):\n    def handle(self, r): r.msg = 'x ' + r.msg; super().handle(r)\n"
            "logging.setLoggerClass(L); logging.basicConfig(); logging.getLogger('l').error('a')"
        ),
        ["ERROR x a"],
    ),
}


def ran(program: str, tmp_path: Path, folder: Path | None, name: str) -> children.Ended:
    home = tmp_path / name
    home.mkdir()
    # The same path both times, because programs print it.
    place = tmp_path / "here"
    home.rename(place)
    try:
        return children.run(PREAMBLE + dedent(program), folder, cwd=place)
    finally:
        place.rename(home)


@pytest.mark.parametrize("setup", SETUPS)
def test_a_logging_setup_prints_the_same_and_keeps_every_record(setup: str, tmp_path: Path) -> None:
    program, expected = SETUPS[setup]
    folder = tmp_path / "run"

    alone = ran(program, tmp_path, None, "alone")
    beside_us = ran(program, tmp_path, folder, "beside_us")

    assert beside_us == alone
    assert children.kept(folder).said == expected
    assert children.kept(folder).torn == 0


def test_there_are_at_least_the_forty_one_setups_that_were_measured_once() -> None:
    assert len(SETUPS) >= 41


def test_a_dispatch_without_super_is_the_one_setup_whose_records_are_not_seen(tmp_path: Path) -> None:
    program = """
    class L(logging.Logger):
        def callHandlers(self, record): print(record.getMessage())
    logging.setLoggerClass(L)
    logging.getLogger("l").error("a")
    """
    folder = tmp_path / "run"

    alone = ran(program, tmp_path, None, "alone")
    beside_us = ran(program, tmp_path, folder, "beside_us")

    assert beside_us == alone
    assert children.kept(folder).said == []


def test_a_traceback_through_the_dispatch_shows_one_frame_more_and_nothing_else(tmp_path: Path) -> None:
    program = """
    class R(logging.Handler):
        def emit(self, record): raise OSError("full")
    log.addHandler(R())
    log.error("a")
    """
    folder = tmp_path / "run"

    alone = ran(program, tmp_path, None, "alone").err.decode().splitlines()
    beside_us = ran(program, tmp_path, folder, "beside_us").err.decode().splitlines()

    # Their frames first, then ours, which shows the method that it stands for.
    at = next(index for index, line in enumerate(beside_us) if "in callHandlers" in line)
    assert beside_us[at + 1].strip() == "def callHandlers(self, record):"
    assert beside_us[:at] + beside_us[at + 2 :] == alone
