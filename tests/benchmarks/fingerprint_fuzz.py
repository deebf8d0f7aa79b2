"""Whether any input breaks the fingerprint or keeps it busy: random texts, cut and spliced tracebacks, hostile runs.

    python -m tests.benchmarks.fingerprint_fuzz [INPUTS]

The hostile ones are long runs of whatever an expression might try again and again. Prints the slowest of each kind; no
input may raise, and none may take more than 50 ms.
"""

from __future__ import annotations

import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator

from alert_bridge.fingerprint import Said, of
from alert_bridge.fingerprint.mask import forget

LIMIT_S = 0.050
SEED = 559
HEADER = "Traceback (most recent call last):\n"
ALPHABET = "aZ0 9.,:;/\\|+-=*<>()[]{}'\"`%@#~^_\n\t\r\x00\x1b\u2028\ud800é\U0001d518"
PIECES = (
    HEADER, '  File "/app/a.py", line 3, in f\n', "    x = 1\n", "ValueError: no\n", "  + Exception Group " + HEADER,
    "    +-+---------------- 1 ----------------\n", "  | ", "+------------------------------------\n",
    "\nDuring handling of the above exception, another exception occurred:\n\n",
    "  [Previous line repeated 996 more times]\n", 'concurrent.futures.process._RemoteTraceback: \n"""\n', "\x1b[31m",
    "E              Traceback (most recent call last)\n", "Cell In[1], line 2\n", "----> 2 f(x)\n",
    "File a.py:3, in g(x)\n",
    "╭──── Traceback (most recent call last) ────╮\n", "│ a.py:3 in f │\n", "│ ❱ 3 x = 1 │\n", "╰────╯\n", "E(F): no\n",
    "exit code 137", "HTTP 503 Server Error", "errno=13", "https://a.b/c?d=e", "2026-11-25T06:00:00Z", "0xdeadbeef",
)  # fmt: skip
RUNS = (
    "1", "a", "A", ".", "..", "/", "\\", "//", "(", ")", "()", "[", "[[]", "{", "{}", "<", "<a at 0x1", "'",
    '"', "`", "''", "'a", '"GET ', "=", "a=", "a=b(", "a=b[", ":", "::", "a:", "1:", "-", "+", "|", "  | ", "*",
    "* ", "*,", "[*", "(*", "%", "%s", "%(a)", "%(", "a.b", "a.b.c:1 ", "1 ", "1 s ", "mon ", "1, ", "error ",
    "exit code ", "exit code 1 ", "status=", "code", "HTTP/1", "\t", " ", "\n", "\r", "\x1b[", "\x1b[31m",
    HEADER, HEADER + "  ", '  File "', '  File "a", line 1, in b\n', "Traceback", "+ Exception Group " + HEADER,
    "  + Exception Group " + HEADER, "+-+---------------- 1 ----------------\n",
    "    +---------------- 1 ----------------\n", "a: ", "a.", "Error: x\n", '"""\n',
    '_RemoteTraceback: \n"""\n' + HEADER, "  [Previous line repeated 9 more times]\n", "Did you mean",
    ". Did you mean", "~", "^", "    ^^^^\n", "é", "\ud800", "\x00", "\u0663",
    "\u202e\u05e9\u05dc\u05d5\u05dd ", "\r\n\r", "\\n",
    "deadbeef0", "0f8fad5b-d9cb-469f-a165-70867728950e ", "aGVsbG8gd29ybGQ+/", "SIGKILL 9 status='7' ", "x=1,",
    "\nDuring handling of the above exception, another exception occurred:\n\n",
    HEADER + '  File "a", line 1, in b\n    c\nE: f\n\nDuring handling of the above exception, another exception '
    "occurred:\n\n",
    HEADER + '  File "a", line 1, in b\n    c\nray.E(F): g\n', "E(F): g\n", "> ", ">", "❱ 1 a\n", "│ a.py:1 in b │\n",
    "╭──── Traceback (most recent call last) ────╮\n", "│ ❱ 3 │   return a / b │\n", "─", "-----> 1 a\n",
    "E                  Traceback (most recent call last)\n", "File a.py:1, in b(c)\n", "a in b(c)\n", "a in ",
    "  1 a\n",
    "E                  Traceback (most recent call last)\nCell In[1], line 2\n----> 2 a\nE: b\n\n",
)  # fmt: skip
DEPTHS = (10, 100, 1_000)
RUN_CHARS = (2_000, 70_000, 1_000_000)


def samples() -> list[str]:
    """Tracebacks as this Python prints them: a chain, a group, a recursion."""

    def chained() -> None:
        try:
            {}["missing"]
        except KeyError as error:
            raise RuntimeError("no such shelf") from error

    def grouped() -> None:
        raise ExceptionGroup("many", [ValueError("one"), ExceptionGroup("inner", [OSError(13, "denied")])])

    def endless() -> None:
        endless()

    texts = []
    for fails in (chained, grouped, endless):
        try:
            fails()
        except Exception:  # noqa: BLE001 - whatever it was, its text is the sample
            texts.append(traceback.format_exc())
    return texts


def nested_groups(depth: int) -> str:
    """Exception groups in one another, as an interpreter without a limit would print them."""
    lines: list[str] = []
    for level in range(depth):
        margin = "  " * level
        lines += [
            f"{margin}  + Exception Group {HEADER.strip()}",
            f'{margin}  |   File "/app/a.py", line 3, in f',
            f"{margin}  |     x",
            f"{margin}  | ExceptionGroup: many (1 sub-exception)",
            f"{margin}  +-+---------------- 1 ----------------",
        ]
    return "\n".join([*lines, "  " * depth + "  +------------------------------------"])


def main(inputs: int = 100_000) -> int:
    """Prints a row per kind; 1 if an input raised or took too long."""
    dice = random.Random(SEED)
    kinds: dict[str, Iterator[str]] = {
        "hostile runs": hostile(),
        "random characters": (_characters(dice) for _ in range(inputs // 2)),
        "pieces of tracebacks": (_pieces(dice) for _ in range(inputs // 4)),
        "cut tracebacks": (_cut(dice) for _ in range(inputs // 4)),
    }
    bad = 0
    print(f"{'kind':24}{'inputs':>9}{'slowest':>12}   of")
    for name, texts in kinds.items():
        count, slowest, worst = 0, 0.0, ""
        for text in texts:
            count += 1
            taken = slowest_of(text)
            if taken > slowest:
                slowest, worst = taken, text
        bad += slowest > LIMIT_S
        print(f"{name:24}{count:9,}{slowest * 1000:9.1f} ms   {worst[:40]!r} ({len(worst):,} characters)")
    return int(bad > 0)


def slowest_of(text: str) -> float:
    """CPU seconds of the slowest way in which a record can hold this text; the best of three where it looks slow."""
    return max(_best(way, text) for way in WAYS)


def _best(way: Callable[[str], Said], text: str) -> float:
    first = _seconds(way, text)
    return first if first <= LIMIT_S else min(first, _seconds(way, text), _seconds(way, text))


def hostile() -> Iterator[str]:
    """Deep structures; then every run, alone, behind a traceback's header, and with an end that does not fit."""
    for depth in DEPTHS:
        yield nested_groups(depth)
        yield (
            HEADER
            + "".join(f'  File "/app/a{at}.py", line {at}, in f{at}\n    g{at}(x)\n' for at in range(depth))
            + "E: no"
        )
        yield HEADER + '  File "/app/a.py", line 3, in f\n    f(x)\n' * depth * 10 + "RecursionError: too deep"
    for run in RUNS:
        for size in RUN_CHARS:
            yield from around(run * (size // len(run)))


def around(long: str) -> Iterator[str]:
    """Where a long run can stand."""
    yield long
    yield HEADER + long
    yield f"x {long}!"
    yield HEADER + '  File "/app/a.py", line 3, in f\n    x\nValueError: ' + long


def _seconds(way: Callable[[str], Said], text: str) -> float:
    said = way(text)
    forget()  # a line that was seen before costs nothing
    began = time.thread_time()
    of(said)
    return time.thread_time() - began


def _characters(dice: random.Random) -> str:
    return "".join(dice.choices(ALPHABET, k=dice.randrange(400)))


def _pieces(dice: random.Random) -> str:
    return "".join(dice.choices(PIECES, k=dice.randrange(60)))


def _cut(dice: random.Random) -> str:
    text = dice.choice(_SAMPLES)
    start, end = sorted((dice.randrange(len(text)), dice.randrange(len(text))))
    return text[:start] + (_characters(dice) if dice.random() < 0.5 else "") + text[end:]


_SAMPLES = samples()
WAYS: tuple[Callable[[str], Said], ...] = (
    lambda text: Said(body=text),
    lambda text: Said(body="it failed", exception_type="ValueError", exception_message=text),
    lambda text: Said(body="it failed", stacktrace=text),
    lambda text: Said(body=text + " ", template=text),
)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
