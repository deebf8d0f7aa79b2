"""What holds for the whole session: which tests stay together, and how programs that tests start meet signals."""

from __future__ import annotations

import signal
from functools import cache
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

# `make test &` in a script ignores SIGINT, and every program of a test would inherit that; ours would be blamed.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# httpx waits 5 s for whatever it does, which is luck on a busy machine. A test that claims a time measures it.
ANSWER_WITHIN_S = 60.0
for _step in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, _step, ANSWER_WITHIN_S)

# Hypothesis gives an example 200 ms and the first ten a second, which is luck on a busy machine too.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


class SharedPartsTogether(LoadScopeScheduling):
    """Gives a file to one process whose tests share a bridge or a server, or are one group; others to whoever is free.

    `--dist loadgroup` would do, but pytest 9 does not let it mark tests any more (xdist 3.8).
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if _shares(str(self.config.rootpath / file)) else nodeid


@cache
def _shares(file: str) -> bool:
    source = Path(file).read_text(encoding="utf-8")
    return 'scope="module"' in source or "pytestmark = pytest.mark.xdist_group(" in source


@pytest.hookimpl(optionalhook=True)  # nobody asks without `-n`
def pytest_xdist_make_scheduler(config, log):
    return SharedPartsTogether(config, log)
