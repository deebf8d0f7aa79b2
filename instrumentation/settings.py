"""Settings of the pipeline side, from the environment. What is unset has a default; what is wrong is said once.

Ours travel as `PIPELINE_ALERTS_*`, never as `OTEL_*`: other libraries send those to their own servers (DESIGN §9).
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from instrumentation import attributes as names

__all__ = ["KNOWN", "PREFIX", "Settings", "resource_of", "state_home"]

DEFAULT_ENDPOINT: Final = "http://127.0.0.1:4318"
DEFAULT_PIPELINE: Final = "pipeline"
DEFAULT_LINGER_S: Final = 72 * 3600.0  # how long a background process goes on shipping what an outage held back
DEFAULT_JOURNAL_CAP_MB: Final = 2048  # of unshipped journals in one run's folder
DEFAULT_LOG_CAP_MB: Final = 1024  # of all structured logs together
MAX_RESOURCE_ATTRIBUTES: Final = 12  # exporters downstream hash the resource per record
# Names of all that is set: of the pipeline side, of the bridge, and from `run` to its children. A test compares.
PREFIX: Final = "PIPELINE_ALERTS_"
KNOWN: Final = frozenset(
    {"ENDPOINT", "INGEST_TOKEN", "JOURNAL_DIR", "JOURNAL_MB", "LEVEL", "LINGER_SECONDS", "LOG_MB", "PIPELINE", "REDACT"}
    | {"RUN_ID", "STAGES", "LISTEN", "POLICY", "PUBLIC_URL", "STATE", "TOKEN"}
    | {"JOURNAL_DIR_RUN", "POKE", "REDACT_PATH", "STACKS", "STAGE"}
)
_LOOPBACK: Final = ("localhost", "127.", "[::1]")
_PLAIN_ADDRESS: Final = re.compile(r"https?://[\w.-]+(?::(?:[1-5]?\d{1,4}|6[0-4]\d{3}))?/?")


@dataclass(frozen=True, slots=True)
class Settings:
    """How one run talks to the outside. ``token`` is a secret and stays out of ``repr``."""

    endpoint: str = DEFAULT_ENDPOINT
    token: str = field(default="", repr=False)
    pipeline: str = DEFAULT_PIPELINE
    run_id: str = ""
    journal_home: Path = Path()  # a folder per run in it
    log_home: Path = Path()  # the structured logs
    linger_seconds: float = DEFAULT_LINGER_S
    journal_cap_bytes: int = DEFAULT_JOURNAL_CAP_MB << 20
    log_cap_bytes: int = DEFAULT_LOG_CAP_MB << 20
    disabled: bool = False
    redact: str = ""  # `module:function` of the user's own redaction
    problems: tuple[str, ...] = ()  # settings that could not be read, in words, without their values

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], pipeline: str = "") -> Settings:
        """Reads them; never raises, because a wrong setting must not stop a pipeline."""
        problems: list[str] = []
        endpoint = (
            _text(environ, "PIPELINE_ALERTS_ENDPOINT")
            or _text(environ, "OTEL_EXPORTER_OTLP_ENDPOINT")
            or DEFAULT_ENDPOINT
        )
        if not _is_address(endpoint):
            problems.append("the endpoint is not an http:// or https:// address: using " + DEFAULT_ENDPOINT)
            endpoint = DEFAULT_ENDPOINT
        problems += [f"{name} is no setting of ours{_meant(name)}" for name in sorted(environ) if _is_unknown(name)]
        state = state_home(environ)
        journals = _text(environ, "PIPELINE_ALERTS_JOURNAL_DIR")
        return cls(
            endpoint=endpoint.rstrip("/"),
            token=_secret(environ, "PIPELINE_ALERTS_INGEST_TOKEN", problems),
            pipeline=pipeline or _text(environ, "PIPELINE_ALERTS_PIPELINE") or _text(environ, "OTEL_SERVICE_NAME"),
            run_id=_text(environ, "PIPELINE_ALERTS_RUN_ID"),
            journal_home=_absolute(Path(journals) if journals else state / "journals"),
            log_home=_absolute(state / "logs"),
            linger_seconds=_number(environ, "PIPELINE_ALERTS_LINGER_SECONDS", DEFAULT_LINGER_S, problems),
            journal_cap_bytes=int(_number(environ, "PIPELINE_ALERTS_JOURNAL_MB", DEFAULT_JOURNAL_CAP_MB, problems))
            << 20,
            log_cap_bytes=int(_number(environ, "PIPELINE_ALERTS_LOG_MB", DEFAULT_LOG_CAP_MB, problems)) << 20,
            disabled=_text(environ, "OTEL_SDK_DISABLED").lower() == "true",
            redact=_text(environ, "PIPELINE_ALERTS_REDACT"),
            problems=tuple(problems),
        )

    @property
    def receiver(self) -> str:
        """The endpoint without a password, to tell whether two are the same."""
        scheme, _, rest = self.endpoint.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    @property
    def is_loopback(self) -> bool:
        """Whether the endpoint is this machine, where compressing costs more than it saves."""
        return self.endpoint.partition("://")[2].startswith(_LOOPBACK)


def state_home(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME/pipeline-alerts`; under the temporary folder for a user without a home."""
    base = _text(environ, "XDG_STATE_HOME")
    if base:
        return Path(base) / "pipeline-alerts"
    try:
        return Path.home() / ".local" / "state" / "pipeline-alerts"
    except RuntimeError:
        return Path(os.environ.get("TMPDIR", "/tmp")) / f"pipeline-alerts-{os.getuid()}"  # noqa: S108 - made 0700 on use


def resource_of(environ: Mapping[str, str], *, pipeline: str, run_id: str, revision: str) -> dict[str, str]:
    """Who speaks: what the user said in `OTEL_RESOURCE_ATTRIBUTES`, and ours; at most ten, the process adds two."""
    ours = {
        names.SERVICE_NAME: _text(environ, "OTEL_SERVICE_NAME") or pipeline,
        names.PIPELINE_NAME: pipeline,
        names.RUN_ID: run_id,
        names.HOST_NAME: socket.gethostname(),
    }
    if revision:
        ours[names.VCS_REVISION] = revision
    given = _text(environ, "OTEL_RESOURCE_ATTRIBUTES")
    if not given:
        return ours
    from urllib.parse import unquote

    for pair in given.split(","):
        name, equals, value = pair.partition("=")
        if equals and (
            name.strip() not in ours or (name.strip() == names.SERVICE_NAME and "OTEL_SERVICE_NAME" not in environ)
        ):
            if len(ours) >= MAX_RESOURCE_ATTRIBUTES - 2 and name.strip() not in ours:
                break
            ours[name.strip()] = unquote(value.strip())
    return ours


def _is_address(endpoint: str) -> bool:
    if _PLAIN_ADDRESS.fullmatch(endpoint):
        return True
    from urllib.parse import urlsplit  # only who has another one waits for it

    try:
        parts = urlsplit(endpoint)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_unknown(name: str) -> bool:
    return name.startswith(PREFIX) and name.removeprefix(PREFIX).removesuffix("_FILE") not in KNOWN


def _meant(name: str) -> str:
    import difflib  # only who misspelt waits for it

    close = difflib.get_close_matches(name.removeprefix(PREFIX), KNOWN, n=1)
    return f": {PREFIX}{close[0]} is" if close else ""


def _absolute(path: Path) -> Path:
    """The same wherever the program goes, and for what ships when it has ended."""
    try:
        return Path(os.path.abspath(path))  # noqa: PTH100 - without its `..`: what is left out may be removed
    except OSError:  # the working folder was removed
        return path


def _text(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()


def _number(environ: Mapping[str, str], name: str, default: float, problems: list[str]) -> float:
    given = _text(environ, name)
    try:
        value = float(given) if given else default
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        problems.append(f"{name} is not a number of 0 or more: using {default:g}")
        return default
    return value


def _secret(environ: Mapping[str, str], name: str, problems: list[str]) -> str:
    direct, file = _text(environ, name), _text(environ, f"{name}_FILE")
    if direct or not file:
        return direct
    try:
        content = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        problems.append(f"{name}_FILE names a file that cannot be read")
        return ""
    if not content:
        problems.append(f"{name}_FILE names an empty file")
    return content
