# A script beside the documentation, not a package; it says what it made.
# ruff: noqa: INP001, T201
"""Regenerates docs/images/prefect-*.png from a real Prefect server: `python docs/screenshots_prefect.py`.

It starts a Prefect server and a bridge on free loopback ports, runs the demo with and without a failure, and looks at
what came of it with a headless Chromium.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.servers.bridge import BridgeProcess, wait_for  # noqa: E402 - this script runs from a checkout
from tests.servers.chromium import Tab, chromium, find  # noqa: E402
from tests.servers.prefect import PrefectServer  # noqa: E402

IMAGES = HERE / "images"
EXAMPLE = HERE.parent / "examples" / "monthly_run"
DESKTOP = (1280, 860)
MAX_BYTES = 200_000
DRAWN_WITHIN_S = 60.0
AT_REST_S = 10.0  # without a change: the run's graph is laid out, and moves into place
AT_REST_WITHIN_S = 120.0
RUNS = {"none": "fatalities_003_558_a", "fetch_error": "fatalities_003_559_a"}


def main() -> None:
    browser_path = find()
    if browser_path is None:
        sys.exit("A Chromium is needed on PATH")
    with tempfile.TemporaryDirectory() as folder, PrefectServer(Path(folder), ui=True) as prefect:
        policy = (EXAMPLE / "alerting.yaml").read_text(encoding="utf-8")
        environ = {"PREFECT_API_URL": prefect.url}
        with BridgeProcess(Path(folder) / "bridge", policy=policy, environ=environ) as bridge:
            bridge.wait_until_ready(60)
            for scenario, run_id in RUNS.items():
                run_demo(bridge, Path(folder), scenario, run_id)
                wait_for(lambda name=run_id: "run-monthly-run" in prefect.picture(name).artifacts, 120)
            good, bad = (prefect.picture(run_id) for run_id in RUNS.values())
            prefect.record_events()
            with chromium(browser_path) as browser:
                tab = browser.tab()
                take(tab, "runs", f"{prefect.base}/runs", "fatalities_003_559_a")
                take(tab, "run", f"{prefect.base}/runs/flow-run/{good.id}", "Completed")
                take(tab, "failed-run", f"{prefect.base}/runs/flow-run/{bad.id}", "failed")
                alert = next(key for key in bad.artifacts if key.startswith("alert-"))
                take(tab, "alert", artifact_page(prefect, bad.id, alert), "Full log")
                take(tab, "summary", artifact_page(prefect, bad.id, "run-monthly-run"), "stages")


def run_demo(bridge: BridgeProcess, folder: Path, scenario: str, run_id: str) -> None:
    environ = bridge.environ | {
        "PIPELINE_ALERTS_ENDPOINT": bridge.url,
        "PIPELINE_ALERTS_RUN_ID": run_id,
        "PIPELINE_ALERTS_JOURNAL_DIR": str(folder / "journals"),
        "PYTHON": sys.executable,
    }
    program = [sys.executable, str(EXAMPLE / "main.py"), "--fail", scenario, "--out", str(folder / "output")]
    command = [sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "monthly_run", "--", *program]
    ended = subprocess.run(command, env=environ, capture_output=True, check=False)  # noqa: S603 - our own command
    print(f"the demo with {scenario} ended with {ended.returncode}")


def artifact_page(prefect: PrefectServer, flow_run: str, key: str) -> str:
    """Where the run's artifact of this key is shown."""
    about = {"artifacts": {"key": {"any_": [key]}}, "flow_runs": {"id": {"any_": [flow_run]}}}
    (row,) = prefect.client.post("artifacts/filter", json=about).json()
    return f"{prefect.base}/artifacts/artifact/{row['id']}"


def take(tab: Tab, name: str, url: str, awaited: str) -> None:
    """One picture, when the page shows what it is about."""
    tab.size(*DESKTOP)
    tab.open(url)
    deadline = time.monotonic() + DRAWN_WITHIN_S
    while awaited not in (tab.run("document.body.innerText") or ""):
        if time.monotonic() > deadline:
            sys.exit(f"{url} does not show {awaited!r}: {tab.run('document.body.innerText')[:500]!r}")
        time.sleep(0.1)
    picture, since = tab.picture(), time.monotonic()
    while time.monotonic() - since < AT_REST_S:
        if time.monotonic() > deadline + AT_REST_WITHIN_S:
            sys.exit(f"{url} does not come to rest")
        time.sleep(1.0)
        if (now := tab.picture()) != picture:
            picture, since = now, time.monotonic()
    if len(picture) > MAX_BYTES:
        sys.exit(f"{name} has {len(picture):,} bytes; at most {MAX_BYTES:,} belong in a repository")
    path = IMAGES / f"prefect-{name}.png"
    path.write_bytes(picture)
    print(f"{path.relative_to(HERE.parent)}: {len(picture):,} bytes")


if __name__ == "__main__":
    main()
