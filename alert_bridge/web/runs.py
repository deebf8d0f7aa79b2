"""Runs: how each went, its stages, its incidents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from alert_bridge.model import Span
from alert_bridge.store.interface import RunSummary
from alert_bridge.web.site import NotFound, Site
from alert_bridge.web.waterfall import waterfall
from alert_bridge.web.wording import duration, first_line, is_web_link, percent, visible
from instrumentation import attributes as names

__all__ = ["found_run", "result_state", "show_run", "show_runs"]

MAX_RUNS: Final = 50
MAX_STAGES: Final = 200
MAX_WANDB_RUNS: Final = 20
_STATUS_ERROR: Final = 2


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a run, as its span tells it."""

    name: str
    model: str
    shape: str
    word: str
    css: str
    started: int
    length: str
    share: str  # SVG percentage of the longest stage


def result_state(run: RunSummary) -> tuple[str, str, str]:
    """(shape, word, CSS class) of a run's result."""
    if not run.ended:
        return "…", "running", "quiet"
    if run.result == names.RESULT_SUCCESS:
        return "✓", "success", "fine"
    if run.result in (names.RESULT_CANCELLATION, names.RESULT_SKIP, ""):
        return "○", run.result or "ended, result unknown", "quiet"
    return "✕", run.result, "bad"


def _stage_state(span: Span) -> tuple[str, str, str]:
    result = str(span.attributes.get(names.STAGE_RESULT, ""))
    if span.status == _STATUS_ERROR or result in (names.RESULT_FAILURE, names.RESULT_ERROR, names.RESULT_TIMEOUT):
        return "✕", result or "failed", "bad"
    return "✓", result or "ended", "fine"


def _stages(spans: Sequence[Span]) -> tuple[Stage, ...]:
    staged = sorted((span for span in spans if names.STAGE in span.attributes), key=lambda span: span.start)
    longest = max((span.end - span.start for span in staged), default=0) or 1
    return tuple(
        Stage(
            visible(str(span.attributes[names.STAGE])),
            visible(str(span.attributes.get(names.MODEL_NAME, span.resource.get(names.SERVICE_NAME, "")))),
            *_stage_state(span),
            started=span.start,
            length=duration(span.end - span.start),
            share=percent(max((span.end - span.start) / longest, 0.005)),
        )
        for span in staged[:MAX_STAGES]
    )


def _wandb_runs(spans: Sequence[Span]) -> tuple[str, ...]:
    """Addresses of the W&B runs that the program itself has, in the order of its stages."""
    told = (str(span.attributes.get(names.WANDB_RUN_URL, "")) for span in sorted(spans, key=lambda span: span.start))
    return tuple(dict.fromkeys(address for address in told if is_web_link(address)))[:MAX_WANDB_RUNS]


def found_run(site: Site, request: Request) -> RunSummary:
    """The run of the address.

    Raises:
        NotFound: it is not known here.
    """
    run_id = request.path_params["run_id"]
    run = site.telemetry.run(run_id)
    if run is None:
        raise NotFound(
            f"There is no run “{first_line(run_id, 80)}”",
            "Its telemetry may be older than the retention, or has not arrived: a machine without network sends its "
            "journals later, by `pipeline-alerts ship`.",
        )
    return run


def show_runs(site: Site, request: Request) -> Response:
    """The latest runs with their results and incidents."""
    runs = site.telemetry.runs(limit=MAX_RUNS)
    lines = [(run, result_state(run), len(site.control.incidents_of_run(run.run_id))) for run in runs]
    return site.page(request, "runs.html", lines=lines)


def show_run(site: Site, request: Request) -> Response:
    """One run: result, incidents, stages, spans."""
    run = found_run(site, request)
    spans = site.telemetry.run_spans(run.run_id)
    return site.page(
        request,
        "run.html",
        run=run,
        state=result_state(run),
        incidents=site.control.incidents_of_run(run.run_id),
        stages=_stages(spans),
        wandb_runs=_wandb_runs(spans),
        tree=waterfall(spans),
    )
