"""Whether this process is inside of another `run`. The environment says so also long after, and on other machines.

A terminal multiplexer that was started inside keeps the variables for ever, and schedulers hand them to their jobs.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from instrumentation.child._pipeline_alerts_child import names as contract
from instrumentation.sender.folder import run_facts
from instrumentation.supervisor.processes import parents

__all__ = ["is_followed", "without_outer"]

_MADE_UP_RUN_ID: Final = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")  # as `new_run_id` makes them
# What was said of the other run. The levels to keep and the pipeline's name may be the user's own.
_OF_ONE_RUN: Final = (
    *(contract.ENV_RUN_FOLDER, contract.ENV_POKE, contract.ENV_STAGE, contract.ENV_STACKS),
    contract.ENV_TRACEPARENT,
)


def is_followed(environ: Mapping[str, str]) -> bool:
    """Whether the supervisor that the environment tells of is above this process."""
    folder = environ.get(contract.ENV_RUN_FOLDER)
    if not folder:
        return False
    facts = run_facts(Path(folder))
    return facts.get("host") == socket.gethostname() and facts.get("pid") in parents()


def without_outer(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment without what is left in it of a run that does not follow this process."""
    if contract.ENV_RUN_FOLDER not in environ:
        return environ
    kept = {name: value for name, value in environ.items() if name not in _OF_ONE_RUN}
    if _MADE_UP_RUN_ID.fullmatch(kept.get(contract.ENV_RUN_ID, "")):
        del kept[contract.ENV_RUN_ID]
    return kept
