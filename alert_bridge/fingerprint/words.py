"""One word of a text: which of its parts are data, and whether it is a unit or a part of a date.

Words come with 0 in place of each number, so that what is learned of one holds for the next.
"""

from __future__ import annotations

import re

__all__ = ["SERVICE_PORT", "mask_word", "without_units"]

MAX_CACHED_WORDS = 50_000
MAX_CACHED_CHARS = 100  # of a word
ADDRESS_COLONS = 2  # IPv6, MAC or a time
ADDRESS_GROUP_CHARS = 4
PATH_SLASHES = 2
NAME_DOTS = 2  # org.apache.Thing

SERVICE_PORT = ":@0"  # stands for the port of a well-known service: what is before it is a host, not a key

_PIECES = re.compile(r"""([:=,;()\[\]{}<>|"']|\.{3,})""")
_PAIR = re.compile(r"([\w.-]{1,80}=)([^=].*)$", re.DOTALL)
_HOST_PORT = re.compile(
    r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){1,10}:\d{1,5}$|[A-Za-z0-9_-]{1,63}" + SERVICE_PORT + "$"
)
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9-]{1,63}\.){1,8}(?:com|org|net|edu|gov|io|int|eu|uk|de|cn|local|internal|example|test)$",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"[A-Z][A-Z0-9_]{1,30}\(\d{1,9}\)$")  # LOCAL(0), CPU(3)
_CONSTANT = re.compile(r"(?:[A-Za-z_]\w{0,80}\.){2,12}[A-Z][A-Z_]{2,80}$")  # android.intent.action.SCREEN_OFF
_ENDING = re.compile(r"\w\.\w{1,8}$")
_DIGIT = re.compile(r"\d")
_HEX = re.compile(r"[0-9a-fA-F]{8,}$")
_EMPTY = frozenset({"()", "[]", "{}", "''", '""'})
_LITERALS = frozenset({"true", "false", "none", "null", "nan", "inf", "-inf"})
_UNITS = frozenset(
    {"%", "am", "b", "bits", "byte", "bytes", "cest", "cet", "day", "days", "est", "gb", "gib", "gmt", "h", "hour"}
    | {"hours", "kb", "kib", "m", "mb", "mib", "min", "mins", "minute", "minutes", "ms", "ns", "pdt", "pm", "pst", "s"}
    | {"sec", "second", "seconds", "secs", "tb", "tib", "us", "utc", "z"}
)
_CALENDAR = frozenset(
    {"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
    | {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
    | {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
    | {"january", "february", "march", "april", "june", "july", "august"}
    | {"september", "october", "november", "december"}
)
_TRAILING = ".,;:!?"

_known: dict[str, str] = {}


def mask_word(word: str) -> str:
    """The word with `*` for each part that is data."""
    masked = _known.get(word)
    if masked is None:
        masked = _masked(word)
        if len(word) <= MAX_CACHED_CHARS:
            if len(_known) >= MAX_CACHED_WORDS:
                _known.clear()
            _known[word] = masked
    return masked


def forget_words() -> None:
    """Start cold, for who measures."""
    _known.clear()


def _masked(word: str) -> str:
    core = word.rstrip(_TRAILING)
    tail = word[len(core) :]
    if not core:
        return word
    if found := _PAIR.match(core):
        return found[1] + _masked_value(found[2]) + tail  # a key is no data, whatever its value looks like
    return _masked_value(core) + tail


def _masked_value(core: str) -> str:
    if (
        "://" in core
        or _is_path(core)
        or core in _EMPTY
        or _HOST_PORT.match(core)
        or _NUMBERED.match(core)
        or _is_address(core)
    ):
        return "*"
    pieces = _PIECES.split(core)
    for at in range(0, len(pieces), 2):
        if pieces[at] and _is_data(pieces[at]):
            pieces[at] = "*"
    return "".join(pieces)


def _is_path(text: str) -> bool:
    return (
        (text[:1] in "/~" and len(text) > 1)
        or text.startswith(("./", "../"))
        or text.count("/") >= PATH_SLASHES
        or "\\" in text
        or ("/" in text and _ENDING.search(text) is not None)
        or text[1:3] in (":/", ":\\")
    )


def _is_address(text: str) -> bool:
    return text.count(":") >= ADDRESS_COLONS and all(
        len(group) <= ADDRESS_GROUP_CHARS and _is_hex_or_empty(group) for group in text.split(":")
    )


def _is_hex_or_empty(text: str) -> bool:
    return all(char in "0123456789abcdefABCDEF" for char in text)


def _is_data(piece: str) -> bool:
    if _DIGIT.search(piece):
        return True
    if piece.count(".") >= NAME_DOTS and not piece.startswith("..."):
        return not _CONSTANT.match(piece)
    if _is_path(piece) or "@" in piece[1:-1]:
        return True
    return piece.lower() in _LITERALS or bool(_HEX.match(piece)) or ("." in piece and bool(_DOMAIN.match(piece)))


def _bare(word: str) -> str:
    return word.strip("(),.;:[]").lower()


def without_units(words: list[str]) -> list[str]:
    """Masked words without a unit behind a number, and with `*` for the words of a date beside one."""
    out: list[str] = []
    last = len(words) - 1
    for at, word in enumerate(words):
        bare = _bare(word)
        shown = word
        if bare in _UNITS and out and out[-1].endswith("*"):
            out[-1] += word[len(word.rstrip("),.;:]")) :]
            continue
        if bare in _CALENDAR and (
            (out and out[-1].endswith("*"))
            or (at < last and (words[at + 1][0] == "*" or _bare(words[at + 1]) in _CALENDAR))
        ):
            shown = "*"
        out.append(shown)
    return out
