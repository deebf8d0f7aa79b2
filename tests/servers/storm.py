"""A storm over HTTP: any number of errors, each a problem of its own, from impatient senders, in bounded memory."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.servers.otlp_client import logs_request, post, record

__all__ = ["Stormed", "send_storm", "text_of"]

PATH = "/alerts/v1/logs"
AGAIN_AFTER_S = 0.2  # less than what Retry-After says: a sender without patience is the harder one
SYLLABLES = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "klmnrst"]


@dataclass(slots=True)
class Stormed:
    """How often which status, how long each 200 took, and how many refusals said when to come again."""

    answers: Counter[int] = field(default_factory=Counter)
    accepted_s: list[float] = field(default_factory=list)
    put_off: int = 0


def text_of(number: int) -> str:
    """Two words that are no others' words, up to 420³ of them: each a problem of its own."""
    size = len(SYLLABLES)
    first, second, third = number % size, number // size % size, number // size**2 % size
    return f"{SYLLABLES[first]}{SYLLABLES[third]}ox {SYLLABLES[second]}{SYLLABLES[first]} shelf"


def send_storm(url: str, numbers: Sequence[int], *, per_request: int, senders: int, within_s: float) -> Stormed:
    """Send a record for each number; return when all were accepted, or the time is over."""
    stormed = Stormed()
    deadline = time.monotonic() + within_s

    def send(first: int) -> None:
        some = numbers[first : first + per_request]
        body = logs_request(*(record(text_of(number), uid=f"u{number}") for number in some))
        while time.monotonic() < deadline:
            began = time.monotonic()
            answer = post(f"{url}{PATH}", body, timeout=within_s)
            stormed.answers[answer.status] += 1
            if answer.status == 200:
                stormed.accepted_s.append(time.monotonic() - began)
                return
            stormed.put_off += "retry-after" in answer.headers
            time.sleep(AGAIN_AFTER_S)

    with ThreadPoolExecutor(senders) as pool:
        list(pool.map(send, range(0, len(numbers), per_request)))
    return stormed
