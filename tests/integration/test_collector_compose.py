"""`docker-compose.yml`: well formed, confined, and a configuration with which a real Collector works.

Judged twice: by the compose specification's own JSON schema, as `check-jsonschema` carries it, and by a house schema
that is closed and narrower: one spelling for each thing, texts where YAML would guess, addresses on loopback.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft202012Validator

from collector import checks
from collector.configuration import Configuration
from tests.servers.collector import CONFIGURATION, collector_binary, collector_environ

ROOT: Final = CONFIGURATION.parent
FILE: Final = ROOT / "docker-compose.yml"
DURATION: Final = {"type": "string", "pattern": r"^(\d+(us|ms|s|m|h))+$"}
SIZE: Final = {"type": "string", "pattern": r"^\d+[bkmg]$"}
STRINGS: Final = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
ARGUMENTS: Final = {"type": "array", "items": {"type": "string"}}
FILE_SOURCE: Final = {
    "type": "object",
    "properties": {"file": {"type": "string"}},
    "required": ["file"],
    "additionalProperties": False,
}


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def each(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "propertyNames": {"pattern": r"^[a-zA-Z0-9._-]+$"}, "additionalProperties": schema}


SERVICE: Final = closed(
    build=closed(context={"type": "string"}, dockerfile={"type": "string"}),
    cap_add=STRINGS,
    cap_drop=STRINGS,
    command=ARGUMENTS,
    configs={"type": "array", "items": closed(source={"type": "string"}, target={"type": "string"})},
    depends_on=each(
        closed(condition={"enum": ["service_started", "service_healthy", "service_completed_successfully"]})
    ),
    entrypoint=ARGUMENTS,
    env_file={"type": "array", "items": closed(path={"type": "string"}, required={"type": "boolean"})},
    # Numbers and true would be taken, but as what YAML makes of them: texts only.
    environment={"type": "object", "additionalProperties": {"type": "string"}},
    healthcheck=closed(
        disable={"type": "boolean"},
        test={"type": "array", "items": {"type": "string"}, "prefixItems": [{"enum": ["NONE", "CMD", "CMD-SHELL"]}]},
        interval=DURATION,
        timeout=DURATION,
        start_period=DURATION,
        retries={"type": "integer", "minimum": 1},
    ),
    image={"type": "string"},
    logging=closed(driver={"type": "string"}, options={"type": "object", "additionalProperties": {"type": "string"}}),
    mem_limit=SIZE,
    network_mode={"type": "string"},
    pids_limit={"type": "integer", "minimum": 1},
    ports={"type": "array", "items": {"type": "string", "pattern": r"^(\d+\.){3}\d+:\d+:\d+$"}, "uniqueItems": True},
    profiles=STRINGS,
    read_only={"type": "boolean"},
    restart={"enum": ["no", "always", "unless-stopped", "on-failure"]},
    secrets=STRINGS,
    security_opt=STRINGS,
    stop_grace_period=DURATION,
    tmpfs=STRINGS,
    user={"type": "string", "pattern": r"^\d+:\d+$"},
    volumes={"type": "array", "items": {"type": "string", "pattern": r"^[^:]+:/[^:]*(:ro)?$"}, "uniqueItems": True},
)
HOUSE: Final = {
    "type": "object",
    "properties": {
        "services": each(SERVICE),
        "secrets": each(FILE_SOURCE),
        "configs": each(FILE_SOURCE),
        "volumes": each({"type": "object", "maxProperties": 0}),
    },
    "patternProperties": {"^x-": {}},
    "required": ["services"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return document


def specification(file: Path) -> subprocess.CompletedProcess[str]:
    """What the compose specification's schema says of this file."""
    judge = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(judge, capture_output=True, text=True, timeout=120)


def house_problems(compose: dict[str, Any]) -> list[str]:
    found = Draft202012Validator(HOUSE).iter_errors(compose)
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in found]


def with_collector(compose: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {**compose, "services": {**compose["services"], "collector": compose["services"]["collector"] | changed}}


def test_the_file_keeps_to_the_compose_specification():
    judged = specification(FILE)

    assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize("mistake", [{"restrat": "no"}, {"ports": "4318"}, {"read_only": []}, {"healthcheck": ["CMD"]}])
def test_the_specification_would_notice_a_mistake(compose, tmp_path, mistake):
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(yaml.safe_dump(with_collector(compose, **mistake)))

    judged = specification(wrong)

    assert judged.returncode == 1, judged.stderr
    assert "services.collector" in judged.stdout


def test_the_file_keeps_to_the_rules_of_the_house(compose):
    assert house_problems(compose) == []


@pytest.mark.parametrize(
    "mistake", [{"restrat": "no"}, {"mem_limit": 512}, {"ports": ["4318"]}, {"restart": False}, {"user": "collector"}]
)
def test_the_house_would_notice_a_mistake(compose, mistake):
    assert len(house_problems(with_collector(compose, **mistake))) == 1


def test_every_name_that_a_service_uses_is_defined(compose):
    services = compose["services"]
    for name, service in services.items():
        assert set(service.get("secrets", [])) <= set(compose["secrets"]), name
        assert {entry["source"] for entry in service.get("configs", [])} <= set(compose["configs"]), name
        assert set(service.get("depends_on", {})) <= set(services), name
        sources = {volume.split(":")[0] for volume in service.get("volumes", [])}
        assert {source for source in sources if not source.startswith(".")} <= set(compose["volumes"]), name
        assert [source for source in sources if source.startswith(".") and not (ROOT / source).exists()] == [], name
        build = service.get("build")
        assert build is None or (ROOT / build["context"] / build["dockerfile"]).is_file(), name


def test_every_service_is_confined(compose):
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        runs_as_root = service["user"].startswith("0:")
        # Only the step that hands a new volume over is root, without a network, and once.
        assert not runs_as_root or (service["network_mode"] == "none" and service["restart"] == "no"), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_every_lasting_service_says_how_its_health_is_known(compose):
    for name, service in compose["services"].items():
        if service["restart"] != "no":
            assert "healthcheck" in service, name


@pytest.mark.parametrize("store", ["auth", "clickhouse"])
@pytest.mark.collector
def test_a_real_collector_works_with_the_composed_configuration(compose, tmp_path: Path, store: str):
    service = compose["services"]["collector"]
    tokens = {}
    for name in service["secrets"]:
        tokens[f"/run/secrets/{name}"] = str(tmp_path / name)
        (tmp_path / name).write_text(f"{name}\n")
    settings = {name: tokens.get(value, value) for name, value in service["environment"].items() if "${" not in value}
    environ = collector_environ(tmp_path / "state", "", **settings)
    files = [
        ROOT / argument.removeprefix("--config=").replace("${COLLECTOR_STORE:-auth}", store)
        .replace("/etc/otelcol/overlays", "collector/overlays").removeprefix("/etc/otelcol/")
        for argument in service["command"]
    ]  # fmt: skip

    findings = checks.check(collector_binary(), Configuration(tuple(files)), environ)

    assert [str(finding) for finding in findings if finding.level is not checks.Level.OK] == []
    assert len(findings) > 10


def test_the_image_is_the_release_that_the_configuration_was_written_for(compose):
    from collector.cache import VERSION

    assert compose["services"]["collector"]["image"].endswith(f":{VERSION}")
