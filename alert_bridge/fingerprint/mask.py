"""Text without its data: what a log line says once names, numbers, paths and values are taken out.

One configuration for everything, no training, no state that changes an answer. Error codes are kept.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from alert_bridge.fingerprint.codes import codes_in, may_hold_codes
from alert_bridge.fingerprint.words import SERVICE_PORT, forget_words, mask_word, without_units

__all__ = ["forget", "mask"]

MAX_LINE_CHARS = 4_000  # of the text, as it comes
MAX_CHARS = 1_000  # of its first line, once every number is one digit
MAX_CACHED = 10_000  # texts, of each kind
MAX_CACHED_CHARS = 1_000  # what is longer is rare, and is worked out each time

_SAYS = re.compile(r"[^\W_]")
_NUMBER = re.compile(r"\d+")
_ZEROS = bytes(ord("0") if chr(byte).isdigit() else byte for byte in range(128)) + bytes(range(128, 256))
_PORT_SHAPE = re.compile(r":(?<=[A-Za-z_-]:)0(?![\w.:/-])")
_PORT = re.compile(r":(?<=[A-Za-z_-]:)(?:21|22|25|53|80|443|465|587|3306|5432|6379|8080|8443|9092|27017)(?![\w.:/-])")
_QUOTED = re.compile(r"""(?<![\w*])(?:"[^"]{0,1000}"|'[^']{0,1000}'|`[^`]{0,1000}`)""")
_STATE = re.compile(
    r"""((?:state|status|phase|result|reason)(?: is| was|:|=)? ?)["']([A-Za-z_]{1,40})["']""", re.IGNORECASE
)  # in quotes or not, a state is what tells problems apart
_VERB = re.compile(r'"(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) ')
_REPR = re.compile(r"=[A-Za-z_][\w.]{0,80}[\[({][^\])}]{0,500}[\])}]")
_ADDRESS = re.compile(r"<[\w. ]{1,200} at 0x[0-9a-fA-F]{1,16}[^<>]{0,200}>")
_COMPARED = re.compile(r"[<>~]=?(?=\*)")
_RUN = re.compile(r"\*(?:[\s,;:./|@&+-]{0,4}\*)+")
_BRACKETED = re.compile(r"\[(?:\*[,; ]{0,2})+\]|\((?:\*[,; ]{0,2})+\)|\{(?:\*[,; ]{0,2})+\}|<\*>")

LIST_LENGTH = 3
LONGEST_PERIOD = 3
COLLAPSES = 2  # a bracket may hold a list that collapses first


class _Template(NamedTuple):
    text: str
    may_hold_codes: bool = False
    may_hold_port: bool = False
    is_access: bool = False  # of a server's access log


_templates: dict[bytes, _Template] = {}  # by the line with 0 for each number
_collapsed: dict[str, str] = {}  # by the line with its words masked


def mask(text: str) -> str:
    """The text's first line that says something, without its data; two lines of one logging call give the same."""
    line = text[:MAX_LINE_CHARS]
    if "\n" in line:
        line = _first_words(line.split("\n"))
    known = _known(line)
    if known.may_hold_port and (swapped := _PORT.sub(SERVICE_PORT, line)) != line:
        known = _known(swapped)
    if known.may_hold_codes and (codes := codes_in(line, only_of_a_server=known.is_access)):
        return f"{known.text} [{'; '.join(codes)}]"
    return known.text


def _first_words(lines: list[str]) -> str:
    """No ruler or blank line; and with what follows if it is a heading of one word, like "ERROR:"."""
    telling = [line for line in lines if _SAYS.search(line)][:2] or lines[:1]
    return telling[0] if len(telling[0].split()) > 1 else " ".join(telling)


def _known(line: str) -> _Template:
    """Lines of one call mostly differ in numbers only, so that one look-up does."""
    shape = line.encode("utf-8", "surrogatepass").translate(_ZEROS).replace(b"0000", b"0")
    while b"00" in shape:
        shape = shape.replace(b"00", b"0")
    known = _templates.get(shape)
    if known is None:
        known = _template(shape.decode() if line.isascii() else _NUMBER.sub("0", line))  # digits of any script
        if len(shape) <= MAX_CACHED_CHARS:
            _make_room(_templates)
            _templates[shape] = known
    return known


def forget() -> None:
    """Start cold, for who measures: what is remembered changes no answer, only how fast it comes."""
    _templates.clear()
    _collapsed.clear()
    forget_words()


def _make_room(cache: dict[bytes, _Template] | dict[str, str]) -> None:
    if len(cache) >= MAX_CACHED:
        cache.clear()


def _template(shape: str) -> _Template:
    line = shape
    if len(line) > MAX_CHARS:
        line = line[:MAX_CHARS].rpartition(" ")[0] or line[:MAX_CHARS]  # not half a word
    holds_codes, is_access = may_hold_codes(line), False
    if '"' in line or "'" in line or "`" in line:
        is_access = _VERB.search(line) is not None
        line = _QUOTED.sub("*", _STATE.sub(r"\1\2", _VERB.sub(r"\1 ", line)))
    if " at 0x" in line:
        line = _ADDRESS.sub("*", line)
    if "=" in line:
        line = _REPR.sub("=*", line)
    masked = " ".join(map(mask_word, line.split()))
    text = _collapsed.get(masked)
    if text is None:
        text = _collapse(" ".join(without_units(masked.split(" "))))
        if len(masked) <= MAX_CACHED_CHARS:
            _make_room(_collapsed)
            _collapsed[masked] = text
    return _Template(text, holds_codes, ":0" in line and _PORT_SHAPE.search(shape) is not None, is_access)


def _collapse(line: str) -> str:
    """Runs and lists of data read as one, however many there are."""
    if "*" not in line:
        return line
    line = _COMPARED.sub("", line)
    for _ in range(COLLAPSES):
        line = _RUN.sub("*", _BRACKETED.sub("*", line))
    if line.count("*") >= LIST_LENGTH:
        line = " ".join(_without_repeats(line.split(" ")))
    return line


def _without_repeats(words: list[str]) -> list[str]:
    """A list of pairs reads the same however long it is: "a * b *" once, not five times."""
    for period in range(2, LONGEST_PERIOD + 1):
        kept: list[str] = []
        at = 0
        while at < len(words):
            piece = words[at : at + period]
            kept.extend(piece)
            at += period
            while "*" in piece and len(piece) == period and words[at : at + period] == piece:
                at += period
        if len(kept) < len(words):
            return kept
        words = kept
    return words
