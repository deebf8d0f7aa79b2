"""Does folding show each problem once and hide none? A simulation with known causes.

    python -m tests.benchmarks.folding [RUNS]

Each run is a graph of ten stages with one to three independent causes. A cause is logged where it happens, often twice,
logged again by the wrappers around it, ends its stage, and makes stages downstream fail for want of input; seven in ten
of those say so in words that we know, and one in twenty independent failures sounds like it by mistake. The same
stages fail the same ways in all runs, so that there is a history. Events come in event-time order. The model ranks
policies; it is no forecast.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from alert_bridge.incidents.folding import Known, Lineage, Trouble, fold_under, stands_alone
from alert_bridge.model import Severity

STAGES = 10
RECOGNISED, MISTAKEN = 0.7, 0.05
FAULTS_PER_STAGE = 20
SEED = 559


@dataclass(frozen=True)
class Simulated:
    """One error and the problem that it truly belongs to; ``is_cause`` marks the first sign of that problem."""

    trouble: Trouble
    truth: str
    is_cause: bool


@dataclass(frozen=True)
class Run:
    events: tuple[Simulated, ...]
    parents: Mapping[str, str]
    upstream: Mapping[str, frozenset[str]]


Policy = Callable[[Trouble, Sequence[Known], Run, bool], str | None]


def main(runs: int = 2000) -> None:
    """Prints incidents per true problem, and the share of problems that no incident shows, for four policies."""
    dice = random.Random(SEED)
    simulated = [simulate(dice, number) for number in range(runs)]
    policies: dict[str, Policy] = {
        "every fingerprint alone": lambda *_: None,
        "same run = one": lambda _, known, *__: known[0].incident_id if known else None,
        "same stage = one": lambda trouble, known, *_: next(
            (one.incident_id for one in known if trouble.stage in one.stages), None
        ),
        "ours": ours,
    }
    for name, policy in policies.items():
        incidents, problems, hidden = judged(simulated, policy)
        print(f"{name:26} incidents per problem {incidents / problems:5.2f}   hidden {hidden / problems:6.2%}")


def ours(trouble: Trouble, known: Sequence[Known], run: Run, stood_alone_before: bool) -> str | None:
    """The rules of the product."""
    found = fold_under(trouble, lineage(known, run), stood_alone_before=stood_alone_before)
    return found.incident_id if found else None


def lineage(known: Sequence[Known], run: Run) -> Lineage:
    return Lineage(tuple(known), run.parents, run.upstream)


def judged(runs: Sequence[Run], policy: Policy) -> tuple[int, int, int]:
    """Incidents that are told, true problems, and problems whose first sign is told as part of another's."""
    incidents = problems = hidden = 0
    alone: set[str] = set()  # fingerprints that stood alone in an earlier run
    for run in runs:
        known: dict[str, Known] = {}
        owner: dict[str, str] = {}  # incident -> the problem that opened it
        shown: set[str] = set()
        stood_alone: set[str] = set()
        for event in run.events:
            trouble = event.trouble
            home = next((one for one in known.values() if one.problem == trouble.problem), None)
            under = home.incident_id if home else policy(trouble, list(known.values()), run, trouble.problem in alone)
            if under is None:
                if stands_alone(trouble, lineage(list(known.values()), run)):
                    stood_alone.add(trouble.problem)
                under = f"i{len(known)}"
                known[under] = Known(under, trouble.problem, frozenset(), frozenset(), frozenset(), trouble.severity)
                owner[under] = event.truth
                incidents += 1
            if owner[under] == event.truth:
                shown.add(event.truth)
            one = known[under]
            known[under] = replace(
                one,
                roots=one.roots | {trouble.root} - {""},
                spans=one.spans | {trouble.span},
                stages=one.stages | {trouble.stage},
            )
        alone |= stood_alone
        truths = {event.truth for event in run.events}
        problems += len(truths)
        hidden += len(truths - shown)
    return incidents, problems, hidden


def simulate(dice: random.Random, number: int) -> Run:
    """One run: causes, their re-reports on the way out, and what they break downstream."""
    parents: dict[str, str] = {}
    upstream: dict[str, frozenset[str]] = {}
    for stage in range(STAGES):
        parents[f"s{stage}"] = "run"
        parents[f"s{stage}.step"] = f"s{stage}"
        earlier = [f"stage{other}" for other in range(stage)]
        upstream[f"stage{stage}"] = frozenset(dice.sample(earlier, min(len(earlier), dice.randint(1, 2))))
    events: list[Simulated] = []
    broken: dict[str, str] = {}  # stage -> the problem that broke it
    causes = set(dice.sample(range(STAGES), dice.randint(1, 3)))
    for stage in range(STAGES):
        name = f"stage{stage}"
        failed = [broken[other] for other in sorted(upstream[name]) if other in broken]
        if stage in causes:
            truth = f"{number}:{stage}"
            events.extend(_cause(dice, truth, stage))
            if dice.random() < 0.7:  # else it is logged, and the stage carries on
                broken[name] = truth
        elif failed and dice.random() < 0.8:
            events.extend(_starved(dice, failed[0], stage))
            broken[name] = failed[0]
    return Run(tuple(events), parents, upstream)


def _cause(dice: random.Random, truth: str, stage: int) -> list[Simulated]:
    fault = dice.randrange(FAULTS_PER_STAGE)
    name = f"fault {stage}.{fault}"
    missing = fault < MISTAKEN * FAULTS_PER_STAGE
    step = Trouble(
        f"{name} a", f"root {name}", f"s{stage}.step", f"stage{stage}", Severity.ERROR, False, False, missing
    )
    events = [Simulated(step, truth, True)] * dice.randint(1, 3)
    if dice.random() < 0.7:
        events.append(Simulated(replace(step, problem=f"{name} b", span=f"s{stage}"), truth, False))
    if dice.random() < 0.5:
        events.append(Simulated(_echo(f"{name} c", f"s{stage}", stage), truth, False))
    if dice.random() < 0.3:
        events.append(Simulated(replace(step, problem=f"{name} d", span="run", stage=""), truth, False))
    return events


def _echo(problem: str, span: str, stage: int) -> Trouble:
    return Trouble(problem, "", span, f"stage{stage}", Severity.ERROR, True, False, False)


def _starved(dice: random.Random, truth: str, stage: int) -> list[Simulated]:
    name = f"starved {stage}"
    missing = stage < RECOGNISED * STAGES
    step = Trouble(name, name, f"s{stage}.step", f"stage{stage}", Severity.ERROR, False, False, missing)
    events = [Simulated(step, truth, False)] * dice.randint(1, 2)
    if dice.random() < 0.5:
        events.append(Simulated(_echo(f"{name} c", f"s{stage}", stage), truth, False))
    return events


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
