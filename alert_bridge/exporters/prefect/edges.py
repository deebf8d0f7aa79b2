"""What a stage waited for: what its author said, else the stages beside it that had just ended. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from alert_bridge.exporters.prefect.runs import Run, Stage

__all__ = ["parent_of", "upstream_of"]


def parent_of(run: Run, stage: Stage) -> str:
    """The key of the stage that it is within; empty if it is in none."""
    return stage.parent if stage.parent in run.stages else ""


def upstream_of(run: Run, stage: Stage) -> Sequence[str]:
    """The keys of the stages that it came after, by their beginning.

    Named ones: of each name the latest that began before it, beside it or else anywhere in the run. If none is named:
    of those beside it that ended before it began, the ones that nothing else among them came after.
    """
    earlier = sorted(
        (each for each in run.stages.values() if each is not stage and each.started <= stage.started),
        key=lambda each: (each.started, each.key),
    )
    parent = parent_of(run, stage)
    beside = [each for each in earlier if parent_of(run, each) == parent]
    if stage.upstream:
        named = []
        for name in stage.upstream:
            found = [each for each in beside if each.name == name] or [each for each in earlier if each.name == name]
            named += found[-1:]
        return [each.key for each in sorted(named, key=lambda each: (each.started, each.key))]
    done = [each for each in beside if each.ended and not each.is_end_assumed and each.ended <= stage.started]
    latest_start = max((each.started for each in done), default=0)
    # One that ended before another of them began is upstream of that one already.
    return [each.key for each in done if each.ended > latest_start or each.started == latest_start]
