"""Forms of the pages: take an incident, give it to somebody, say it is over, silence it. Others carry it out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import quote, urlsplit

import anyio
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alert_bridge.errors import PipelineAlertsError, UsageError
from alert_bridge.model import Severity
from alert_bridge.silences import in_words, new_silence
from alert_bridge.store.interface import Wishes
from alert_bridge.web.site import NotFound, Site

__all__ = ["ACTS", "Act", "is_same_origin", "posted", "show_silences"]

MAX_FIELDS: Final = 12
MAX_FIELD_CHARS: Final = 500
LISTED_AFTER_END_NS: Final = 7 * 86_400 * 1_000_000_000
HOURS: Final = ("1", "4", "12", "24", "72", "168")
_HOUR_NS: Final = 3_600 * 1_000_000_000

Fields = Mapping[str, str]
Act = Callable[[Site, Wishes, str, Fields], str]  # the id in the address and the form; answers where to go then


def is_same_origin(request: Request) -> bool:
    """Whether a form of ours sent it. Browsers say so; what says nothing at all is not let through."""
    said = request.headers.get("sec-fetch-site", "")
    if said:
        return said == "same-origin"
    origin = request.headers.get("origin", "")
    return bool(origin) and urlsplit(origin).netloc == request.headers.get("host", "")


def posted(site: Site, act: Act) -> Callable[[Request], Awaitable[Response]]:
    """The act as an endpoint for a form: same origin only, its troubles answered by pages, then back to a page."""

    async def answer(request: Request) -> Response:
        if not is_same_origin(request):
            return site.problem(
                request, 403, "This form did not come from these pages", "Open the page here and use its own form."
            )
        async with request.form(max_files=0, max_fields=MAX_FIELDS) as form:
            fields = {name: text[:MAX_FIELD_CHARS] for name, text in form.items() if isinstance(text, str)}
        subject = request.path_params.get("subject", "")
        return await anyio.to_thread.run_sync(_do, site, request, act, subject, fields, limiter=site.limiter)

    return answer


def _do(site: Site, request: Request, act: Act, subject: str, fields: Fields) -> Response:
    if site.wishes is None:
        return site.problem(request, 404, "These pages only show", "Use the commands of pipeline-alerts.")
    try:
        return RedirectResponse(act(site, site.wishes, subject, fields), 303)
    except NotFound as missing:
        return site.problem(request, 404, str(missing), missing.advice)
    except UsageError as wrong:
        return site.problem(request, 400, "This could not be done", f"{str(wrong)[:1].upper()}{str(wrong)[1:]}.")
    except PipelineAlertsError:
        return site.problem(request, 503, "The store cannot take it at the moment", "Nothing was written. Try again.")


def _act_on_incident(kind: str) -> Act:
    def act(site: Site, wishes: Wishes, subject: str, fields: Fields) -> str:
        if site.control.incident(subject) is None:
            raise NotFound("There is no such incident", "The list of incidents shows what is known here.")
        author, value = _name(fields, "by"), fields.get("to", "").strip()
        if kind == "assign" and not value:
            raise UsageError("say to whom it is given")
        wishes.order(kind, subject, author=author, value=value, now=site.now)
        return f"/incidents/{quote(subject, safe='')}"

    return act


def _silence_incident(site: Site, wishes: Wishes, subject: str, fields: Fields) -> str:
    incident = site.control.incident(subject)
    if incident is None:
        raise NotFound("There is no such incident", "The list of incidents shows what is known here.")
    critical = bool(fields.get("critical"))
    if incident.severity >= Severity.CRITICAL and not critical:
        raise UsageError("it is CRITICAL, which comes through a silence: tick the box if you mean it")
    silence = new_silence(
        (),
        subject,
        ends_at=site.now + _hours(fields) * _HOUR_NS,
        author=_name(fields, "by"),
        reason=fields.get("reason", ""),
        critical=critical,
        now=site.now,
    )
    wishes.silence(silence)
    return f"/incidents/{quote(subject, safe='')}"


def _silence_matching(site: Site, wishes: Wishes, _subject: str, fields: Fields) -> str:
    conditions = tuple(
        (key.strip(), pattern.strip())
        for line in fields.get("conditions", "").splitlines()
        if line.strip()
        for key, _, pattern in [line.partition("=")]
    )
    if any(not key or not pattern for key, pattern in conditions):
        raise UsageError("write one condition a line: pipeline=monthly_run")
    wishes.silence(
        new_silence(
            conditions,
            ends_at=site.now + _hours(fields) * _HOUR_NS,
            author=_name(fields, "by"),
            reason=fields.get("reason", ""),
            critical=bool(fields.get("critical")),
            now=site.now,
        )
    )
    return "/silences"


def _end_silence(site: Site, wishes: Wishes, subject: str, fields: Fields) -> str:
    wishes.end_silence(subject, author=_name(fields, "by"), now=site.now)  # one that is over already is over, too
    return "/silences"


def show_silences(site: Site, request: Request) -> Response:
    """Silences in force and those that ended lately, with a form for a new one."""
    since = site.now - LISTED_AFTER_END_NS
    silences = site.wishes.silences(ended_since=since) if site.wishes is not None else ()
    return site.page(
        request,
        "silences.html",
        in_force=[(each, in_words(each)) for each in silences if each.is_in_force(site.now)],
        ended=[(each, in_words(each)) for each in silences if not each.is_in_force(site.now)],
        hours=HOURS,
        can_act=site.wishes is not None,
    )


def _name(fields: Fields, key: str) -> str:
    name = fields.get(key, "").strip()
    if not name:
        raise UsageError("say who you are: others will ask")
    return name


def _hours(fields: Fields) -> int:
    hours = fields.get("hours", "")
    if hours not in HOURS:
        raise UsageError("say for how long")
    return int(hours)


ACTS: Final[tuple[tuple[str, Act], ...]] = (
    ("/incidents/{subject:path}/acknowledge", _act_on_incident("acknowledge")),
    ("/incidents/{subject:path}/assign", _act_on_incident("assign")),
    ("/incidents/{subject:path}/resolve", _act_on_incident("resolve")),
    ("/incidents/{subject:path}/silence", _silence_incident),
    ("/silences", _silence_matching),
    ("/silences/{subject}/end", _end_silence),
)
