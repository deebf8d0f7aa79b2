"""The demo pipeline broken in each of its ways, the whole way to Slack and mail: who was told of what, and of no more.

    python -m tests.acceptance.scenarios [--messages DIR] [NAME …]

runs them two at a time and prints the table; ``--messages`` also writes down every message as its reader sees it.
`test_scenarios.py` asserts every row. Each scenario has a Collector, a bridge, a Slack and a mail server of its own;
the policy is the demo's.
"""

from __future__ import annotations

import argparse
import fnmatch
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alert_bridge.model import Incident
from alert_bridge.policy.load import load
from alert_bridge.policy.model import Policy
from alert_bridge.routing import on_duty
from alert_bridge.store.control import SqliteControlReader
from tests.servers.bridge import wait_for
from tests.servers.smtp import Mail
from tests.servers.whole_way import WholeWay

__all__ = ["SCENARIOS", "Expected", "Scenario", "Seen", "Told", "play"]

EXAMPLE = Path(__file__).parents[2] / "examples" / "monthly_run"
RUN_WITHIN_S = 400.0
TOLD_WITHIN_S = 180.0
WATCHED = ("--silent-after", "6s", "--timeout", "25s")  # the run that hangs; a busy machine makes others silent, too
SOON_S = 20.0  # what is planned within this time is waited for
RUNS_AT_ONCE = 2
DIGEST_CHANNELS = 2  # Slack and email
NS = 1_000_000_000

_DIGEST = re.compile(r"(?:FINISHED|STOPPED|FAILED) · monthly_run (?:ended|was stopped|ran out of time|failed)")


@dataclass(frozen=True, slots=True)
class Expected:
    """One incident: what its title says (a glob), who hears of it, and how many records it counts (0: not fixed)."""

    severity: str
    title: str
    audiences: frozenset[str]
    count: int = 0
    says: tuple[str, ...] = ()  # what its mail or, without one, its Slack message must say
    folded: tuple[str, ...] = ()  # titles (globs) of what is told as part of it, in any order


@dataclass(frozen=True, slots=True)
class Scenario:
    """What one failure must lead to. ``digest`` are words of the digest at the end of the run."""

    incidents: tuple[Expected, ...] = ()
    digest: tuple[str, ...] = ()
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """One incident as it was told: audiences by channel, and the words of its messages."""

    incident: Incident
    slack: tuple[str, ...]  # an audience per post, sorted
    email: tuple[str, ...]
    words: str
    folded: tuple[str, ...]

    @property
    def audiences(self) -> frozenset[str]:
        return frozenset((*self.slack, *self.email))


@dataclass(frozen=True, slots=True)
class Seen:
    """What one run led to."""

    exit_code: int
    told: tuple[Told, ...]
    digests: tuple[str, ...]  # an audience per message
    digest_words: str
    strays: tuple[str, ...]  # messages about nothing that we know
    seconds: float = 0.0
    output: str = field(default="", repr=False)
    messages: tuple[str, ...] = field(default=(), repr=False)  # all of them, as their readers see them


def told_to(*audiences: str) -> frozenset[str]:
    return frozenset(audiences)


MDD, INFRA, OUTREACH, MONTHLY = "mdd", "infrastructure", "outreach", "monthly_run"

SCENARIOS: dict[str, Scenario] = {
    "zero_month": Scenario(
        (
            Expected(
                "CRITICAL",
                "Target is all zero in the newest month*",
                told_to(MONTHLY, INFRA, MDD, OUTREACH),
                count=6,
                says=("brown_heron", "dry_river", "open_steppe", "quiet_delta", "steady_oak", "tall_reed"),
            ),
        ),
        digest=("6 models, 6 with errors",),
    ),
    "fetch_hang": Scenario(
        (Expected("ERROR", "monthly_run has been silent for more than 6*", told_to(MONTHLY, INFRA)),), exit_code=124
    ),
    "fetch_error": Scenario(
        (Expected("ERROR", "*Connection refused*", told_to(INFRA, MONTHLY), says=("Connection refused",)),),
        exit_code=1,
    ),
    "diverge": Scenario((Expected("ERROR", "Training diverged: *", told_to(MDD), count=1),)),
    "early_stop": Scenario(digest=("records lowered or dropped by a rule: 1",)),
    "oom": Scenario(
        (Expected("CRITICAL", "dry_river was killed (SIGKILL)*", told_to(INFRA, MONTHLY),
                  says=("137", "SIGKILL", " MiB", "Its last log records")),), exit_code=1
    ),
    "config_typo": Scenario((Expected("ERROR", "Unknown loss function*", told_to(MDD), count=1),)),
    "stale_model": Scenario(
        (Expected("ERROR", "Gate of rough_meadow refuses model tall_reed: trained in month 521, this is month 559",
                  told_to(MDD, MONTHLY), count=1),)
    ),
    "odd_map": Scenario(
        (Expected("ERROR", "Implausible change by reconciliation in c07: * before, * after", told_to(MDD, OUTREACH),
                  count=1),)
    ),
    "reconcile_missing": Scenario(
        (Expected("CRITICAL", "Reconciliation input is missing*", told_to(MDD, OUTREACH, MONTHLY)),), exit_code=1
    ),
    "upload_denied": Scenario(
        (
            Expected("ERROR", "Upload of report.json refused: HTTP 403 *", told_to(INFRA, OUTREACH), count=1),
            Expected("ERROR", "Not by the deadline: no record “Forecasts uploaded*", told_to(INFRA, OUTREACH), count=1),
        )
    ),
    "wandb_down": Scenario(digest=("Experiment tracking is unreachable",)),
    "flood": Scenario((Expected("ERROR", "Cannot read tile *: checksum mismatch", told_to(MDD), count=10_000),)),
    "none": Scenario(),
}  # fmt: skip


def play(name: str, folder: Path) -> Seen:
    """Break the monthly run in one way; returns when nothing more is on its way."""
    started = time.monotonic()
    with WholeWay(folder, policy=(EXAMPLE / "alerting.yaml").read_text(encoding="utf-8")) as way:
        ended = _run(way, name)
        with closing(way.bridge.reader()) as control:
            wait_for(lambda: _digested(way), TOLD_WITHIN_S, lambda: f"{name}: no digest\n{ended.stdout[-2000:]}")
            counts = [one.count for one in SCENARIOS[name].incidents if one.count]
            wait_for(lambda: _settled(control, counts), TOLD_WITHIN_S, lambda: f"{name} does not settle")
            seen = _seen(way, control, load(EXAMPLE / "alerting.yaml"))
            messages = (*map(_slack_as_read, way.slack.messages), *map(_mail_as_read, way.smtp.mails))
    seconds = time.monotonic() - started
    return Seen(ended.returncode, *seen, seconds=seconds, output=ended.stdout, messages=messages)


def _run(way: WholeWay, name: str) -> subprocess.CompletedProcess[str]:
    limits = WATCHED if name == "fetch_hang" else ()
    program = (sys.executable, str(EXAMPLE / "main.py"), "--fail", name, "--out", str(way.folder / "output"))
    under = ("run", "--pipeline", "monthly_run", *limits, "--", *program)
    return subprocess.run(
        [sys.executable, "-m", "alert_bridge.cli", *under],
        env={**way.environ, "PYTHON": sys.executable, "PIPELINE_ALERTS_RUN_ID": f"{name}-559"},
        cwd=way.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=RUN_WITHIN_S, check=False,
    )  # fmt: skip


def _slack_as_read(message: dict[str, Any]) -> str:
    """One Slack message as it stands now: what a phone shows, then its blocks."""
    parts = [part for block in message["blocks"] for part in (block.get("text"), *block.get("elements", ())) if part]
    return "\n".join((f"SLACK {message['channel']}", f"phone: {message['text']}", *(part["text"] for part in parts)))


def _mail_as_read(mail: Mail) -> str:
    head = f"MAIL to {', '.join(mail.recipients)}\nsubject: {mail.message['Subject']}"
    return f"{head}\n{mail.part('plain')}\n--- html\n{mail.part('html')}"


def _digested(way: WholeWay) -> bool:
    """By both channels: it is the last thing that a run leads to."""
    return any(map(_is_digest, way.slack.messages)) and any(_is_digest(mail.part("plain")) for mail in way.smtp.mails)


def _is_digest(message: object) -> bool:
    return bool(_DIGEST.search(str(message)))


def _settled(control: SqliteControlReader, counts: list[int]) -> bool:
    """Every count is reached, and nobody is to be told anything soon."""
    incidents = control.incidents(open_only=False)
    if not set(counts) <= {incident.count for incident in incidents}:
        return False
    soon = time.time_ns() + int(SOON_S * NS)
    planned = [one.next_due_at for incident in incidents for one in control.deliveries(incident.id)]
    return not any(0 < due < soon for due in planned)


def _seen(
    way: WholeWay, control: SqliteControlReader, policy: Policy
) -> tuple[tuple[Told, ...], tuple[str, ...], str, tuple[str, ...]]:
    addresses = _addresses(policy)
    slack, mails = way.slack.messages, list(way.smtp.mails)
    told, known = [], set()
    for incident in control.incidents(open_only=False):
        if incident.root_id:
            continue
        posts = [one for one in slack if incident.id in str(one) and not _is_digest(one)]
        letters = [one for one in mails if incident.id in one.part("plain") and not _is_digest(one.part("plain"))]
        known |= {id(one) for one in (*posts, *letters)}
        told.append(
            Told(
                incident,
                tuple(sorted(addresses[message["channel"]] for message in posts)),
                tuple(sorted(addresses[to] for mail in letters for to in mail.recipients)),
                "\n".join((*(mail.part("plain") for mail in letters), *map(str, posts))),
                tuple(sorted(one.title for one in control.folded(incident.id))),
            )
        )
    rest = [message for message in slack if id(message) not in known]
    digests = [addresses[message["channel"]] for message in rest if _is_digest(message)]
    letters = [mail for mail in mails if id(mail) not in known]
    digests += [addresses[to] for mail in letters if _is_digest(mail.part("plain")) for to in mail.recipients]
    words = "\n".join((*(str(one) for one in rest if _is_digest(one)), *(mail.part("plain") for mail in letters)))
    strays = [str(one)[:300] for one in rest if not _is_digest(one)]
    strays += [mail.part("plain")[:300] for mail in letters if not _is_digest(mail.part("plain"))]
    return tuple(sorted(told, key=lambda one: one.incident.opened_at)), tuple(sorted(digests)), words, tuple(strays)


def _addresses(policy: Policy) -> dict[str, str]:
    """Audience by what a message is addressed to; Slack's edits name a channel by the id that the post was answered."""
    found: dict[str, str] = {}
    for key in policy.audiences:
        contact = on_duty(key, policy, time.time_ns())
        slack = contact.slack.lstrip("#@")
        forms = (contact.slack, slack, f"C0{slack.upper().replace('-', '')}", f"D0{slack[1:]}")
        found |= dict.fromkeys((*forms, *contact.email), key)
    return found


def verdict(name: str, seen: Seen) -> list[str]:
    """What is not as it must be, in words; empty if all is."""
    wanted = SCENARIOS[name]
    wrong = [f"exit code {seen.exit_code} instead of {wanted.exit_code}"] if seen.exit_code != wanted.exit_code else []
    wrong += [f"a message about nothing known: {text}" for text in seen.strays]
    left = list(seen.told)
    for expected in wanted.incidents:
        fits = [one for one in left if _fits(expected, one)]
        if not fits:
            wrong.append(f"no incident {expected.severity} {expected.title!r} for {sorted(expected.audiences)}")
            continue
        left.remove(fits[0])
        wrong += [
            f"{fits[0].incident.title!r} does not say {words!r}"
            for words in expected.says
            if words not in fits[0].words
        ]
        wrong += [
            f"{fits[0].incident.title!r} was told {channel} twice: {heard}"
            for channel, heard in (("Slack", fits[0].slack), ("email", fits[0].email))
            if len(set(heard)) != len(heard)
        ]
    wrong += [f"nobody expected {_line(one)}" for one in left]
    if seen.digests != (MONTHLY,) * DIGEST_CHANNELS:
        wrong.append(f"digests for {seen.digests}")
    wrong += [f"the digest does not say {words!r}" for words in wanted.digest if words not in seen.digest_words]
    return wrong


def _fits(expected: Expected, one: Told) -> bool:
    incident = one.incident
    return (
        fnmatch.fnmatchcase(incident.severity.name, expected.severity)
        and fnmatch.fnmatchcase(incident.title, expected.title)
        and one.audiences == expected.audiences
        and expected.count in (0, incident.count)
    )


def _line(one: Told) -> str:
    incident = one.incident
    who = f"Slack {', '.join(one.slack) or 'nobody'}; email {', '.join(one.email) or 'nobody'}"
    return f"{incident.severity.name} ({incident.count:,}) {incident.title[:70]}: {who}"


def rows(name: str, seen: Seen) -> Iterator[str]:
    """The lines of the table about one scenario."""
    wrong = verdict(name, seen)
    yield f"{'✔' if not wrong else '✘'} {name:18} {seen.seconds:5.1f} s  digest: {', '.join(seen.digests)}"
    for one in seen.told:
        yield f"    {_line(one)}"
        yield from (f"        with it: {title[:90]}" for title in one.folded)
    if not seen.told:
        yield "    nobody was told"
    yield from (f"    WRONG: {text}" for text in wrong)


def main(names: list[str], messages: str) -> int:
    """Prints the table; 1 if a row is not as it must be."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(RUNS_AT_ONCE) as pool:
        waiting = {name: pool.submit(play, name, Path(folder, name)) for name in names or SCENARIOS}
        bad = 0
        for name, future in waiting.items():
            try:
                seen = future.result()
            except AssertionError as error:
                print(f"✘ {name:18} {error}", flush=True)
                bad += 1
                continue
            print(*rows(name, seen), sep="\n", flush=True)
            if messages:
                rule = f"\n{'=' * 120}\n"
                Path(messages, f"{name}.txt").write_text(rule.join(seen.messages), encoding="utf-8")
            bad += bool(verdict(name, seen))
    return int(bad > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", default="", metavar="DIR")
    parser.add_argument("names", nargs="*", metavar="NAME")
    chosen = parser.parse_args()
    sys.exit(main(chosen.names, chosen.messages))
