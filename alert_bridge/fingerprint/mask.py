"""Text without its data: what a log line says once names, numbers, paths and values are taken out.

One configuration for everything, no training, no state that changes an answer. Error codes are kept: exit code 137 is
not exit code 1, and HTTP 503 is not 404.
"""

from __future__ import annotations

import re

__all__ = ["mask"]

MAX_CHARS = 1000  # of the first line
MAX_CACHED_TOKENS = 50_000
MAX_CACHED_LINES = 20_000

_QUOTED = re.compile(r"""(?<![\w*])(?:"[^"]{0,1000}"|'[^']{0,1000}'|`[^`]{0,1000}`)""")
_VERB = re.compile(r'"(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) ')
_REPR = re.compile(r"(?<==)[A-Za-z_][\w.]{0,80}[\[({][^\])}]{0,500}[\])}]")
_ADDRESS = re.compile(r"<[\w. ]{1,200} at 0x[0-9a-fA-F]{1,16}[^<>]{0,200}>")
_CODE = re.compile(
    r"(?:(?:exit|return|returned|status|error|response)(?:[ _-]?(?:code|status|value))?(?: is| of| was|=|:| ){1,3}"
    r"|errno[ =:]{0,2}|HTTP(?:/[\d.]{1,4})?(?: status| error| code)?[ :]{1,2}|signal[ =:]{1,2}|SIG[A-Z]{2,8}:? ?"
    r"|code[ =:]{1,3})-?\d{1,3}(?![\w:/-]|\.\d)"
    r"|(?<![\w.])[45]\d\d(?= (?:Client|Server|Bad|Un|For|Not|Too|Inter|Gate|Serv|Conf|Gone|Request))",
    re.IGNORECASE,
)
_MAY_HOLD_CODE = re.compile(
    r"[Cc]ode|CODE|[Ss]tat|STAT|rrno|RRNO|HTTP|http |[Ss]ig|SIG|xit|eturned|[Ee]rror[ =:]|[45]\d\d "
)
_PIECES = re.compile(r"""([:=,;()\[\]{}<>|"']|\.{3,})""")
_SERVICE_PORTS = "21|22|25|53|80|443|465|587|3306|5432|6379|8080|8443|9092|27017"
_HOST_PORT = re.compile(
    r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){1,10}:\d{1,5}$|[A-Za-z0-9_-]{1,63}:(?:" + _SERVICE_PORTS + ")$"
)
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9-]{1,63}\.){1,8}(?:com|org|net|edu|gov|io|int|eu|uk|de|cn|local|internal|example|test)$",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"[A-Z][A-Z0-9_]{1,30}\(\d{1,9}\)$")  # LOCAL(0), CPU(3)
_EMPTY = frozenset({"()", "[]", "{}", "''", '""'})
_COMPARED = re.compile(r"[<>~]=?(?=\*)")
_DIGIT = re.compile(r"\d")
_HEX = re.compile(r"[0-9a-fA-F]{8,}$")
_LITERALS = frozenset({"true", "false", "none", "null", "nan", "inf", "-inf"})
_UNITS = frozenset(
    {
        "%",
        "am",
        "b",
        "bits",
        "byte",
        "bytes",
        "cest",
        "cet",
        "day",
        "days",
        "est",
        "gb",
        "gib",
        "gmt",
        "h",
        "hour",
        "hours",
    }
    | {"kb", "kib", "m", "mb", "mib", "min", "mins", "minute", "minutes", "ms", "ns", "pdt", "pm", "pst", "s", "sec"}
    | {"second", "seconds", "secs", "tb", "tib", "us", "utc", "z"}
)
_CALENDAR = frozenset(
    {"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
    | {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
    | {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
    | {"january", "february", "march", "april", "june", "july", "august"}
    | {"september", "october", "november", "december"}
)
_RUN = re.compile(r"\*(?:[\s,;:./|@&+-]{0,4}\*)+")
_BRACKETED = re.compile(r"\[(?:\*[,; ]{0,2})+\]|\((?:\*[,; ]{0,2})+\)|\{(?:\*[,; ]{0,2})+\}|<\*>")
_TRAILING = ".,;:!?"

ADDRESS_COLONS = 2  # IPv6, MAC or a time
ADDRESS_GROUP_CHARS = 4
PATH_SLASHES = 2
NAME_DOTS = 2  # org.apache.Thing
LIST_LENGTH = 3
LONGEST_PERIOD = 3
COLLAPSES = 2  # a bracket may hold a list that collapses first

_tokens: dict[str, str] = {}
_special: set[str] = set()  # tokens that are a unit or part of a date
_lines: dict[str, str] = {}


def mask(text: str) -> str:
    """The text's first line without its data; two lines of one logging call give the same."""
    line = text.partition("\n")[0]
    if len(line) > MAX_CHARS:
        line = line[:MAX_CHARS].rpartition(" ")[0] or line[:MAX_CHARS]  # not half a word
    known = _lines.get(line)
    if known is None:
        if len(_lines) >= MAX_CACHED_LINES:
            _lines.clear()
        known = _lines[line] = _mask_line(line)
    return known


def _mask_line(line: str) -> str:
    kept: list[str] = []
    if _MAY_HOLD_CODE.search(line):
        kept = [found.group().lower() for found in _CODE.finditer(line)]
        if kept and _VERB.search(line):
            kept = [code for code in kept if code[-3:-2] == "5"]  # an access log: only a server's error is news
    if '"' in line or "'" in line or "`" in line:
        line = _QUOTED.sub("*", _VERB.sub(r"\1 ", line))
    if " at 0x" in line:
        line = _ADDRESS.sub("*", line)
    if "=" in line:
        line = _REPR.sub("*", line)
    words: list[str] = []
    for token in line.split():
        masked = _tokens.get(token)
        if masked is None:
            if len(_tokens) >= MAX_CACHED_TOKENS:
                _tokens.clear()
                _special.clear()
            masked = _tokens[token] = _mask_token(token)
            if _bare(masked) in _UNITS or _bare(masked) in _CALENDAR:
                _special.add(masked)
        words.append(masked)
    joined = _collapsed(" ".join(words if _special.isdisjoint(words) else _without_units(words)))
    return f"{joined} [{'; '.join(kept)}]" if kept else joined


def _mask_token(token: str) -> str:
    core = token.rstrip(_TRAILING)
    tail = token[len(core) :]
    if not core:
        return token
    if "://" in core or _is_path(core):
        return "*" + tail
    if core in _EMPTY or _HOST_PORT.match(core) or _NUMBERED.match(core):
        return "*" + tail
    if core.count(":") >= ADDRESS_COLONS and all(
        len(part) <= ADDRESS_GROUP_CHARS and _is_hex_or_empty(part) for part in core.split(":")
    ):
        return "*" + tail
    pieces = _PIECES.split(core)
    for at in range(0, len(pieces), 2):
        if pieces[at] and _is_data(pieces[at]):
            pieces[at] = "*"
    return "".join(pieces) + tail


def _is_path(text: str) -> bool:
    return (
        (text[:1] in "/~" and len(text) > 1)
        or text.count("/") >= PATH_SLASHES
        or "\\" in text
        or text[1:3] in (":/", ":\\")
    )


def _is_hex_or_empty(text: str) -> bool:
    return all(char in "0123456789abcdefABCDEF" for char in text)


def _is_data(piece: str) -> bool:
    if _DIGIT.search(piece):
        return True
    if piece.count(".") >= NAME_DOTS and not piece.startswith("..."):
        return True
    if _is_path(piece) or "@" in piece[1:-1]:
        return True
    return piece.lower() in _LITERALS or bool(_HEX.match(piece)) or ("." in piece and bool(_DOMAIN.match(piece)))


def _bare(word: str) -> str:
    return word.strip("(),.;:[]").lower()


def _without_units(words: list[str]) -> list[str]:
    """Drops a unit behind a number, and the words of a date beside one."""
    out: list[str] = []
    last = len(words) - 1
    for at, word in enumerate(words):
        shown = word
        if word in _special:
            bare = _bare(word)
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


def _collapsed(line: str) -> str:
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
