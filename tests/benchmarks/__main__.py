"""All benchmarks that need nothing but this machine, each in a process of its own: `make bench`.

    python -m tests.benchmarks [NAME ...]

They print ratios against a peer of the same run, and fail only when they break, never for being slow.
"""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent


def main(wanted: Sequence[str]) -> int:
    """Run them, those named or all; 0 if none broke."""
    names = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))
    unknown = set(wanted) - set(names)
    if unknown:
        print(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names)}")
        return 2
    broken = [name for name in wanted or names if not _ran(name)]
    print(f"\n── {'broken: ' + ', '.join(broken) if broken else 'all benchmarks ran'}")
    return 1 if broken else 0


def _ran(name: str) -> bool:
    module = importlib.import_module(f"tests.benchmarks.{name}")
    heading = (module.__doc__ or name).splitlines()[0]
    print(f"\n── {name}: {heading}", flush=True)
    needed = [
        parameter.name
        for parameter in inspect.signature(module.main).parameters.values()
        if parameter.default is inspect.Parameter.empty
    ]
    if needed:
        print(f"   not run: it needs {', '.join(needed)}: python -m tests.benchmarks.{name} {needed[0].upper()}")
        return True
    began = time.monotonic()
    code = subprocess.run([sys.executable, "-m", module.__name__], cwd=HERE.parents[1], check=False).returncode
    print(f"   {time.monotonic() - began:.0f} s" + (f", ended with {code}" if code else ""), flush=True)
    return code == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
