"""The monthly run: two ensembles, reconciled, reported, delivered. `python main.py --fail NAME` breaks it on purpose.

Without pipeline-alerts this is an ordinary program; under `pipeline-alerts run -- python main.py` it tells people.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from pipeline import ensemble, faults, logs, services, world

from instrumentation import stage

MONTH = 559  # months since 1980, as the field counts
SEED = 559

logger = logging.getLogger("monthly_run")


@stage("report")
def report(forecast: world.Series, out: Path) -> Path:
    """Writes the numbers that readers get."""
    path = out / "report.json"
    worst = sorted(forecast, key=lambda cell: -forecast[cell][0])[:10]
    path.write_text(json.dumps({"month": MONTH, "highest_risk": worst}), encoding="utf-8")
    logger.info("Report written: %d cells, %d at highest risk", len(forecast), len(worst))
    return path


@stage("deliver")
def deliver(path: Path, url: str) -> None:
    """Uploads the report. A refusal is logged and, as in so much real code, goes no further."""
    request = urllib.request.Request(f"{url}/{path.name}", data=path.read_bytes(), method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            logger.info("Forecasts uploaded: %s answered %d", "partner", answer.status)
    except urllib.error.HTTPError as error:
        logger.error("Upload of %s refused: HTTP %d %s", path.name, error.code, error.reason)


def main() -> None:
    """Runs the month."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--fail", choices=list(faults.FAULTS), default="none")
    parser.add_argument("--out", type=Path, default=Path("monthly_run_output"))
    options = parser.parse_args()

    out = options.out.resolve()
    os.environ[faults.VARIABLE] = options.fail
    logs.set_up(out / "logs")
    observed = world.observe(SEED)
    with services.data_store(observed) as store, services.partner() as partner:
        countries = ensemble.run(ensemble.CALM_HARBOR, store, MONTH, out)
        cells = ensemble.run(ensemble.ROUGH_MEADOW, store, MONTH, out)
        deliver(report(ensemble.reconcile(cells, countries), out), partner)


if __name__ == "__main__":
    main()
