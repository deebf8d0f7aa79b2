"""What all pages share: the stores, the templates, and how an answer or a trouble becomes a page."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import anyio
import jinja2
from starlette.requests import Request
from starlette.responses import Response

from alert_bridge.errors import PipelineAlertsError
from alert_bridge.store.interface import ControlReader, TelemetryReader, Wishes
from alert_bridge.web import wording
from alert_bridge.web.loglines import log_rows
from alert_bridge.web.settings import WebSettings

__all__ = ["HERE", "NotFound", "Page", "Site", "endpoint"]

HERE: Final = Path(__file__).parent
PAGE_THREADS: Final = 2  # pages share the process with the alert lane: they may queue, alerts may not
RETRY_AFTER_SECONDS: Final = 5

_log = logging.getLogger(__name__)


class NotFound(Exception):
    """There is no such thing. The text says what was asked for, ``advice`` where to look instead."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.advice = advice


def _path_part(text: str) -> str:
    return quote(text, safe="")


def _environment(settings: WebSettings) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        auto_reload=False,
    )
    environment.filters.update(
        ago=wording.ago,
        bytes=wording.bytes_in_words,
        clock=wording.clock_time,
        day_and_time=wording.day_and_time,
        duration=wording.duration,
        first_line=wording.first_line,
        iso=wording.iso,
        log_rows=log_rows,
        number=wording.number,
        part=_path_part,
        shape=wording.severity_shape,
        visible=wording.visible,
    )
    environment.tests["web_link"] = wording.is_web_link
    environment.globals.update(settings=settings, static=_static_addresses(), delivery_state=wording.delivery_state)
    return environment


def _static_addresses() -> dict[str, str]:
    """File name to an address that changes with its content, so that browsers may keep it for ever."""
    return {
        file.name: f"/static/{file.name}?v={hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
        for file in (HERE / "static").iterdir()
        if file.is_file()
    }


@dataclass(frozen=True)
class Site:
    """The pages' surroundings."""

    control: ControlReader
    telemetry: TelemetryReader
    settings: WebSettings
    wishes: Wishes | None = None  # None: the pages only show
    _templates: jinja2.Environment = field(init=False, repr=False)
    limiter: anyio.CapacityLimiter = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_templates", _environment(self.settings))
        object.__setattr__(self, "limiter", anyio.CapacityLimiter(PAGE_THREADS))

    @property
    def now(self) -> int:
        return self.settings.clock()

    def page(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        """The template as an HTML answer. Lone surrogates, which no encoding takes, become question marks."""
        html = self._templates.get_template(template).render(path=request.url.path, now=self.now, **values)
        return Response(html.encode("utf-8", "replace"), status, media_type="text/html")

    def problem(self, request: Request, status: int, what: str, advice: str) -> Response:
        """A page that says what is wrong and what to do."""
        answer = self.page(request, "problem.html", status=status, what=what, advice=advice, code=status)
        if status == 503:  # noqa: PLR2004  # Service Unavailable
            answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return answer


Page = Callable[[Site, Request], Response]


def endpoint(site: Site, page: Page) -> Callable[[Request], Awaitable[Response]]:
    """The page as an endpoint: run in one of few threads, its troubles answered by pages."""

    def answer(request: Request) -> Response:
        try:
            return page(site, request)
        except NotFound as missing:
            return site.problem(request, 404, str(missing), missing.advice)
        except (PipelineAlertsError, sqlite3.Error, OSError) as error:
            _log.warning("A page could not be read from the store: %s", error)
            return site.problem(
                request,
                503,
                "The store cannot be read at the moment",
                "Nothing is lost by this: alerts are taken and sent apart from the pages. Try again in a few seconds; "
                "if it stays, `pipeline-alerts status` on the bridge's machine says what is wrong.",
            )

    async def run(request: Request) -> Response:
        return await anyio.to_thread.run_sync(answer, request, limiter=site.limiter)

    return run
