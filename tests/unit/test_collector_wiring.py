"""Each mistake that `otelcol validate` accepts, one broken configuration per rule."""

from __future__ import annotations

import copy
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from collector.configuration import OVERLAYS, Configuration, completed, resolve
from collector.errors import CollectorError
from collector.finding import Level
from collector.wiring import busy_addresses, unset_variables, wiring

SOUND: Mapping[str, Any] = {
    "extensions": {"file_storage/alerts": {}, "health_check": {"endpoint": "127.0.0.1:13133"}},
    "receivers": {"otlp": {"protocols": {"http": {"endpoint": "127.0.0.1:4318"}, "grpc": {"endpoint": "[::1]:4317"}}}},
    "processors": {
        "memory_limiter": {},
        "filter/alerts": {"log_conditions": [{"conditions": ["log.severity_number < SEVERITY_NUMBER_ERROR"]}]},
    },
    "connectors": {"forward/alerts": None},
    "exporters": {
        "otlp_http/alerts": {
            "logs_endpoint": "http://127.0.0.1:4319/alerts/v1/logs",
            "retry_on_failure": {"enabled": True, "max_elapsed_time": 0},
            "sending_queue": {"storage": "file_storage/alerts"},
        }
    },
    "service": {
        "extensions": ["file_storage/alerts", "health_check"],
        "pipelines": {
            "logs": {"receivers": ["otlp"], "processors": ["memory_limiter"], "exporters": ["forward/alerts"]},
            "logs/alerts": {
                "receivers": ["forward/alerts"],
                "processors": ["filter/alerts"],
                "exporters": ["otlp_http/alerts"],
            },
        },
    },
}


@pytest.fixture
def document() -> dict[str, Any]:
    return copy.deepcopy(dict(SOUND))


def found(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(finding.rule, finding.where) for finding in wiring(document)]


def test_a_sound_configuration_has_no_findings(document):
    assert found(document) == []


def test_a_storage_that_is_not_defined_is_named(document):
    del document["extensions"]["file_storage/alerts"]

    [finding] = wiring(document)

    assert (
        str(finding) == "exporters.otlp_http/alerts: names file_storage/alerts, which is not defined under extensions"
    )


def test_a_storage_that_is_not_enabled_is_named(document):
    document["service"]["extensions"].remove("file_storage/alerts")

    assert ("storage", "exporters.otlp_http/alerts") in found(document)


def test_an_authenticator_that_is_not_defined_is_named(document):
    document["receivers"]["otlp"]["protocols"]["http"]["auth"] = {"authenticator": "bearertokenauth/ingest"}

    assert found(document) == [("authenticator", "receivers.otlp")]


@pytest.mark.parametrize("processors", [[], ["filter/alerts", "memory_limiter"]])
def test_a_pipeline_that_does_not_begin_with_the_memory_limiter_is_named(document, processors):
    document["service"]["pipelines"]["logs"]["processors"] = processors

    assert ("memory_limiter", "service.pipelines.logs") in found(document)


def test_the_batch_processor_is_warned_of(document):
    document["processors"]["batch"] = {}
    document["service"]["pipelines"]["logs"]["processors"].append("batch")

    assert found(document) == [("batch", "service.pipelines.logs")]


@pytest.mark.parametrize("kind", ["receivers", "processors", "exporters", "extensions"])
def test_what_nothing_uses_is_warned_of(document, kind):
    document[kind]["debug"] = {}

    [finding] = wiring(document)

    assert (finding.level, finding.where) == (Level.WARNING, f"{kind}.debug")


@pytest.mark.parametrize(
    "condition", ['log.severity_number < "ERROR"', 'severity_number >="ERROR"', 'log.severity_number == "17"']
)
def test_a_severity_number_compared_with_a_text_is_an_error(document, condition):
    document["processors"]["filter/alerts"]["log_conditions"] = [{"conditions": [condition]}]

    assert found(document) == [("severity", "processors.filter/alerts")]


@pytest.mark.parametrize(("content", "words"), [(None, "cannot be read"), ("", "is empty"), (" \n", "is empty")])
def test_a_token_file_that_is_missing_or_empty_is_an_error(document, tmp_path: Path, content, words):
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    document["extensions"]["bearertokenauth/ingest"] = {"filename": str(file)}
    document["service"]["extensions"].append("bearertokenauth/ingest")

    [finding] = wiring(document)

    assert (finding.rule, finding.level) == ("token", Level.ERROR)
    assert words in finding.message
    assert str(file) in finding.message


def test_a_token_file_with_a_line_end_is_fine(document, tmp_path: Path):
    file = tmp_path / "token"
    file.write_text("secret\n")
    document["extensions"]["bearertokenauth/ingest"] = {"filename": str(file)}
    document["service"]["extensions"].append("bearertokenauth/ingest")

    assert found(document) == []


@pytest.mark.parametrize(
    "endpoint", ["0.0.0.0:4318", ":4318", "[::]:4318", "collector.example.org:4318", "10.0.0.7:4318"]
)
def test_listening_beyond_loopback_without_a_token_is_an_error(document, endpoint):
    document["receivers"]["otlp"]["protocols"]["http"]["endpoint"] = endpoint

    [finding] = wiring(document)

    assert str(finding) == (
        f"receivers.otlp.protocols.http: listens on {endpoint} without a token: "
        "set OTELCOL_INGEST_TOKEN_FILE, or listen on 127.0.0.1"
    )


@pytest.mark.parametrize("endpoint", ["localhost:4318", "127.0.0.1:4318", "127.1.2.3:4318", "[::1]:4318"])
def test_listening_on_loopback_needs_no_token(document, endpoint):
    document["receivers"]["otlp"]["protocols"]["http"]["endpoint"] = endpoint

    assert found(document) == []


def test_an_exporter_that_gives_up_or_forgets_is_warned_of(document):
    exporter = document["exporters"]["otlp_http/alerts"]
    exporter["retry_on_failure"]["max_elapsed_time"] = 300_000_000_000
    exporter["sending_queue"] = {}

    assert found(document) == [("retry", "exporters.otlp_http/alerts"), ("queue", "exporters.otlp_http/alerts")]


def test_a_bridge_address_that_is_the_collector_itself_is_an_error(document):
    document["exporters"]["otlp_http/alerts"]["logs_endpoint"] = "http://localhost:4318/alerts/v1/logs"

    assert found(document) == [("loop", "exporters.otlp_http/alerts")]


def test_an_address_in_use_names_the_address_and_the_setting(document):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        endpoint = f"127.0.0.1:{other.getsockname()[1]}"
        document["receivers"]["otlp"]["protocols"] = {"http": {"endpoint": endpoint}}
        document["extensions"]["health_check"]["endpoint"] = "127.0.0.1:0"

        [finding] = busy_addresses(document)

    assert str(finding) == (
        f"receivers.otlp.protocols.http: {endpoint} is in use by another program: end that, or set OTELCOL_HTTP_ADDR"
    )


def test_a_setting_without_default_that_is_unset_is_named_with_its_line(tmp_path: Path):
    file = tmp_path / "collector.yaml"
    file.write_text(
        "# ${env:IN_A_COMMENT}\n"
        "a: ${env:WITH_DEFAULT:-x}\n"
        "b: $${env:ESCAPED}\n"
        "c: http://${env:UNSET}/ # ${env:BEHIND}\n"
        "d: ${env:SET} ${SHORT}\n"
    )

    findings = list(unset_variables(Configuration((file,)), {"SET": "1"}))

    assert [(finding.where, finding.message.split()[0]) for finding in findings] == [
        (f"{file}:4", "UNSET"),
        (f"{file}:5", "SHORT"),
    ]


def test_the_configuration_is_the_named_one_else_the_folders_else_the_packaged_one(tmp_path: Path):
    named, here = tmp_path / "named.yaml", tmp_path / "otel-collector.yaml"
    named.touch()

    packaged = resolve({}, None, (), tmp_path).files
    here.touch()

    assert resolve({}, None, (), tmp_path).files == (here,)
    assert resolve({}, named, (), tmp_path).files == (named,)
    assert packaged[0].name == "otel-collector.yaml"
    assert packaged[0].parent != tmp_path


@pytest.mark.parametrize(
    ("settings", "overlay"),
    [
        ({"OTELCOL_INGEST_TOKEN_FILE": "a", "BRIDGE_TOKEN_FILE": "b"}, "auth.yaml"),
        ({"OTELCOL_INGEST_TOKEN_FILE": "a"}, "auth_ingest.yaml"),
        ({"BRIDGE_TOKEN_FILE": "b"}, "auth_bridge.yaml"),
    ],
)
def test_token_settings_add_their_overlay_before_those_that_were_asked_for(settings, overlay):
    names = [path.name for path in resolve(settings, None, ("gateway",)).files]

    assert names == ["otel-collector.yaml", overlay, "gateway.yaml"]


def test_an_unknown_overlay_is_refused_with_the_names_that_exist():
    with pytest.raises(CollectorError, match=r"no overlay clickhose: use one of auth, .*clickhouse"):
        resolve({}, None, ("clickhose",))


def test_a_plain_user_gets_a_state_folder_of_their_own_and_paths_join_cleanly():
    filled = completed({"XDG_STATE_HOME": "/state", "BRIDGE_URL": "http://bridge:4319/"})

    assert filled["OTELCOL_STATE_DIR"] == "/state/pipeline-alerts/collector"
    assert filled["BRIDGE_URL"] == "http://bridge:4319"


def test_what_a_pipeline_in_the_same_shell_sets_does_not_reach_the_collector():
    filled = completed({"OTEL_EXPORTER_OTLP_HEADERS": "authorization=secret", "OTELCOL_HTTP_ADDR": "127.0.0.1:1"})

    assert "OTEL_EXPORTER_OTLP_HEADERS" not in filled
    assert filled["OTELCOL_HTTP_ADDR"] == "127.0.0.1:1"


def test_every_overlay_can_be_asked_for_by_name():
    files = (Path(__file__).parents[2] / "collector" / "overlays").glob("*.yaml")

    assert sorted(file.stem for file in files) == list(OVERLAYS)
