"""Precision and recall on labelled pairs of tracebacks, and tracebacks per second.

    python -m tests.benchmarks.traceback_pairs PAIRS.jsonl

Each line has `a`, `b` (texts), `same` (the label) and `why`. The pairs are not part of the repository.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from alert_bridge.fingerprint import Said, of


def main(path: Path) -> None:
    """Prints every pair that is judged otherwise than labelled, then the figures."""
    pairs = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    judged = [(_value(pair["a"]) == _value(pair["b"]), bool(pair["same"]), pair) for pair in pairs]
    for together, same, pair in judged:
        if together != same:
            print(f"{'hidden' if together else 'split '}  {pair.get('id', '?'):>4}  {pair.get('why', '')}")
    right = sum(together and same for together, same, _ in judged)
    print(f"pairs {len(judged)}")
    print(f"precision {right / max(1, sum(together for together, _, _ in judged)):.3f}")
    print(f"recall    {right / max(1, sum(same for _, same, _ in judged)):.3f}")

    texts = [pair[side] for pair in pairs for side in "ab"]
    started = time.process_time()
    for text in texts:
        _value(text)
    print(f"tracebacks per CPU second {len(texts) / (time.process_time() - started):,.0f}")


def _value(text: str) -> str:
    return of(Said(stacktrace=text)).value


if __name__ == "__main__":
    main(Path(sys.argv[1]))
