"""Programs that log 1,000 INFO and 1 ERROR, each ending in its own way. Their source is what a child process runs."""

from __future__ import annotations

from dataclasses import dataclass

RECORDS = 1001

_PRELUDE = """
import logging, os, signal, sys, threading, time
logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
log = logging.getLogger("deaths")
def work(first=0, last=1000, error=True):
    for number in range(first, last):
        log.info("row %d of %s", number, "country_month")
    if error:
        log.error("it failed: %s", "the reason")
def note_end():
    with open(os.environ["DEATHS_ENDED_AT"], "w") as file:
        file.write(repr(time.time()))
"""


@dataclass(frozen=True, slots=True)
class Death:
    """A way to end: how many records the program logs, and how many exceptions nobody catches in it."""

    source: str
    uncaught: int = 0
    is_told_by_supervisor: bool = True
    records: int = RECORDS
    stderr_differs: bool = False  # its own output is not the same twice

    @property
    def program(self) -> str:
        return _PRELUDE + self.source


DEATHS: dict[str, Death] = {
    "return": Death("work(); note_end()", is_told_by_supervisor=False),
    "sys.exit(3)": Death("work(); note_end(); sys.exit(3)"),
    "exception": Death("work(); note_end(); raise ValueError('boom')", uncaught=1),
    "exception in a thread": Death(
        "work()\n"
        "def fail(): raise ValueError('boom')\n"
        "t = threading.Thread(target=fail, name='worker'); t.start(); t.join(); note_end()",
        uncaught=1,
        is_told_by_supervisor=False,
    ),
    "exception in a task": Death(
        "import asyncio\n"
        "async def fail(): raise ValueError('boom')\n"
        "async def main():\n"
        "    work(); await asyncio.gather(fail())\n"
        "note_end(); asyncio.run(main())",
        uncaught=1,
    ),
    "__del__": Death(
        "work()\nclass Bad:\n    def __del__(self): raise ValueError('boom')\nBad(); note_end()",
        uncaught=1,
        is_told_by_supervisor=False,
        stderr_differs=True,  # prints an address
    ),
    "SIGINT": Death("work(); note_end(); os.kill(os.getpid(), signal.SIGINT); time.sleep(5)", uncaught=1),
    "SIGTERM": Death("work(); note_end(); os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)"),
    "SIGTERM handled": Death(
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "work(); note_end(); os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)"
    ),
    "SIGKILL": Death("work(); note_end(); os.kill(os.getpid(), signal.SIGKILL)"),
    "SIGSEGV": Death("work(); note_end(); os.kill(os.getpid(), signal.SIGSEGV); time.sleep(5)"),
    "abort": Death("work(); note_end(); os.abort()"),
    "os._exit(5)": Death("work(); note_end(); os._exit(5)"),
    "fork": Death(
        "work(0, 500, error=False)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    work(500, 1000); os._exit(0)\n"
        "os.waitpid(pid, 0); note_end()",
        is_told_by_supervisor=False,
    ),
    "multiprocessing fork": Death(
        "import multiprocessing as m\np = m.get_context('fork').Process(target=work); p.start(); p.join(); note_end()",
        is_told_by_supervisor=False,
    ),
    "Pool closed": Death(
        "import multiprocessing as m\n"
        "with m.get_context('fork').Pool(2) as pool:\n"
        "    pool.starmap(work, [(0, 500, False), (500, 1000, True)]); pool.close(); pool.join()\n"
        "note_end()",
        is_told_by_supervisor=False,
        stderr_differs=True,  # two processes write at once
    ),
    "Pool terminated": Death(
        "import multiprocessing as m\n"
        "with m.get_context('fork').Pool(2) as pool:\n"
        "    pool.starmap(work, [(0, 500, False), (500, 1000, True)])\n"
        "note_end()",
        is_told_by_supervisor=False,
        stderr_differs=True,
    ),
    "ProcessPoolExecutor": Death(
        "import multiprocessing as m\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "with ProcessPoolExecutor(2, mp_context=m.get_context('fork')) as pool:\n"
        "    pool.submit(work, 0, 500, False).result(); pool.submit(work, 500, 1000).result()\n"
        "note_end()",
        is_told_by_supervisor=False,
        stderr_differs=True,
    ),
    "subprocess of a subprocess": Death(
        "import subprocess\n"
        "inner = 'import logging; logging.basicConfig(level=20)\\n'\n"
        "inner += 'for number in range(1000): logging.info(\"row %d\", number)\\n'\n"
        "inner += 'logging.error(\"it failed\")'\n"
        "outer = 'import subprocess, sys; subprocess.run([sys.executable, \"-c\", ' + repr(inner) + '])'\n"
        "subprocess.run([sys.executable, '-c', outer]); note_end()",
        is_told_by_supervisor=False,
    ),
}

# spawn and forkserver import the main module, so that these need a file with a guard.
_GUARDED = """
if __name__ == "__main__":
    import multiprocessing as m
    p = m.get_context({method!r}).Process(target=work); p.start(); p.join(); note_end()
"""
for _method in ("spawn", "forkserver"):
    DEATHS[f"multiprocessing {_method}"] = Death(_GUARDED.format(method=_method), is_told_by_supervisor=False)
