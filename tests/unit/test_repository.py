"""What ships and what is promised about it: documentation, the wheel, lock files, and the names in all of them."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from functools import cache
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from alert_bridge.channels.opening import SLACK_API_URL
from alert_bridge.cli import COMMANDS, root
from alert_bridge.service.settings import DEFAULT_LISTEN
from instrumentation import settings as pipeline
from tests.servers.otlp_sink import LOGS_PATH, OtlpSink

ROOT = Path(__file__).parents[2]
PACKAGES = ("instrumentation", "collector", "alert_bridge")
SETTING = (
    r"(?:PIPELINE_ALERTS|SLACK|SMTP|OTEL|OTELCOL|BRIDGE|CLICKHOUSE|PREFECT|WANDB|XDG|PIPELINE_LOG)_[A-Z][A-Z0-9_]*"
)
CLEARED = {"library.py"}  # only takes variables away from W&B, which would make all runs the bridge's own
MADE_UP = {"WANDB_SILENT", "PREFECT__FLOW_RUN_ID"}  # set by us for another program, or by Prefect for us


@cache
def tracked() -> tuple[str, ...]:
    """The files that git has, or would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return tuple(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def documentation() -> dict[str, str]:
    return {name: (ROOT / name).read_text() for name in ("README.md", *(f"docs/{p.name}" for p in docs()))}


def docs() -> list[Path]:
    return sorted((ROOT / "docs").glob("*.md"))


def settings_in_code() -> set[str]:
    """Every name of ours, and of others' that we read, as it stands in a string of the code or in a configuration."""
    found: set[str] = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if path.name not in CLEARED:
                tree = ast.parse(path.read_text(encoding="utf-8"))
                texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
                found |= {text for text in texts if re.fullmatch(SETTING, text)}
    for path in (ROOT / "otel-collector.yaml", *(ROOT / "collector" / "overlays").glob("*.yaml")):
        found |= set(re.findall(rf"\$\{{env:({SETTING})", path.read_text()))
    files = {name for name in found if name.endswith("_FILE") and name.removesuffix("_FILE") in found}
    return found - files - MADE_UP


def settings_in_documentation() -> dict[str, str]:
    """The default of each documented setting, as its table says."""
    rows = re.findall(r"^\| (.+?) \| (.*?) \| .*\|$", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    return {name: default for names, default in rows for name in re.findall(rf"`({SETTING}|OTELCOL)`", names)}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_can_be_loaded_has_help_and_is_documented(name):
    command = importlib.import_module(COMMANDS[name].module).command

    shown = CliRunner().invoke(root, [name, "--help"])

    assert isinstance(command, click.Command)
    assert shown.exit_code == 0, shown.output
    assert len((command.help or "").split()) > 3
    assert any(f"pipeline-alerts {name}" in text for text in documentation().values()), "say in docs/ what it is for"


def test_the_documentation_names_only_commands_and_targets_that_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for place, text in documentation().items():
        named = set(re.findall(r"\bpipeline-alerts ([a-z][a-z-]+)", "\n".join(in_code(text))))
        made = set(re.findall(r"\bmake ([a-z]+)", "\n".join(in_code(text))))
        extras = {extra for found in re.findall(r"pipeline-alerts\[([a-z,]+)\]", text) for extra in found.split(",")}

        assert named <= set(COMMANDS), f"{place} names {named - set(COMMANDS)}"
        assert made <= targets, f"{place} names {made - targets}"
        assert extras <= set(project["optional-dependencies"]), f"{place} names {extras}"


def in_code(text: str) -> list[str]:
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [*blocks, *re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))]


def test_links_in_the_documentation_lead_to_files_that_exist():
    for place, text in documentation().items():
        links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
        missing = [link for link in links if link and not ((ROOT / place).parent / link).exists()]

        assert missing == [], f"{place} links to {missing}"


def test_every_setting_that_is_read_is_documented_and_the_other_way_round():
    text = (ROOT / "docs" / "settings.md").read_text()
    written = set(re.findall(rf"`({SETTING})`", text))

    read = settings_in_code()

    assert len(read) > 40
    assert read - written == set(), "not in docs/settings.md"
    assert written - read == set(), "in docs/settings.md, but nothing reads it"


def test_documented_defaults_are_the_ones_of_the_code():
    documented = settings_in_documentation()
    expected = {
        "PIPELINE_ALERTS_ENDPOINT": pipeline.DEFAULT_ENDPOINT,
        "PIPELINE_ALERTS_JOURNAL_MB": str(pipeline.DEFAULT_JOURNAL_CAP_MB),
        "PIPELINE_ALERTS_LOG_MB": str(pipeline.DEFAULT_LOG_CAP_MB),
        "PIPELINE_ALERTS_LINGER_SECONDS": f"{pipeline.DEFAULT_LINGER_S:.0f}",
        "PIPELINE_ALERTS_LISTEN": DEFAULT_LISTEN,
        "SLACK_API_URL": SLACK_API_URL,
    }
    for path in (ROOT / "otel-collector.yaml", *(ROOT / "collector" / "overlays").glob("*.yaml")):
        given = re.findall(rf"\$\{{env:({SETTING}):-([^}}]+)\}}", path.read_text())
        expected |= {name: default for name, default in given if name in documented}

    assert len(expected) > 15
    assert {name: (documented[name], value) for name, value in expected.items() if value not in documented[name]} == {}


def test_every_secret_is_documented_as_one():
    code = "\n".join(path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    secrets = set(re.findall(rf'secret\([\w.]+, "({SETTING})"', code))

    text = (ROOT / "docs" / "settings.md").read_text()

    assert len(secrets) > 6
    assert {name for name in secrets if f"`{name}` (secret)" not in text} == set()


def test_the_four_targets_of_make_are_there_and_say_what_they_do():
    shown = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True)

    assert shown.returncode == 0, shown.stderr
    told = dict(re.findall(r"^ +make ([a-z]+)\s+(\S.*)$", shown.stdout, re.MULTILINE))
    assert set(told) >= {"demo", "test", "lint", "bench"}


@pytest.mark.parametrize("name", ["bridge", "dev"])
def test_lock_files_hold_versions_and_hashes_and_no_address(name):
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    pinned = re.findall(r"^([\w.\[\]-]+)==\S+", text, re.MULTILINE)

    assert len(pinned) > 20
    assert "://" not in text
    assert text.count("--hash=sha256:") >= len(pinned)
    assert [line for line in text.splitlines() if not re.match(r"#|\s|[\w.\[\]-]+==|$", line)] == []


def test_no_file_names_this_machine():
    places = {f"{place}/" for place in (ROOT, ROOT.parent, Path.home(), Path(sys.prefix).resolve())}
    places -= {f"{place}/" for place in ("/", "/home", "/root", "/tmp", "/usr", "/usr/local")}  # too short to tell
    named = [(name, place) for name in tracked() for place in places if place.encode() in (ROOT / name).read_bytes()]

    assert named == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel as a release would build it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("pipeline_alerts-*.whl")
    return file


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_wheel_holds_every_file_of_the_packages_and_the_collectors_configuration(wheel):
    ours = {name for name in tracked() if name.startswith(tuple(f"{package}/" for package in PACKAGES))}

    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        packaged = archive.read("collector/otel-collector.yaml")

    assert ours - held == set()
    assert {name for name in held if name.startswith(tuple(PACKAGES))} - ours == {"collector/otel-collector.yaml"}
    assert packaged == (ROOT / "otel-collector.yaml").read_bytes()
    for needed in (
        "collector/distribution/manifest.yaml",
        "collector/overlays/auth.yaml",
        "alert_bridge/policy/default.yaml",
        "alert_bridge/policy/alerting.schema.json",
        "alert_bridge/py.typed",
        "instrumentation/child/sitecustomize.py",
        "instrumentation/child_entry_point/pipeline_alerts_child-1.dist-info/entry_points.txt",
    ):
        assert needed in held


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_wheel_works_where_nothing_of_the_repository_is(wheel, tmp_path):
    fresh, work = tmp_path / "fresh", tmp_path / "work"
    work.mkdir()
    venv.create(fresh, with_pip=True)
    python = fresh / "bin" / "python"
    environ = {
        "PATH": f"{fresh / 'bin'}:{os.environ['PATH']}",
        "HOME": str(work),
        "XDG_STATE_HOME": str(work / "state"),
    }

    def run(*command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            list(map(str, command)), cwd=work, env=environ | more, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    run(python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel)
    # Dependencies are those of the tests; a path in a .pth file brings no other package's .pth files with it.
    (site,) = (fresh / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))

    where = run(python, "-c", "import alert_bridge; print(alert_bridge.__file__)").stdout
    assert Path(where.strip()).is_relative_to(fresh)
    assert "check-policy" in run("pipeline-alerts", "--help").stdout
    run("pipeline-alerts", "init")
    assert (work / "alerting.yaml").is_file()
    run("pipeline-alerts", "check-policy")
    with OtlpSink() as sink:
        program = "import logging; logging.error('from a wheel')"
        run("pipeline-alerts", "run", "--", "python", "-c", program, PIPELINE_ALERTS_ENDPOINT=sink.url)
        assert "from a wheel" in sink.bodies(LOGS_PATH)
