"""Redaction: secrets and personal paths out of text and attributes. Pure, stdlib only; also used by the bridge.

Every rule hides behind literals that a text must contain before its pattern is tried, because almost no text contains
one; and texts that differ only in their numbers are tried on the same rules, which are looked up once. No pattern can
backtrack beyond a fixed window, so no text is slow.
When in doubt a value is redacted: a lost word costs a look into the local log, a leaked password costs a rotation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

__all__ = [
    "MARK",
    "is_secret_key",
    "scrub_arguments",
    "scrub_attributes",
    "scrub_new_text",
    "scrub_text",
    "scrub_value",
]

MARK: Final = "[redacted]"
_OPEN_MARK: Final = "[redacted"  # what is left of a mark where a value ends at a bracket
MAX_DEPTH: Final = 12  # levels of nesting that are looked into; what lies deeper is replaced
MAX_PASSES: Final = 4  # of all rules over one text
_CACHE_ENTRIES: Final = 4096
_CACHE_MAX_CHARACTERS: Final = 200  # longer texts are hardly ever seen twice
_DIGITS: Final = b"0123456789"

# What follows a secret's name without being one: states, not values.
_HARMLESS_VALUES: Final = frozenset(
    {
        *(
            "none",
            "null",
            "nil",
            "true",
            "false",
            "yes",
            "no",
            "ok",
            "not",
            "is",
            "was",
            "must",
            "missing",
            "invalid",
            "wrong",
        ),
        *("required", "expired", "empty", "unset", "undefined", "unknown", "failed", "denied", "refused", "rejected"),
        *("accepted", "revoked"),
    }
)
# A name that ends like this speaks about a secret, it does not hold one.
_ABOUT_A_SECRET: Final = re.compile(r"(?i)[_.-](?:file|path|name|length|len|count|type|policy|url|env|ttl|expiry)$")
_NUMBER: Final = re.compile(r"[+-]?\d{1,7}(?:\.\d+)?%?$")

# Names that mean a secret wherever they stand in a longer name, and names that do so only alone or as the last word.
_STRONG: Final = (
    r"passw(?:or)?ds?|passphrase|client[_-]?secret|secret(?:[_-]?(?:access[_-]?)?key)?s?|api[_-]?keys?"
    r"|access[_-]?key(?:[_-]?id)?|private[_-]?key|account[_-]?key|shared[_-]?key|signing[_-]?key|encryption[_-]?key"
    r"|authorization|credentials?|(?:set-)?cookie"
)
_WEAK: Final = r"token|(?<![A-Za-z])(?:pass|pwd|auth|sig)"

_VALUE: Final = (
    r'(?:"(?:[^"\\\n]|\\.)*"?|\'(?:[^\'\\\n]|\\.)*\'?|\\"[^"\\\n]*|\\\'[^\'\\\n]*'
    r"|(?:Bearer|Basic|Token|Digest|ApiKey|Negotiate)[ \t]+[^\s\"',;]+"
    r"|(?:[^\s\"'<>,;&)}\]]|[,;&)}\]](?![\s\"')}\],;&<>]|$|[\w.-]{1,40}[=:]))+)"
)
_ASSIGNMENT: Final = re.compile(
    rf"(?i)(?P<name>(?:{_STRONG})(?:[_-][\w-]{{0,24}}|\d{{1,4}})?|{_WEAK})"
    rf"(?P<gap>(?:\\?[\"'])?[ \t]{{0,3}}(?:=>|:=|[:=])[ \t]{{0,3}}(?:b(?=[\"']))?)(?P<value>{_VALUE})"
)
_FLAG: Final = re.compile(
    rf"(?i)(?P<name>--(?:[a-z0-9]+-){{0,4}}(?:{_STRONG}|token|pass|pwd|auth))"
    rf"(?P<gap>[ \t]{{1,3}})(?P<value>(?!-){_VALUE})"
)


def _replace_value(found: re.Match[str]) -> str:
    name, gap, value = found["name"], found["gap"], found["value"]
    bare = value.strip("\"'\\")
    if (
        not bare
        or _OPEN_MARK in value
        or bare.lower().rstrip(".!") in _HARMLESS_VALUES
        or _ABOUT_A_SECRET.search(name)
        or (name.lower().endswith("token") and _NUMBER.match(bare))
    ):
        return found[0]
    lead = '\\"' if value.startswith('\\"') else "\\'" if value.startswith("\\'") else ""
    if lead:
        return f"{name}{gap}{lead}{MARK}"
    quote = value[0] if value[0] in "\"'" else ""
    if quote:
        return f"{name}{gap}{quote}{MARK}{quote if value.endswith(quote) and len(value) > 1 else ''}"
    scheme, space, _ = bare.partition(" ")
    return f"{name}{gap}{scheme} {MARK}" if space else f"{name}{gap}{MARK}"


def _replace_url_secret(found: re.Match[str]) -> str:
    if _OPEN_MARK in found[0]:
        return found[0]
    return f"{found['user']}:{MARK}@"


_WANDB_KEY: Final = r"\b(?:local-)?[0-9a-f]{40}\b"


class _Rule(NamedTuple):
    """Tried only on a text with one of the literals, in lower case; a gate is for those that are but letters."""

    gate: str
    literals: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]


# Patterns that begin with a sign of their own are found many times as fast as those that first look behind.
_RULES: Final = (
    _Rule(
        "-",
        ("-----begin",),
        re.compile(
            r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----)[\s\S])*(?:-----END [A-Z ]{0,40}-----)?"
        ),
        MARK,
    ),
    _Rule(
        "/",
        ("://",),
        re.compile(
            r"(?P<user>://[^\s:/@\"'<>]{0,128}):(?!\d{1,5}(?:[/?#\s,;)\"']|$))[^\s\"'<>]{1,512}@(?=[\w.\[%-])",
        ),
        _replace_url_secret,
    ),
    _Rule("/", ("://",), re.compile(r"://[A-Za-z0-9_~-]{20,256}@"), f"://{MARK}@"),
    _Rule(
        "",
        ("akia", "asia", "aroa", "aida"),
        re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16,}"),
        MARK,
    ),
    _Rule(
        "_-",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-"),
        re.compile(r"(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,})"),
        MARK,
    ),
    _Rule("-", ("xox", "xapp-"), re.compile(r"(?:xox[a-z](?:\.xox[a-z])?-[\w%-]{8,}|xapp-[\w-]{8,})"), MARK),
    _Rule(
        "/",
        ("hooks.slack.com/",),
        re.compile(r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[\w/-]+"),
        rf"\1{MARK}",
    ),
    _Rule(".", ("eyj",), re.compile(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]+)*"), MARK),
    _Rule(
        "",
        ("sk-", "hf_", "aiza", "ya29.", "sk_", "rk_", "npm_", "pypi-", "pnu_", "pnb_", "sg.", "dop_v1_"),
        re.compile(
            r"\b(?:sk-[\w-]{20,}|hf_[A-Za-z0-9]{20,}|AIza[\w-]{30,}|ya29\.[\w-]{20,}|[sr]k_(?:live|test)_\w{10,}"
            r"|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{40,}|pn[ub]_[A-Za-z0-9]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}|dop_v1_\w{30,})"
        ),
        MARK,
    ),
    # W&B's older keys look like git revisions, which must stay: only beside the words of a login.
    _Rule("_", ("wandb",), re.compile(r"\bwandb_v\d_[\w-]{16,}"), MARK),
    _Rule(
        "",
        ("wandb", "w&b"),
        re.compile(rf"(?i)(?:wandb|w&b)[^\n]{{0,60}}?(?:login|key)(?:[^\n]{{0,30}}?{_WANDB_KEY})+"),
        lambda found: re.sub(_WANDB_KEY, MARK, found[0], flags=re.IGNORECASE),
    ),
    _Rule(
        "",
        ("bearer",),
        re.compile(r"(?i)\b(bearer[ \t]+)(?=[\w.~+/=-]{20}|[A-Za-z.~+/=_-]{0,19}\d)[\w.~+/=-]{8,}"),
        rf"\1{MARK}",
    ),
    _Rule(
        "=:",
        ("pass", "pwd", "secret", "token", "key", "auth", "credential", "cookie", "sig"),
        _ASSIGNMENT,
        _replace_value,
    ),
    _Rule("-", ("--",), _FLAG, _replace_value),
    _Rule(
        "/",
        ("home/", "users/"),
        re.compile(
            r"/(?:(?<=file:///)|(?<![\w./~-]/))(?:[\w.-]{1,64}/){0,6}?(?:home|Users)/[^/\s:;,\"'<>()\[\]]{1,64}"
        ),
        "~",
    ),
    _Rule("\\", ("users\\",), re.compile(r"(?i)\b[a-z]:\\{1,2}Users\\{1,2}[^\\\s:;,\"'<>()\[\]]{1,64}"), "~"),
    _Rule("/", ("/root",), re.compile(r"/root(?:(?<=file:///root)|(?<![\w./~-]/root))(?=[/\s:;,\"')\]]|$)"), "~"),
)
_SECRET_KEY: Final = re.compile(rf"(?i)(?:{_STRONG})|(?:{_WEAK}|[a-z0-9]token)$|\bdsn$")


def _without_digits(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass").translate(None, _DIGITS)


def _rules_by_literal() -> Mapping[str, Mapping[str, frozenset[int]]]:
    """The numbers of the rules by a literal of theirs without its digits, under a character that a text with it has.

    A text that contains a literal contains it without digits when both are rid of them: what is left out in both is
    the same. So all texts that are alike but for their digits are tried on the same rules.
    """
    grouped: dict[str, dict[str, frozenset[int]]] = {}
    for number, rule in enumerate(_RULES):
        for literal in rule.literals:
            bare = _without_digits(literal).decode()
            punctuation = next((one for one in literal if not one.isalnum()), "")
            for character in punctuation or rule.gate or [""]:
                literals = grouped.setdefault(character, {})
                literals[bare] = literals.get(bare, frozenset()) | {number}
    return grouped


_BY_LITERAL: Final = _rules_by_literal()
_known: Final[dict[bytes, tuple[_Rule, ...]]] = {}  # the rules to try on a text, by what it is without its digits


# Letters that a pattern takes for an s or an i where it ignores case, beside those that lower case makes of others.
_LIKE_ASCII: Final = str.maketrans(
    {
        "\N{LATIN SMALL LETTER LONG S}": "s",
        "\N{LATIN SMALL LETTER DOTLESS I}": "i",
        "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}": "i",
    }
)


def _lowered(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(_LIKE_ASCII).lower()


def _learn_rules(shape: bytes) -> tuple[_Rule, ...]:
    lowered = _lowered(shape.decode("utf-8", "surrogatepass"))
    numbers: set[int] = set()
    for character, literals in _BY_LITERAL.items():
        if character in lowered:
            for literal, of_literal in literals.items():
                if literal in lowered:
                    numbers |= of_literal
    rules = tuple([_RULES[number] for number in sorted(numbers)])
    if len(shape) <= _CACHE_MAX_CHARACTERS:
        if len(_known) >= _CACHE_ENTRIES:
            _known.clear()
        _known[shape] = rules
    return rules


def scrub_new_text(text: str) -> str:
    """What `scrub_text` does, for a text of which only the like was seen before, such as a formatted message."""
    for _ in range(MAX_PASSES):  # what one rule takes out may be what hid the next from another
        shape = _without_digits(text)
        rules = _known.get(shape)
        if rules is None:
            rules = _learn_rules(shape)
        if not rules:
            return text
        before = text
        for _gate, _literals, pattern, replacement in rules:
            text = pattern.sub(replacement, text)
        if text == before:
            return text
    return text


_scrub_cached = lru_cache(_CACHE_ENTRIES)(scrub_new_text)


def scrub_text(text: str) -> str:
    """The text with secrets replaced by ``[redacted]`` and home folders by ``~``; twice is the same as once."""
    return _scrub_cached(text) if len(text) <= _CACHE_MAX_CHARACTERS else scrub_new_text(text)


@lru_cache(_CACHE_ENTRIES)
def is_secret_key(name: str) -> bool:
    """Whether a value under this name is a secret: ``db.password`` is, ``max_tokens`` and ``author`` are not."""
    return _SECRET_KEY.search(name) is not None and _ABOUT_A_SECRET.search(name) is None


def _scrub_under(name: str, value: object, depth: int) -> object:
    if value is None or isinstance(value, bool) or not is_secret_key(name):
        return _scrub_nested(value, depth)
    if isinstance(value, (int, float)) and name.lower().endswith("token"):
        return value
    return MARK


def _scrub_nested(value: object, depth: int) -> object:
    if isinstance(value, str):
        return scrub_text(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth >= MAX_DEPTH:
        return MARK
    if isinstance(value, Mapping):
        return {scrub_text(str(key)): _scrub_under(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, (bytes, bytearray)):
        return scrub_text(bytes(value).decode("utf-8", "backslashreplace"))
    if isinstance(value, Iterable):
        return [_scrub_nested(item, depth + 1) for item in value]
    return scrub_text(str(value))


def scrub_value(value: object) -> object:
    """The value with every text in it scrubbed; mappings become dicts, other collections lists, bytes text."""
    return _scrub_nested(value, 0)


def scrub_attributes(attributes: Mapping[str, object]) -> dict[str, object]:
    """A scrubbed copy: a value under a secret's name is replaced whole, every other text is scrubbed."""
    return {name: _scrub_under(name, value, 0) for name, value in attributes.items()}


def scrub_arguments(arguments: Sequence[str]) -> tuple[str, ...]:
    """A command line, argument by argument: ``--password X`` hides X, every other argument is scrubbed as text."""
    scrubbed: list[str] = []
    hide_next = False
    for argument in arguments:
        if hide_next and not argument.startswith("-"):
            scrubbed.append(MARK)
            hide_next = False
            continue
        hide_next = argument.startswith("--") and "=" not in argument and is_secret_key(argument.lstrip("-"))
        scrubbed.append(scrub_text(argument))
    return tuple(scrubbed)
