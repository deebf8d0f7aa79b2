"""Real failure modes, injected by name. `MONTHLY_RUN_FAIL` passes the name to the models' processes."""

from __future__ import annotations

import os

VARIABLE = "MONTHLY_RUN_FAIL"

FAULTS = {
    "none": "all is well",
    "zero_month": "the newest month of the target arrives as zeros, for every model",
    "fetch_hang": "a download never returns, and says so every few seconds for ever",
    "fetch_error": "the data store is down: one cause, four ERROR records in two processes",
    "diverge": "a loss becomes NaN",
    "early_stop": "a routine early stop, logged at ERROR by its library",
    "oom": "a model is killed the way the kernel kills for memory: no record, no traceback",
    "config_typo": "a library calls a misspelt loss name CRITICAL and carries on",
    "stale_model": "a model was trained too long ago for its ensemble",
    "odd_map": "a forecast is finite and plausible, and far too high in one place",
    "reconcile_missing": "the totals to reconcile with are missing",
    "upload_denied": "the upload is refused, and the run still ends with 0",
    "wandb_down": "experiment tracking is unreachable; the run carries on",
    "flood": "one broken loop: 10,000 warnings and 10,000 equal errors",
}


def is_on(name: str) -> bool:
    """Whether this run was asked to fail this way."""
    return os.environ.get(VARIABLE, "none") == name
