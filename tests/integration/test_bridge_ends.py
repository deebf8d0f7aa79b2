"""A script whose child ends badly, under `run` and with a real bridge: each of its problems is told once."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys

import pytest

from tests.servers.bridge import WAIT_WITHIN_S, wait_for

CHILD = """\
import logging, os, sys, time
logging.error("the salt marsh could not be read")
while not os.path.exists(sys.argv[2]):
    time.sleep(0.02)
exec(sys.argv[1])
"""


@pytest.mark.parametrize(
    ("script", "way_out", "told"),
    [
        ('set -e; child "$@"; echo done', "os.abort()", 2),
        ('child "$@"; exit $?', "os.kill(os.getpid(), 9)", 2),
        ('set -e; child "$@"; echo done', "raise ValueError('the tide table is empty')", 2),
        ('child "$@" || exit 0', "os.abort()", 2),
        ('child "$@" || exit 7', "os.abort()", 3),
    ],
    ids=["it-aborts-under-set-e", "it-is-killed-and-last", "it-raises-under-set-e", "the-script-goes-on", "and-more"],
)
def test_a_script_whose_child_ends_badly_is_told_once_for_each_problem_of_it(bridge, tmp_path, script, way_out, told):
    """The child's error, and how it ended; the last script's own exit code is a problem more."""
    seen = tmp_path / "seen"
    pipeline = f"nightly-{tmp_path.name}"
    shell = f'child() {{ "{sys.executable}" -c "$1" "$2" "$3"; }}; {script}'
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_ALERTS_", "OTEL"))}

    with subprocess.Popen(
        [sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", pipeline, "--",
         "bash", "-c", shell, "bash", CHILD, way_out, str(seen)],
        env={**clean, "PIPELINE_ALERTS_ENDPOINT": bridge.url, "XDG_STATE_HOME": str(tmp_path / "state")},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        wait_for(lambda: incidents_told(bridge, pipeline))
        seen.touch()
        process.communicate(timeout=WAIT_WITHIN_S)
    wait_for(lambda: has_ended(bridge, pipeline))

    assert len(incidents_told(bridge, pipeline)) == told, incidents_told(bridge, pipeline)


def incidents_told(bridge, pipeline):
    """The titles of a pipeline's incidents that are told by themselves."""
    reader = bridge.reader()
    try:
        found = reader.incidents(open_only=False)
    finally:
        reader.close()
    return [one.title for one in found if one.pipeline == pipeline and not one.root_id]


def has_ended(bridge, pipeline):
    """Whether the end of its run was taken, and so all that was told before it."""
    with contextlib.closing(sqlite3.connect(bridge.state / "control.db")) as control:
        return control.execute("SELECT 1 FROM runs WHERE pipeline = ? AND ended > 0", (pipeline,)).fetchone()
