"""An ensemble: runs its models as processes, refuses stale ones, and averages the rest."""

from __future__ import annotations

import json
import logging
import subprocess
from dataclasses import dataclass
from pathlib import Path

from instrumentation import stage
from pipeline import faults
from pipeline.world import Series, country_of

MODEL_TIMEOUT_S = 7200
OLDEST_MODEL_MONTHS = 12
SPIKE = 3.0  # a country's forecast against its last observed level
RUN_SH = Path(__file__).parent.parent / "run.sh"

logger = logging.getLogger("monthly_run.ensemble")


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Models of one level; `models` maps a name to its number of lags."""

    name: str
    level: str
    models: dict[str, int]


CALM_HARBOR = Ensemble("calm_harbor", "cm", {"quiet_delta": 1, "brown_heron": 3, "steady_oak": 6})
ROUGH_MEADOW = Ensemble("rough_meadow", "pgm", {"open_steppe": 1, "dry_river": 3, "tall_reed": 6})


def run(ensemble: Ensemble, store: str, month: int, out: Path) -> Series:
    """The ensemble's forecast: the mean of its models' forecasts.

    Raises:
        RuntimeError: a model ended with an error, or none is fresh enough.
    """
    with stage(ensemble.name):
        for name, lags in ensemble.models.items():
            _run_model(name, ensemble.level, lags, store, month, out)
        with stage("aggregate"):
            forecasts = [_fresh(name, month, out, ensemble.name) for name in ensemble.models]
            return _mean([one for one in forecasts if one is not None], ensemble.name)


def _run_model(name: str, level: str, lags: int, store: str, month: int, out: Path) -> None:
    command = [str(RUN_SH), name, "--level", level, "--lags", str(lags), "--store", store]
    ended = subprocess.run([*command, "--month", str(month), "--out", str(out)], timeout=MODEL_TIMEOUT_S, check=False)
    if ended.returncode:
        logger.error("Model %s failed with exit code %d", name, ended.returncode)
        raise RuntimeError(f"model {name} ended with {ended.returncode}")


def _fresh(name: str, month: int, out: Path, ensemble: str) -> Series | None:
    artifact = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
    trained = artifact["trained_in_month"]
    if trained < month - OLDEST_MODEL_MONTHS:
        logger.error(
            "Gate of %s refuses model %s: trained in month %d, this is month %d", ensemble, name, trained, month
        )
        return None
    forecast: Series = artifact["forecast"]
    return forecast


def _mean(forecasts: list[Series], ensemble: str) -> Series:
    if not forecasts:
        raise RuntimeError(f"no model of {ensemble} is fresh enough")
    return {
        unit: [sum(months) / len(forecasts) for months in zip(*(one[unit] for one in forecasts), strict=True)]
        for unit in forecasts[0]
    }


@stage("reconcile")
def reconcile(cells: Series, countries: Series) -> Series:
    """Scales the cells of each country to the country's own forecast.

    Raises:
        RuntimeError: the totals to reconcile with are missing; unreconciled numbers must not be published.
    """
    totals = {} if faults.is_on("reconcile_missing") else countries
    if not totals:
        logger.critical("Reconciliation input is missing: no country totals, refusing to publish")
        raise RuntimeError("refusing to publish unreconciled forecasts")
    sums: Series = {}
    for cell, months in cells.items():
        total = sums.setdefault(country_of(cell), [0.0] * len(months))
        for month, fatalities in enumerate(months):
            total[month] += fatalities
    for country, months in sums.items():
        before, after = months[0], totals[country][0]
        if before > SPIKE * max(after, 10.0):
            logger.warning(
                "Implausible change by reconciliation in %s: %.0f before, %.0f after", country, before, after
            )
    return {
        cell: [x * totals[country_of(cell)][m] / (sums[country_of(cell)][m] or 1.0) for m, x in enumerate(months)]
        for cell, months in cells.items()
    }
