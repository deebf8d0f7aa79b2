"""What is one problem and what is not, for records as programs make them, the whole way through the Collector."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.servers.bridge import wait_for
from tests.servers.whole_way import WholeWay

pytestmark = [pytest.mark.collector, pytest.mark.slow]

WITHIN_S = 120.0
PROGRAM = """
import logging, traceback
log = logging.getLogger("loader")
logging.basicConfig(level=logging.INFO)
logging.raiseExceptions = False
for bad in ("three", "four", None):
    log.error("cannot load %d rows", bad)
try:
    {}["the quoted key"]
except KeyError:
    quoted = traceback.format_exc()
for shelf in ("one", "two"):
    log.error("the worker on shelf %s answered: %s", shelf, quoted)
class RemoteError(Exception):
    pass
try:
    raise RemoteError("the far side says\\n" + quoted)
except RemoteError:
    log.exception("the call failed")
try:
    {}["the real key"]
except KeyError:
    log.exception("a lookup failed")
"""


def test_malformed_calls_group_by_template_and_a_quoted_traceback_is_not_the_problem(tmp_path):
    with WholeWay(tmp_path) as way:
        ended = way.run(PROGRAM)
        with closing(way.bridge.reader()) as control:
            wait_for(lambda: sum(one.count for one in control.incidents(open_only=False)) >= 7, WITHIN_S)
            found = sorted((one.count, one.title) for one in control.incidents(open_only=False))

    assert ended.returncode == 0, ended.stderr
    counts = {title: count for count, title in found}
    assert sorted(counts.values()) == [1, 1, 2, 3], counts
    assert counts[next(title for title in counts if title.startswith("cannot load"))] == 3
