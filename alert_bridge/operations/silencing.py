"""Silences taken up and let go: what is open falls silent with a new one, and is told once when it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from alert_bridge.incidents import Case, hush, release
from alert_bridge.outbox import Rules, replan
from alert_bridge.silences import Silence, covering, covers_incident, in_words
from alert_bridge.store.control.database import Book

__all__ = ["carry_out_silences"]


def carry_out_silences(book: Book, rules: Rules, *, now: int) -> set[str]:
    """Take up new silences and let go what ended; returns channels that have something new to say."""
    channels: set[str] = set()
    for silence in book.new_silences():
        if silence.is_in_force(now):
            channels |= _take_up(book, silence, rules, now)
        book.silence_applied(silence.id, now=now)
    ended = book.ended_silences(now)
    if ended or book.silence_ran_out(now):
        channels |= _let_go(book, ended, rules, now)
        for silence in ended:
            book.silence_released(silence.id, now=now)
    return channels


def _take_up(book: Book, silence: Silence, rules: Rules, now: int) -> set[str]:
    channels: set[str] = set()
    for case in book.all_open_cases():
        if covers_incident(silence, case.incident):
            quiet = replace(case, talks=tuple(hush(talk, until=silence.ends_at) for talk in case.talks))
            said = f"silence {silence.id} of {silence.author} holds it back ({in_words(silence)}): {silence.reason}"
            channels |= _save(book, quiet, said, rules, now)
    return channels


def _let_go(book: Book, ended: Sequence[Silence], rules: Rules, now: int) -> set[str]:
    in_force = book.silences_in_force(now)
    channels: set[str] = set()
    for case in book.silent_cases():
        covered = any(covers_incident(silence, case.incident) for silence in ended)
        if not covered and all(talk.silent_until > now for talk in case.talks if talk.silent_until):
            continue  # another silence, which goes on
        still = covering(in_force, case.incident, now)
        until = still.ends_at if still is not None else 0
        talks = tuple(
            release(talk, case.incident, still_until=until, now=now) if talk.silent_until else talk
            for talk in case.talks
        )
        said = f"silence {still.id} goes on" if still is not None else "no silence holds it back any more"
        channels |= _save(book, replace(case, talks=talks), said, rules, now)
    return channels


def _save(book: Book, case: Case, said: str, rules: Rules, now: int) -> set[str]:
    saved = book.save_case(case)
    book.decide(now, saved.incident.id, "silence", said)
    for talk in saved.talks:
        replan(book, saved, talk, rules, now=now)
    return {talk.recipient.channel for talk in saved.talks}
