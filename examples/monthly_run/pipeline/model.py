"""One model in its own process: fetch, check for drift, train, forecast, write. Started by `run.sh`."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import signal
import time
import traceback
import urllib.request
from pathlib import Path

from instrumentation import log_metrics, stage
from pipeline import faults, logs
from pipeline.world import Series

HORIZON_MONTHS = 6
EPOCHS = 12
EPOCH_PAUSE_S = 0.03  # stands for the hours a real model trains
HOARD_PAUSE_S = 0.2  # memory runs out over seconds, in which whoever watches can see it
LEARNING_RATE = 0.05
DIVERGED_LOSS = 1e12
FLOOD = 10_000

logger = logging.getLogger("monthly_run.model")


class DataFetchError(Exception):
    """The model's input could not be fetched."""


class EarlyStopping(Exception):
    """Training stopped because it no longer improved."""


@stage("fetch_data")
def fetch(url: str, level: str) -> Series:
    """The series of one level from the data store; an error is logged and raised, as real code does."""
    try:
        while True:
            try:
                with urllib.request.urlopen(f"{url}/{level}", timeout=5) as answer:
                    series: Series = json.load(answer)
                break
            except TimeoutError:
                print("Still waiting for the data store …", flush=True)
    except OSError as error:
        logger.error("Error fetching data: %s", error, exc_info=True)
        logger.error(traceback.format_exc())
        raise DataFetchError(f"could not fetch {level} data") from error
    logger.info("Fetched %d series of %d months", len(series), len(next(iter(series.values()))))
    return series


@stage("drift_check")
def check_drift(name: str, series: Series) -> None:
    """Compares the newest month with the thirty before; a target that is all zero is corrupt input."""
    newest = sum(months[-1] for months in series.values())
    usual = sum(sum(months[-31:-1]) for months in series.values()) / 30
    if newest == 0 and usual > 0:
        logger.critical(
            "Target is all zero in the newest month, usually %.0f fatalities",
            usual,
            extra={"pipeline.model.name": name},
        )
    elif abs(newest - usual) > usual:
        logger.warning({"data alert": f"feature delta_total; offender: {newest:.0f}; threshold: {usual:.0f}"})


@stage("train")
def train(name: str, series: Series, lags: int) -> list[float]:
    """A log-linear autoregression by gradient descent; returns one weight per lag, newest first."""
    rows = [[math.log1p(x) for x in months] for months in series.values()]
    weights = [1.0 / lags] * lags
    rate = LEARNING_RATE * (1e6 if faults.is_on("diverge") and name == "brown_heron" else 1.0)
    if faults.is_on("config_typo") and name == "steady_oak":
        logging.getLogger("thirdparty.losses").critical("Unknown loss function %r, falling back to 'mse'", "mes")
    for epoch in range(EPOCHS):
        loss, gradient, count = 0.0, [0.0] * lags, 0
        for row in rows:
            for month in range(len(row) - 12, len(row)):
                past = row[month - lags : month][::-1]
                error = sum(w * x for w, x in zip(weights, past, strict=True)) - row[month]
                loss += error * error
                gradient = [g + error * x for g, x in zip(gradient, past, strict=True)]
                count += 1
        weights = [w - rate * g / count for w, g in zip(weights, gradient, strict=True)]
        loss /= count
        log_metrics({"train/loss": loss}, step=epoch)
        if not math.isfinite(loss) or loss > DIVERGED_LOSS:
            logger.error("Training diverged: loss is %s at epoch %d, early_terminated", loss, epoch)
            return [1.0] + [0.0] * (lags - 1)
        logger.debug("epoch %d loss %.4f", epoch, loss)
        time.sleep(EPOCH_PAUSE_S)
        _fail_while_training(name, epoch)
    logger.info("Trained on %d series, loss %.4f", len(rows), loss)
    return weights


def _fail_while_training(name: str, epoch: int) -> None:
    if epoch != EPOCHS // 2 or name != "dry_river":
        return
    if faults.is_on("oom"):
        hoard = []
        for _ in range(12):  # a tensor too many, and another
            hoard.append(b"x" * 32 * 2**20)
            time.sleep(HOARD_PAUSE_S)
        os.kill(os.getpid(), signal.SIGKILL)  # what the kernel does then
    if faults.is_on("flood"):
        for attempt in range(FLOOD):
            logger.warning("Gap in series %d, carrying the last value forward", attempt)
            logger.error("Cannot read tile %d: checksum mismatch", attempt)
    if faults.is_on("early_stop"):
        try:
            raise EarlyStopping(f"no improvement since epoch {epoch - 3}")
        except EarlyStopping:
            logging.getLogger("thirdparty.training").exception("Early stopping")


@stage("forecast")
def forecast(name: str, series: Series, weights: list[float]) -> Series:
    """The next months of every series."""
    ahead: Series = {}
    for unit, months in series.items():
        row = [math.log1p(x) for x in months]
        for _ in range(HORIZON_MONTHS):
            past = row[-len(weights) :][::-1]
            row.append(max(0.0, sum(w * x for w, x in zip(weights, past, strict=True))))
        ahead[unit] = [math.expm1(x) for x in row[-HORIZON_MONTHS:]]
    if faults.is_on("odd_map") and name == "open_steppe":
        ahead = {
            unit: [x + (400.0 if unit.startswith("c07") else 0.0) for x in months] for unit, months in ahead.items()
        }
    return ahead


def main() -> None:
    """Runs one model and writes `<out>/<name>.json`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("name")
    parser.add_argument("--level", choices=["cm", "pgm"], required=True)
    parser.add_argument("--lags", type=int, required=True)
    parser.add_argument("--store", required=True)
    parser.add_argument("--month", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    logs.set_up(options.out / options.name / "logs")
    if faults.is_on("wandb_down") and options.name == "quiet_delta":
        logger.warning("Experiment tracking is unreachable, metrics of %s stay here", options.name)
    with stage(options.name, model=options.name):
        series = fetch(options.store, options.level)
        check_drift(options.name, series)
        weights = train(options.name, series, options.lags)
        ahead = forecast(options.name, series, weights)
    trained = options.month - (38 if faults.is_on("stale_model") and options.name == "tall_reed" else 0)
    artifact = {"model": options.name, "trained_in_month": trained, "forecast": ahead}
    (options.out / f"{options.name}.json").write_text(json.dumps(artifact), encoding="utf-8")
    logger.info("Predictions saved: %d series, %d months ahead", len(ahead), HORIZON_MONTHS)


if __name__ == "__main__":
    main()
