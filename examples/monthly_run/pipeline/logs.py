"""Logging as the run's own code sets it up: `dictConfig`, anew in every process. Knows nothing of alerts."""

from __future__ import annotations

import logging.config
from pathlib import Path

import yaml

TEMPLATE = Path(__file__).parent.parent / "logging.yaml"


def set_up(folder: Path) -> None:
    """Console and files for one process; the files lie in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    logging.config.dictConfig(yaml.safe_load(TEMPLATE.read_text(encoding="utf-8").replace("{folder}", str(folder))))
