"""The incidents that one transaction works on: each is loaded once and written once, however many records it gets."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from alert_bridge.incidents import (
    Case,
    Ending,
    Event,
    absorb,
    explains,
    fold,
    no_longer_explains,
    open_case,
    reclaimed,
    unfold,
)
from alert_bridge.incidents.flapping import FLAP_EPISODES, come_back, is_flapping
from alert_bridge.incidents.folding import Trouble, beneath, trouble_of
from alert_bridge.incidents.storm import STORM, Crowd, described
from alert_bridge.intake.kinship import Kinship
from alert_bridge.model import IncidentState, Record
from alert_bridge.outbox.planning import Rules, replan
from alert_bridge.silences import covers_event
from alert_bridge.store.control.cases import day_of
from alert_bridge.store.control.database import Book
from instrumentation import attributes as names

__all__ = ["Desk"]

OPEN = 2**63 - 1  # an episode that has not ended
NOBODY = ("", "")  # in place of a channel and an address
DECIDED_RECORDS_PER_INCIDENT = 20  # the first ones; later records of an incident went the same way


class Desk:
    """Loads and keeps cases for one transaction, and counts what `flush` writes."""

    def __init__(self, book: Book, rules: Rules, *, now: int, new_id: Callable[[], str]) -> None:
        self.book = book
        self.now = now
        self.channels: set[str] = set()
        self.matched: Counter[str] = Counter()
        self._rules = rules
        self._new_id = new_id
        self._silences = book.silences_in_force(now)
        self._cases: dict[str, Case] = {}
        self._episodes: dict[str, dict[str, int]] = {}  # fingerprint -> incident id -> event time of its end, or OPEN
        self._counted: defaultdict[str, list[Record]] = defaultdict(list)
        self._issues: defaultdict[str, list[Record]] = defaultdict(list)
        self._samples: dict[str, Event] = {}
        self._endings: list[tuple[Record, Ending, str]] = []
        self._sightings: list[tuple[str, str, Trouble]] = []
        self._sighted: set[tuple[str, str, Trouble]] = set()
        self._kinship: dict[str, Kinship] = {}  # by run
        self._crowds: dict[tuple[str, str], Crowd] = {}
        self._storms: set[str] = set()
        self._places: dict[str, dict[str, int]] = {}  # storm -> fingerprint -> its place; "": problems in all
        self._decisions: list[tuple[int, str, str, str]] = []
        self._folds: list[tuple[str, str, Event]] = []  # (incident that tells it, rule, event)

    def merged(self, event: Event) -> Event:
        """The event as part of the problem that its text belongs to, if that was learned from others."""
        found = self.book.problem_behind(event.fingerprint, now=self.now)
        if found is event.fingerprint:
            return event
        text = f"one problem with {found.value}, whose text differs in one word; `pipeline-alerts explain --aliases`"
        self.decide(event.record.uid, "alias", text)
        return replace(event, fingerprint=found)

    def case_of(self, event: Event) -> Case | None:
        """The incident whose episode an event falls in, if there is one."""
        candidates = [(end, found) for found, end in self._episodes_of(event).items() if end >= event.record.time]
        cases = [case for _, found in sorted(candidates) if (case := self.case(found)) is not None]
        # Whose part it is was found for a run: the same problem in another run is judged anew.
        of_run = [case for case in cases if case.incident.root_id and event.record.run_id in case.incident.run_ids]
        return next(iter([*of_run, *(case for case in cases if not case.incident.root_id)]), None)

    def flapping_case(self, event: Event) -> Case | None:
        """The problem's last incident, if it comes back so often that a new one would be no news."""
        if len(self._episodes_of(event)) < FLAP_EPISODES or event.record.attributes.get(names.TEST_ALERT):
            return None
        self.flush()
        openings = self.book.openings(event.fingerprint.value)
        last = self.case(openings[-1][0])
        if last is None or last.incident.root_id:
            return None
        goes_on = last.incident.flaps > 0 and last.incident.state is IncidentState.OPEN
        if not goes_on and not is_flapping([at for _, at in openings], now=self.now):
            return None
        self.decide(last.incident.id, "flap", "it came back so often lately that it is told as flapping, and counted")
        return self.put(come_back(last))

    def open_case(self, event: Event) -> Case:
        """A new incident for an event."""
        seen_before = len(self._episodes_of(event))
        case = open_case(event, incident_id=self._new_id(), seen_before=seen_before, now=self.now)
        self.decide(case.incident.id, "fingerprint", f"{event.fingerprint.rung}: {event.title}")
        return case

    def _episodes_of(self, event: Event) -> dict[str, int]:
        key = event.fingerprint.value
        if key not in self._episodes:
            self._episodes[key] = {found: end or OPEN for found, end in self.book.episodes(key)}
        return self._episodes[key]

    def kinship(self, run_id: str) -> Kinship:
        """What is known of a run, this very request included."""
        if run_id not in self._kinship:
            if self._has_troubles(run_id, at_least=1):
                self.flush()
            self._kinship[run_id] = Kinship(*self.book.lineage(run_id))
        return self._kinship[run_id]

    def _has_troubles(self, run_id: str, *, at_least: int) -> bool:
        """Whether so many problems showed in a run before this request, or any in it."""
        waits = any(run == run_id for run, _, _ in self._sightings)
        return waits or self.book.has_troubles(run_id, at_least=at_least)

    def note_stage(self, record: Record) -> bool:
        """A stage began: whether problems of its run that showed already hang together in another way now."""
        if not self.book.note_stage_span(record):
            return False
        self._kinship.pop(record.run_id, None)
        if not self._has_troubles(record.run_id, at_least=2):  # one alone hangs together with nothing
            return False
        return self.kinship(record.run_id).concerns(record.span_id, record.stage)

    def sight(self, case: Case, event: Event) -> bool:
        """Remember where a problem showed in its run; whether that is news, and may explain others."""
        run_id = event.record.run_id
        teller = self.case(case.incident.root_id) if case.incident.root_id else case
        if not run_id or teller is None:
            return False
        trouble = trouble_of(event.record, event.fingerprint, event.severity)
        mark = (run_id, teller.incident.id, trouble)
        if mark in self._sighted or self.book.is_sighted(*mark):
            return False
        self._sighted.add(mark)
        kinship = self.kinship(run_id)
        self._sightings.append(mark)
        if not teller.talks:
            return False  # nobody is told of it: it hides nothing
        kinship.sighted(teller.incident, trouble)
        return True

    def case(self, incident_id: str) -> Case | None:
        """One incident, as it stands in this transaction."""
        return self._cases.get(incident_id) or self.book.case(incident_id)

    def count(self, case: Case, event: Event) -> Case:
        """Count an event into its incident, with its issue, and with its recipients."""
        event = self.under_silence(event, case)
        self.count_issue(event)
        self._counted[case.incident.id].append(event.record)
        self.match(event)
        known = {talk.key for talk in case.talks}
        counted = absorb(case, event, now=self.now)
        for talk in counted.talks:
            if talk.key not in known and talk.key in self._crowds:
                self._crowds[talk.key].waiting[event.record.pipeline] += talk.queued > 0
                self._crowds[talk.key].recent[event.record.pipeline] += 1
        if counted.incident.count == 1 and not counted.talks and NOBODY in self._crowds:
            self._crowds[NOBODY].recent[event.record.pipeline] += 1
        return self.put(counted)

    def crowd(self, channel: str, address: str) -> Crowd:
        """How many new problems an address has to be told of, or `NOBODY` is told of, this very request included."""
        key = channel, address
        if key not in self._crowds:
            if key == NOBODY:
                self.flush()
                self._crowds[key] = self.book.crowd_of_nobody(now=self.now)
            else:
                self._crowds[key] = self.book.crowd(channel, address, now=self.now)
        return self._crowds[key]

    def place_in_storm(self, storm_id: str, event: Event) -> int:
        """The how-manieth problem of a storm this is, from 1."""
        places = self._places.get(storm_id)
        if places is None:
            places = self._places[storm_id] = {"": self.book.problems_in(storm_id)}
        key = event.fingerprint.value
        if key not in places:
            if (known := self.book.place_in_storm(storm_id, event)) is None:
                known = places[""] = places[""] + 1
            places[key] = known
        return places[key]

    def told_in(self, root_id: str, rule: str, event: Event) -> None:
        """Count an event as told as part of another incident, by a rule of folding or in a storm."""
        self._folds.append((root_id, rule, event))
        if rule == STORM:
            self._storms.add(root_id)

    def under_silence(self, event: Event, case: Case | None = None) -> Event:
        """The event, held back if a silence covers it."""
        incident_id, counted = (case.incident.id, case.incident.count) if case else ("", 0)
        covers = [one for one in self._silences if covers_event(one, event, incident_id)]
        if not covers:
            return event
        silence = max(covers, key=lambda one: (one.ends_at, one.id))
        if case is not None and counted < DECIDED_RECORDS_PER_INCIDENT:
            text = f"held back by silence {silence.id} of {silence.author}: {silence.reason}"
            self.decide(event.record.uid, "silence", text)
        return replace(event, silent_until=max(event.silent_until, silence.ends_at))

    def count_issue(self, event: Event) -> None:
        """Count an event with its issue."""
        self._issues[event.fingerprint.value].append(event.record)
        self._samples.setdefault(event.fingerprint.value, event)

    def match(self, event: Event) -> None:
        """Enter the pairs of this record and its recipients in the ledger."""
        self.matched.update(recipient.channel for recipient in event.recipients)

    def put(self, case: Case) -> Case:
        """Keep a changed incident for `flush`."""
        self._cases[case.incident.id] = case
        if case.incident.fingerprint in self._episodes:
            self._episodes[case.incident.fingerprint][case.incident.id] = case.closed_event or OPEN
        return case

    def cause_of(self, record: Record, ending: Ending) -> Case | None:
        """The incident that already tells why this ended, if there is one; it may stand in this very request."""
        if ending is Ending.STAGE and record.run_id and record.span_id:
            inside = beneath(record.span_id, self.kinship(record.run_id).lineage)
            if len(inside) == 1:
                return self.case(inside[0])
        self.flush()
        cause = self.case(self.book.cause_of(record, ending))
        while cause is not None and cause.incident.root_id:
            cause = self.case(cause.incident.root_id)
        return cause

    def fold_case(self, case: Case, root: Case) -> None:
        """What was an incident of its own is told as part of another from now on, with all that it told itself."""
        self.put(fold(case, root.incident.id))
        explained = self.put(explains(root, case))
        self.flush()
        self.book.move_folds(case.incident.id, root.incident.id)
        self.book.move_sightings(case.incident.id, root.incident.id)
        for run_id in case.incident.run_ids:
            self.book.forget_loner(case.incident.fingerprint, run_id)
        for kinship in self._kinship.values():
            kinship.folded(case.incident.id, explained.incident)

    def unfold_case(self, case: Case) -> Case:
        """What was told as part of another is an incident of its own again."""
        self.flush()
        root = self.case(case.incident.root_id)
        if root is not None:
            self.put(no_longer_explains(root, case.incident.count))
        self.book.move_sightings(case.incident.root_id, case.incident.id, problem=case.incident.fingerprint)
        self._kinship.clear()
        return self.put(unfold(case))

    def reclaim(self, case: Case, run_id: str) -> Case:
        """The incident with what its problem had in this run while it was told as part of others."""
        own, problem = case.incident.id, case.incident.fingerprint
        if any((event.fingerprint.value, event.record.run_id) == (problem, run_id) for _, _, event in self._folds):
            self.flush()
        for one in self.kinship(run_id).lineage.known:
            part = self.book.take_part(one.incident_id, run_id, problem)
            root, mine = self.case(one.incident_id), self.case(own)
            if part is None or root is None or mine is None:
                continue
            self.put(no_longer_explains(root, part.events))
            self.put(reclaimed(mine, part.events, since=part.first_event))
            self.decide(own, "fold", f"with {part.events} that were told as part of {root.incident.id} before")
            self.flush()  # what showed elsewhere is moved to an incident that must be written
            self.book.move_sightings(root.incident.id, own, problem=problem)
            self._kinship.clear()
        return self.case(own) or case

    def note_ending(self, record: Record, ending: Ending, incident_id: str) -> None:
        """Remember which incident an end belongs to."""
        self._endings.append((record, ending, incident_id))

    def unexplained_ends(self, record: Record, ending: Ending | None, cause_id: str) -> Sequence[str]:
        """Incidents that only say that something of this run ended, now that ``cause_id`` says why."""
        if self._endings:
            self.flush()
        return self.book.unexplained_ends(record, ending, cause_id)

    def decide(self, subject: str, step: str, text: str) -> None:
        """Write down why."""
        self._decisions.append((self.now, subject, step, text))

    def flush(self) -> None:
        """Write everything, and plan what each recipient of a touched incident must hear next."""
        for key, records in self._issues.items():
            times = [record.time for record in records]
            days = Counter(day_of(time) for time in times)
            self.book.save_issue(
                self._samples[key], events=len(records), days=sorted(days.items()), span=(min(times), max(times))
            )
        for case in self._cases.values():
            saved = self.book.save_case(case)
            if self._counted[case.incident.id]:
                self.book.save_occurrences(case.incident.id, self._counted[case.incident.id])
            for talk in saved.talks:
                replan(self.book, saved, talk, self._rules, now=self.now)
                self.channels.add(talk.recipient.channel)
        self.book.decide_all(self._decisions)
        self.book.note_folds(self._folds)
        for storm in self._storms:
            if (gathering := self.book.case(storm)) is not None:
                self.book.save_case(described(gathering))
        for record, ending, incident_id in self._endings:
            self.book.note_ending(record, ending, incident_id)
        for run_id, incident_id, trouble in self._sightings:
            self.book.note_sighting(run_id, incident_id, trouble)
        self.book.enter(self.matched)
        self.matched.clear()
        self._cases.clear()
        self._decisions.clear()
        self._folds.clear()
        self._storms.clear()
        self._counted.clear()
        self._issues.clear()
        self._samples.clear()
        self._endings.clear()
        self._sightings.clear()
