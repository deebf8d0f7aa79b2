"""What a policy costs per record, next to the plainest way to do the same: `fnmatch` in a loop, in the same run.

python -m tests.benchmarks.policy_rules
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

from alert_bridge.model import Record, Severity
from alert_bridge.policy.load import load, packaged_path
from alert_bridge.policy.model import Policy
from alert_bridge.routing import judge, recipients

ROUNDS = 7
CALLS_PER_ROUND = 5_000
NOVEMBER_NS = 1_764_000_000 * 1_000_000_000

RULES = "".join(
    f'  - {{match: {{body: "*falls back to {number}*", stage: "st?p{number}"}}, set: {{severity: ERROR}}}}\n'
    f'  - {{match: {{body: "*timed out after {number}*"}}, set: {{severity: ERROR}}}}\n'
    f"  - {{match: {{exception.type: Early{number}}}, set: {{severity: INFO}}}}\n"
    f'  - {{match: {{scope: "library{number}.*"}}, set: {{audiences: [infrastructure]}}}}\n'
    for number in range(5)
)


def main() -> None:
    policy = _policy()
    line = _record("Fetched 120 rows of month 559 from the store in 12.3 seconds")
    page = _record("Fetched 120 rows of month 559 from the store in 12.3 seconds. " * 60)
    error = judge(line, policy)
    figures = {
        "judge, a line": lambda: judge(line, policy),
        "judge, 4,000 characters": lambda: judge(page, policy),
        "recipients of an error": lambda: recipients(error, line, policy, NOVEMBER_NS),
        "fnmatch in a loop, a line": lambda: _plainly(line, policy),
        "fnmatch in a loop, 4,000 characters": lambda: _plainly(page, policy),
    }
    cost = {name: _microseconds(call) for name, call in figures.items()}
    print(f"{len(policy.rules)} rules, best of {ROUNDS} rounds")
    for name, microseconds in cost.items():
        print(f"  {name:<38}{microseconds:8.1f} µs")
    for text in ("a line", "4,000 characters"):
        print(f"  judge / fnmatch, {text}: {cost[f'judge, {text}'] / cost[f'fnmatch in a loop, {text}']:.2f}")


def _policy() -> Policy:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "alerting.yaml"
        path.write_text(packaged_path().read_text(encoding="utf-8").replace("\nrules:\n", f"\nrules:\n{RULES}"))
        return load(path)


def _record(body: str) -> Record:
    return Record(
        "u", 1, 1, Severity.ERROR, "ERROR", body,
        attributes={"exception.type": "requests.exceptions.Timeout", "cicd.pipeline.task.name": "step9"},
        resource={"service.name": "monthly_run"}, scope="pipeline.fetch",
    )  # fmt: skip


def _plainly(record: Record, policy: Policy) -> list[int]:
    values = {
        "body": record.body[:4_096],
        "stage": record.stage,
        "scope": record.scope,
        "exception.type": record.text("exception.type"),
    }
    return [
        rule.line
        for rule in policy.rules
        if all(fnmatchcase(values[key], pattern) for key, pattern in rule.match.conditions)
    ]


def _microseconds(call: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(CALLS_PER_ROUND):
            call()
        best = min(best, time.perf_counter() - started)
    return best / CALLS_PER_ROUND * 1e6


if __name__ == "__main__":
    main()
