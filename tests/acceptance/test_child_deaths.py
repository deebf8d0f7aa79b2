"""However a program ends, its journal has every record, once, and it prints what it prints without us."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest

from tests.servers import children

INFOS = 1_000
BODY = f"""
import logging, os, signal, sys, threading
def work(log=logging.getLogger("app")):
    for i in range({INFOS}):
        log.info("step %d", i)
    log.error("last %s", "words")
if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
"""

# how it ends → (program, exit code, processes that log, what is recorded beside their own records)
DEATHS: dict[str, tuple[str, int, int, list[str]]] = {
    "return": ("work()", 0, 1, []),
    "sys.exit(3)": ("work(); sys.exit(3)", 3, 1, []),
    "sys.exit('text')": ("work(); sys.exit('text')", 1, 1, []),
    "unhandled exception": ("work(); raise ValueError('end')", 1, 1, ["CRITICAL uncaught ValueError: end"]),
    "unhandled exception after the hook was replaced": (
        "work(); sys.excepthook = lambda *a: print('mine'); raise ValueError('end')",
        1,
        1,
        ["CRITICAL uncaught ValueError: end"],
    ),
    "exception in a thread": (
        "t = threading.Thread(target=lambda: (work(), 1 / 0), name='T'); t.start(); t.join()",
        0,
        1,
        ["ERROR uncaught in thread T: ZeroDivisionError: division by zero"],
    ),
    "exception in a thread after the hook was replaced": (
        (
            "threading.excepthook = lambda a: print('mine')\n"
            "t = threading.Thread(target=lambda: (work(), 1 / 0), name='T'); t.start(); t.join()"
        ),
        0,
        1,
        ["ERROR uncaught in thread T: ZeroDivisionError: division by zero"],
    ),
    "sys.exit in a thread": (
        "t = threading.Thread(target=lambda: (work(), sys.exit(1))); t.start(); t.join()",
        0,
        1,
        [],
    ),
    "exception in an asyncio run": (
        "import asyncio\nasync def main(): work(); raise ValueError('end')\nasyncio.run(main())",
        1,
        1,
        ["CRITICAL uncaught ValueError: end"],
    ),
    "asyncio task that nobody awaits": (
        (
            "import asyncio, gc\nasync def bad(): raise ValueError('lost')\n"
            "async def main():\n    t = asyncio.create_task(bad(), name='bad'); await asyncio.sleep(0)\n"
            "    del t; gc.collect()\n"
            "logging.getLogger().handlers[0].terminator = '\\n'; work(); asyncio.run(main())"
        ),
        0,
        1,
        ["ERROR Task exception was never retrieved"],
    ),
    "exception in __del__": (
        "class A:\n    def __del__(self): raise ValueError('end')\n    def __repr__(self): return 'A'\nwork(); A()",
        0,
        1,
        ["ERROR uncaught in A.__del__: ValueError: end"],
    ),
    "exception group": (
        "work()\nclass G(Exception): pass\ntry: raise G('a')\nexcept G as g: raise ValueError('end') from g",
        1,
        1,
        ["CRITICAL uncaught ValueError: end"],
    ),
    "syntax error": ("work(); exec('a b')", 1, 1, ["CRITICAL uncaught SyntaxError: invalid syntax (<string>, line 1)"]),
    "SIGINT": (
        "work(); os.kill(os.getpid(), signal.SIGINT)\nimport time; time.sleep(9)",
        -signal.SIGINT,
        1,
        ["WARNING uncaught KeyboardInterrupt: "],
    ),
    "SIGTERM": ("work(); os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, 1, []),
    "SIGTERM handled": (
        "signal.signal(signal.SIGTERM, lambda *a: sys.exit(4)); work(); os.kill(os.getpid(), signal.SIGTERM)",
        4,
        1,
        [],
    ),
    "SIGKILL": ("work(); os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, 1, []),
    "SIGSEGV": ("work(); os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV, 1, []),
    "abort": ("work(); os.abort()", -signal.SIGABRT, 1, []),
    "os._exit": ("work(); os._exit(5)", 5, 1, []),
    "exec": ("work(); os.execv(sys.executable, [sys.executable, '-c', 'pass'])", 0, 1, []),
    "fork and exit": ("p = os.fork(); work(); os._exit(0) if not p else os.waitpid(p, 0)", 0, 2, []),
    "fork and return": ("p = os.fork(); work(); p and os.waitpid(p, 0)", 0, 2, []),
    "fork from a thread": (
        (
            "def f():\n    p = os.fork(); work(); os._exit(0) if not p else os.waitpid(p, 0)\n"
            "t = threading.Thread(target=f); t.start(); t.join()"
        ),
        0,
        2,
        [],
    ),
    "fork in a fork": (
        (
            "work(); p = os.fork()\nif not p:\n    work(); q = os.fork(); work(); q and os.waitpid(q, 0); os._exit(0)\n"
            "os.waitpid(p, 0)"
        ),
        0,
        4,
        [],
    ),
    "daemon that closes everything": (
        (
            "work(); p = os.fork()\nif not p:\n    os.setsid(); os.closerange(0, 1024)\n"
            "    [os.open('/dev/null', 2) for _ in '123']\n"
            "    work(); os._exit(0)\nos.waitpid(p, 0)"
        ),
        0,
        2,
        [],
    ),
}

MULTIPROCESSING = {
    "Process": ("p = C.Process(target=work); p.start(); work(); p.join()", 0, 2, []),
    "Process that crashes": (
        "p = C.Process(target=crash, name='P'); p.start(); p.join()",
        0,
        1,
        ["CRITICAL uncaught ValueError: in child"],
    ),
    "Process that exits": ("p = C.Process(target=leave); p.start(); p.join()", 0, 1, []),
    "Process that is killed": ("p = C.Process(target=kill); p.start(); p.join()", 0, 1, []),
    "Pool closed": ("p = C.Pool(2); p.map(job, [1, 2], 1); p.close(); p.join()", 0, 2, []),
    "Pool terminated": ("with C.Pool(2) as p: p.map(job, [1, 2], 1)", 0, 2, []),
    "ProcessPoolExecutor": (
        "import concurrent.futures as f\nwith f.ProcessPoolExecutor(2, mp_context=C) as e: list(e.map(job, [1, 2]))",
        0,
        2,
        [],
    ),
    "started while handling an exception": (
        "try: 1 / 0\nexcept ZeroDivisionError:\n    p = C.Process(target=work); p.start(); p.join()",
        0,
        1,
        [],
    ),
}
_JOBS = """
import multiprocessing
logging.getLogger("app").setLevel(20)
def crash(): work(); raise ValueError("in child")
def leave(): work(); sys.exit(3)
def kill(): work(); os.kill(os.getpid(), signal.SIGKILL)
def job(n): work()
if __name__ == "__main__":
    C = multiprocessing.get_context("{method}")
"""


def indented(program: str) -> str:
    return "".join(f"    {line}\n" for line in program.splitlines())


def check(program: str, code: int, processes: int, beside: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "run"

    alone = children.run(program, cwd=tmp_path)
    beside_us = children.run(program, folder, cwd=tmp_path)

    kept = children.kept(folder)
    own = [line for line in kept.logs if line["g"] == "app" and "pipeline.uncaught" not in line.get("d", {})]
    assert (beside_us.code, beside_us.out) == (alone.code, alone.out)
    printed, printed_alone = (re.sub(rb"0x[0-9a-f]+", b"0x", ended.err) for ended in (beside_us, alone))
    assert sorted(printed.splitlines()) == sorted(printed_alone.splitlines())
    if processes == 1:
        assert printed == printed_alone
    assert beside_us.code == code
    assert len(own) == processes * (INFOS + 1)
    assert sorted(said(line) for line in kept.logs if line not in own) == sorted(beside)
    assert kept.torn == 0
    assert_each_is_there_once(folder)


def said(line: dict) -> str:
    return f"{line['l']} {children.message(line)}".partition("\n")[0]


def assert_each_is_there_once(folder: Path) -> None:
    for path in folder.glob("*.jsonl"):
        start, *logs = children.kept_in(path)
        assert start["k"] == "proc"
        assert path.name == f"{start['p']}-{start['u']}.jsonl"
        assert path.stat().st_mode & 0o777 == 0o600
        numbers = [line["u"] for line in logs]
        assert sorted(set(numbers)) == sorted(numbers)


@pytest.mark.parametrize("death", DEATHS)
def test_whatever_ends_a_process_its_journal_is_whole(death: str, tmp_path: Path) -> None:
    program, code, processes, beside = DEATHS[death]

    check(BODY + indented(program), code, processes, beside, tmp_path)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("death", MULTIPROCESSING)
def test_every_child_of_multiprocessing_keeps_its_records(death: str, method: str, tmp_path: Path) -> None:
    program, code, processes, beside = MULTIPROCESSING[death]

    check(BODY + _JOBS.format(method=method) + indented(program), code, processes, beside, tmp_path)


def test_a_subprocess_of_a_subprocess_keeps_its_records(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text(BODY + indented("work()"))
    (tmp_path / "middle.sh").write_text(f"exec {sys.executable} inner.py\n")

    program = BODY + indented("import subprocess; work(); sys.exit(subprocess.call(['sh', 'middle.sh']))")

    check(program, 0, 2, [], tmp_path)


@pytest.mark.parametrize(("backend", "processes"), [("loky", 2), ("multiprocessing", 2), ("threading", 1)])
def test_workers_of_joblib_keep_their_records(backend: str, processes: int, tmp_path: Path) -> None:
    program = (
        BODY
        + "def job(n):\n    logging.getLogger('app').setLevel(20)\n    work()\n    return n\n"
        + "if __name__ == '__main__':\n"
        + indented("import joblib")
        + indented(f"print(joblib.Parallel(2, backend={backend!r})(joblib.delayed(job)(n) for n in range(4)))")
    )

    ended = children.run(program, tmp_path / "run", cwd=tmp_path)

    kept = children.kept(tmp_path / "run")
    own = [line for line in kept.logs if line["g"] == "app"]
    assert (ended.code, ended.out) == (0, b"[0, 1, 2, 3]\n")
    assert len(own) == 4 * (INFOS + 1)
    assert len([path for path in (tmp_path / "run").glob("*.jsonl") if b'"g":"app"' in path.read_bytes()]) <= processes
    assert_each_is_there_once(tmp_path / "run")


def test_the_main_threads_exception_is_known_before_the_other_threads_have_ended(tmp_path: Path) -> None:
    program = """
    import threading, time, os, glob
    def wait():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            journals = glob.glob(os.environ["PIPELINE_ALERTS_JOURNAL_DIR_RUN"] + "/*.jsonl")
            if any("uncaught" in open(path).read() for path in journals):
                print("known")
                return
            time.sleep(0.01)
    threading.Thread(target=wait).start()
    raise ValueError("end")
    """

    assert children.run(program, tmp_path / "run", cwd=tmp_path).out == b"known\n"


def test_a_script_of_the_users_own_named_logging_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "logging.py").write_text("print('mine')\n")

    ended = children.run(
        "import logging; print(logging.__file__.endswith('logging.py'))", tmp_path / "run", cwd=tmp_path
    )

    assert (ended.out, ended.err) == (b"mine\nTrue\n", b"")
