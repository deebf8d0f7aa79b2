"""`docker-compose.yml`: well formed, confined, and a configuration with which a real Collector works.

The schema below is ours: the rules of the compose specification (github.com/compose-spec/compose-spec,
schema/compose-spec.json, read in 2026-06) for the keys that our file uses, closed against every other key, because no
package carries the original.
"""

from __future__ import annotations

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
COMPOSE: Final = {
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


def test_the_file_keeps_to_the_specification(compose):
    problems = [
        f"{'.'.join(map(str, error.path))}: {error.message}"
        for error in Draft202012Validator(COMPOSE).iter_errors(compose)
    ]

    assert problems == []


@pytest.mark.parametrize(
    ("where", "value"),
    [("restrat", "no"), ("mem_limit", 512), ("ports", ["4318"]), ("restart", False), ("user", "collector")],
)
def test_the_schema_would_notice_a_mistake(compose, where, value):
    wrong = {**compose, "services": {"collector": {**compose["services"]["collector"], where: value}}}

    assert list(Draft202012Validator(COMPOSE).iter_errors(wrong)) != []


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
