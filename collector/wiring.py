"""What is wrong with a Collector's configuration that `otelcol validate` accepts: one function per rule.

Every rule is a mistake after which the Collector refuses to start, silently sends the wrong records, or answers in a
way that makes senders throw data away. Reads the effective configuration; starts nothing.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from collector.configuration import Configuration
from collector.finding import Finding

__all__ = ["busy_addresses", "unset_variables", "wiring"]

_LOOPBACK = re.compile(r"^(localhost|127(\.\d+){3}|\[?::1\]?)$")
_VARIABLE = re.compile(r"(?<!\$)\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)\}")
_SEVERITY_AS_TEXT = re.compile(r"severity_number\s*(?:[<>]=?|[=!]=)\s*\"")

Document = Mapping[str, Any]
"""A configuration as `otelcol print-config` gives it."""


def wiring(document: Document) -> tuple[Finding, ...]:
    """What is wrong in this effective configuration."""
    return (
        *_extensions(document),
        *_limiters(document),
        *_unused(document),
        *_severities(document),
        *_tokens(document),
        *_listeners(document),
        *_queues(document),
        *_loops(document),
    )


def unset_variables(configuration: Configuration, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Settings without a default that are not set: the Collector takes them as empty and says nothing."""
    for path in configuration.files:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            for name in _VARIABLE.findall(line.split(" #")[0] if not line.lstrip().startswith("#") else ""):
                if not environ.get(name):
                    yield Finding.error(
                        "unset variable",
                        f"{path}:{number}",
                        f"{name} is not set and has no default: set it, or write ${{env:{name}:-default}}",
                    )


def busy_addresses(document: Document) -> Iterator[Finding]:
    """Addresses that another program listens on, with the setting that moves each."""
    servers = [
        (f"receivers.{name}.protocols.{protocol}", server, f"OTELCOL_{protocol.upper()}_ADDR")
        for name, protocol, server in _servers(document)
    ]
    for name, settings in _components(document, "extensions").items():
        if name.split("/")[0] == "health_check":
            servers.append((f"extensions.{name}", settings, "OTELCOL_HEALTH_ADDR"))
    for where, server, setting in servers:
        host, _, port = (server.get("endpoint") or "").rpartition(":")
        if port.isdecimal() and _is_busy(host.strip("[]"), int(port)):
            yield Finding.error(
                "busy address", where, f"{server['endpoint']} is in use by another program: end that, or set {setting}"
            )


def _is_busy(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As the Collector does it: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _components(document: Document, kind: str) -> Mapping[str, Any]:
    return {name: settings or {} for name, settings in (document.get(kind) or {}).items()}


def _references(settings: Any, key: str) -> Iterator[str]:
    """Every value of `key` at any depth."""
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            if name == key and isinstance(value, str) and value:
                yield value
            else:
                yield from _references(value, key)
    elif isinstance(settings, list):
        for item in settings:
            yield from _references(item, key)


def _extensions(document: Document) -> Iterator[Finding]:
    defined = _components(document, "extensions")
    enabled = document.get("service", {}).get("extensions") or []
    for kind in ("receivers", "exporters"):
        for name, settings in _components(document, kind).items():
            for key in ("storage", "authenticator"):
                for wanted in _references(settings, key):
                    where = f"{kind}.{name}"
                    if wanted not in defined:
                        yield Finding.error(key, where, f"names {wanted}, which is not defined under extensions")
                    elif wanted not in enabled:
                        yield Finding.error(key, where, f"names {wanted}, which service.extensions does not list")


def _pipelines(document: Document) -> Mapping[str, Any]:
    pipelines: Mapping[str, Any] = document.get("service", {}).get("pipelines") or {}
    return pipelines


def _limiters(document: Document) -> Iterator[Finding]:
    connectors = _components(document, "connectors")
    for name, pipeline in _pipelines(document).items():
        if all(receiver in connectors for receiver in pipeline["receivers"]):
            continue
        processors = pipeline.get("processors") or []
        if not processors or processors[0].split("/")[0] != "memory_limiter":
            yield Finding.error(
                "memory_limiter",
                f"service.pipelines.{name}",
                "memory_limiter must be the first processor: what stands before it works while memory runs out",
            )
        if any(processor.split("/")[0] == "batch" for processor in processors):
            yield Finding.warning(
                "batch",
                f"service.pipelines.{name}",
                "the batch processor loses acknowledged records on a kill: use sending_queue.batch of the exporter",
            )


def _unused(document: Document) -> Iterator[Finding]:
    pipelines = _pipelines(document).values()
    used = {
        kind: {name for line in pipelines for name in line.get(kind) or []}
        for kind in ("receivers", "processors", "exporters")
    }
    used["extensions"] = set(document.get("service", {}).get("extensions") or [])
    for kind, names in used.items():
        for name in _components(document, kind):
            if name not in names:
                yield Finding.warning("unused", f"{kind}.{name}", "is defined, but nothing uses it")


def _severities(document: Document) -> Iterator[Finding]:
    for kind in ("processors", "connectors"):
        for name, settings in _components(document, kind).items():
            for text in _texts(settings):
                if _SEVERITY_AS_TEXT.search(text):
                    yield Finding.error(
                        "severity",
                        f"{kind}.{name}",
                        f"compares the number with a text, which is never true; use SEVERITY_NUMBER_ERROR: {text}",
                    )


def _texts(settings: Any) -> Iterator[str]:
    if isinstance(settings, str):
        yield settings
    elif isinstance(settings, Mapping):
        for value in settings.values():
            yield from _texts(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from _texts(value)


def _tokens(document: Document) -> Iterator[Finding]:
    enabled = document.get("service", {}).get("extensions") or []
    for name, settings in _components(document, "extensions").items():
        if name.split("/")[0] != "bearertokenauth" or name not in enabled:
            continue
        file = settings.get("filename") or ""
        problem = (
            _token_problem(Path(file))
            if file
            else ""
            if settings.get("token") or settings.get("tokens")
            else "has no token"
        )
        if problem:
            yield Finding.error(
                "token", f"extensions.{name}", f"{problem}: the Collector would start and turn everything away"
            )


def _token_problem(file: Path) -> str:
    try:
        content = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return f"{file} cannot be read ({getattr(error, 'strerror', None) or error})"
    return "" if content.strip() else f"{file} is empty"


def _servers(document: Document) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Each receiver's servers: receiver, protocol, settings."""
    for name, settings in _components(document, "receivers").items():
        for protocol, server in (settings.get("protocols") or {}).items():
            yield name, protocol, server or {}


def _listeners(document: Document) -> Iterator[Finding]:
    for name, protocol, server in _servers(document):
        endpoint = server.get("endpoint") or ""
        if not _LOOPBACK.match(endpoint.rpartition(":")[0]) and not list(_references(server, "authenticator")):
            yield Finding.error(
                "open listener", f"receivers.{name}.protocols.{protocol}",
                f"listens on {endpoint} without a token: set OTELCOL_INGEST_TOKEN_FILE, or listen on 127.0.0.1",
            )  # fmt: skip


def _queues(document: Document) -> Iterator[Finding]:
    for name, settings in _components(document, "exporters").items():
        if name.split("/")[0] not in {"otlp_http", "otlp_grpc", "clickhouse"}:
            continue
        retry = settings.get("retry_on_failure") or {}
        if not retry.get("enabled", True) or retry.get("max_elapsed_time"):
            yield Finding.warning(
                "retry",
                f"exporters.{name}",
                "gives up during a longer outage: set retry_on_failure.max_elapsed_time: 0s",
            )
        if not (settings.get("sending_queue") or {}).get("storage"):
            yield Finding.warning(
                "queue",
                f"exporters.{name}",
                "keeps its queue in memory, which a restart loses: set sending_queue.storage",
            )


def _loops(document: Document) -> Iterator[Finding]:
    own = {(server.get("endpoint") or "").rpartition(":")[2] for _, _, server in _servers(document)}
    for name, settings in _components(document, "exporters").items():
        for key in ("endpoint", "logs_endpoint"):
            target = urlsplit(settings.get(key) or "")
            if target.hostname and _LOOPBACK.match(target.hostname) and str(target.port) in own:
                yield Finding.error(
                    "loop",
                    f"exporters.{name}",
                    f"sends to {target.netloc}, which is this Collector itself: correct BRIDGE_URL",
                )
