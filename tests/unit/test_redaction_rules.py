"""Redaction: no secret survives, harmless text is left alone, twice is the same as once."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from instrumentation import redaction
from instrumentation.redaction import (
    MARK,
    is_secret_key,
    scrub_arguments,
    scrub_attributes,
    scrub_new_text,
    scrub_text,
    scrub_value,
)

# Built from halves, so that no scanner takes this file for a leak.
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
SHAPES = {
    "aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "github": "ghp_" + "a1B2" * 9,
    "github fine-grained": "github_pat_" + "11AAAA0_" * 4,
    "gitlab": "glpat-" + "x7" * 10,
    "slack bot": "xoxb-" + "123456789012-abcdefGHIJ",
    "slack app": "xapp-" + "1-A0-999-abcdef",
    "jwt": "eyJ" + "hbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w5N",
    "openai": "sk-" + "proj-" + "Ab3" * 10,
    "hugging face": "hf_" + "Qw3" * 11,
    "google": "AIza" + "Sy" + "D3" * 17,
    "w&b": "wandb_v1_" + "Zx9" * 12,
    "prefect": "pnu_" + "k2" * 18,
    "sendgrid": "SG." + "a1" * 11 + "." + "b2" * 20,
    "stripe": "sk_live_" + "4e" * 12,
}


@pytest.mark.parametrize("secret", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize(
    "frame", ["{}", "login with {} failed", "url=https://x.org/?q={}&b=1", '{{"a": "{}"}}', "({})."]
)
def test_a_known_token_shape_is_hidden_wherever_it_stands(secret: str, frame: str) -> None:
    scrubbed = scrub_text(frame.format(secret))

    assert secret not in scrubbed
    assert MARK in scrubbed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password=hunter2", f"password={MARK}"),
        ("DB_PASSWORD: hunter2, next", f"DB_PASSWORD: {MARK}, next"),
        ("{'api_key': 'abc def', 'n': 1}", f"{{'api_key': '{MARK}', 'n': 1}}"),
        ('{"client_secret": "a\\"b", "n": 1}', f'{{"client_secret": "{MARK}", "n": 1}}'),
        ('{\\"token\\": \\"abc\\", 1}', f'{{\\"token\\": \\"{MARK}\\", 1}}'),
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {MARK}"),
        ("authorization=Basic dXNlcjpwYXNz", f"authorization=Basic {MARK}"),
        ("sent Bearer abcdef123456 to x", f"sent Bearer {MARK} to x"),
        ("Server=x;Password=a;b!c;Database=y", f"Server=x;Password={MARK};Database=y"),
        ("AccountKey=abc/def+gh==;Suffix=x", f"AccountKey={MARK};Suffix=x"),
        ("https://x.org/f?sig=abc%3D&se=1", f"https://x.org/f?sig={MARK}&se=1"),
        ("psql --password hunter2 -h x", f"psql --password {MARK} -h x"),
        ("connect(password='x', host='y')", f"connect(password='{MARK}', host='y')"),
        ("accessToken=abc123", f"accessToken={MARK}"),
        ("postgresql://kim:p4ss@db:5432/x", f"postgresql://kim:{MARK}@db:5432/x"),
        ("postgresql://kim:p@s/s@db:5432/x", f"postgresql://kim:{MARK}@db:5432/x"),
        ("redis://:p4ss@db", f"redis://:{MARK}@db"),
        ("https://hooks.slack.com/services/T0/B0/xyz", f"https://hooks.slack.com/services/{MARK}"),
        ("wandb login 0123456789abcdef0123456789abcdef01234567", f"wandb login {MARK}"),
        ("open /home/kim/data/x.csv", "open ~/data/x.csv"),
        ("open /cluster/home/kim/x.csv:3", "open ~/x.csv:3"),
        ("file:///Users/kim/x", "file://~/x"),
        (r"C:\Users\kim\x", r"~\x"),
        ('File "/root/p/main.py", line 3', 'File "~/p/main.py", line 3'),
    ],
)
def test_a_secret_or_a_home_folder_is_replaced_and_nothing_else(text: str, expected: str) -> None:
    assert scrub_text(text) == expected


def test_a_private_key_is_hidden_also_when_it_is_cut_off() -> None:
    whole = "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\nxyz=\n-----END RSA PRIVATE KEY-----"

    assert scrub_text(f"key: {whole} after") == f"key: {MARK} after"
    assert "MIIabc" not in scrub_text(whole[:50])


@pytest.mark.parametrize(
    "text",
    [
        "Processed 1,000 tokens in 3 s (max_tokens=4096, token=17)",
        "KeyError: 'country_id'",
        "commit 0123456789abcdef0123456789abcdef01234567 is dirty",
        "author: Kim, design: new, bypass: 5, keyword=abc",
        "South Asia: 12 rows; desk-top; risk-averse-behaviour-of-many-agents",
        "password=None, token: missing, secret: True",
        "GET https://api.example.org:8080/v1/home/index.html?email=a@b.org 200",
        "Bearer authentication is off",
        "see /homework/kim and ./home/kim",
        "PASSWORD_FILE=/run/secrets/db",
        "Epoch 3: loss=0.25, val_loss=nan",
        'Traceback (most recent call last):\n  File "main.py", line 3, in <module>\nValueError: x: y=z',
        "git+https://github.com/org/repo@v1.2",
        "drücken Sie, 日本語 \ud800",
        "",
    ],
)
def test_harmless_text_is_left_alone(text: str) -> None:
    assert scrub_text(text) == text


SECRETS = st.text(ALPHABET, min_size=9, max_size=40).map(lambda tail: "zQ7" + tail)
NAMES = st.sampled_from(
    ["password", "DB_PASSWORD", "api_key", "X-Api-Key", "client_secret", "aws_secret_access_key", "token"]
)
FRAMES = st.sampled_from(
    [
        "{n}={s}",
        "{n}: {s}",
        "'{n}': '{s}'",
        '"{n}": "{s}"',
        "--{n}={s}",
        "f({n}='{s}')",
        "x=1&{n}={s}&y=2",
        "{n} := {s}",
    ]
)
PROSE = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(before=PROSE, name=NAMES, frame=FRAMES, secret=SECRETS, after=PROSE)
def test_no_assigned_secret_survives_between_any_texts(
    before: str, name: str, frame: str, secret: str, after: str
) -> None:
    text = f"{before} {frame.format(n=name, s=secret)} {after}"

    assert secret not in scrub_text(text)


@given(
    user=st.text(ALPHABET, max_size=12),
    secret=st.text(ALPHABET + "!$%@#/", min_size=6, max_size=30).map("zQ7{}".format),
)
def test_no_password_in_a_connection_string_survives(user: str, secret: str) -> None:
    assert secret not in scrub_text(f"connecting to postgresql+psycopg://{user}:{secret}@db.example.org:5432/views now")


PIECES = st.sampled_from(
    [
        *SHAPES.values(),
        "password",
        "token",
        "=",
        ": ",
        '"',
        "'",
        "\\",
        "[",
        "]",
        "{",
        "}",
        ",",
        ";",
        "&",
        "://",
        "@",
        "a1",
        "x",
        "/home/kim",
        "/",
        "~",
        " ",
        "\n",
        "Bearer ",
        "--api-key ",
        "-----BEGIN PRIVATE KEY-----",
        MARK,
        "wandb key ",
        "0" * 40,
    ]
)


LITERALS = sorted({literal for rule in redaction._RULES for literal in rule.literals})
ODD_LETTERS = {
    "s": "\N{LATIN SMALL LETTER LONG S}",
    "i": "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}",
    "k": "\N{KELVIN SIGN}",
}
DISGUISES = st.sampled_from(
    [str.lower, str.upper, str.title, lambda text: "".join(ODD_LETTERS.get(c, c) for c in text)]
)
LIKE_A_SECRET = st.one_of(
    PIECES, st.builds(lambda disguise, text: disguise(text), DISGUISES, st.sampled_from(LITERALS))
)
WITH_DIGITS = st.lists(LIKE_A_SECRET | st.sampled_from(list("0123456789")), max_size=14).map("".join)


def by_every_pattern(text: str) -> str:
    """The text after all patterns, none of them left out for a reason."""
    for _ in range(redaction.MAX_PASSES):
        for rule in redaction._RULES:
            text = rule.pattern.sub(rule.replacement, text)
    return text


@given(WITH_DIGITS)
def test_what_a_text_is_looked_at_for_first_hides_nothing_from_a_pattern(text: str) -> None:
    expected = by_every_pattern(text)

    assert scrub_new_text(text) == expected
    assert scrub_text(text) == expected


@given(WITH_DIGITS, st.lists(st.sampled_from("0123456789"), max_size=20))
def test_a_text_that_was_harmless_with_other_numbers_is_looked_at_if_it_no_longer_is(
    text: str, digits: list[str]
) -> None:
    numbers = iter(digits)
    other = "".join(next(numbers, "") if character.isdigit() else character for character in text)

    scrub_new_text(other)

    assert scrub_new_text(text) == by_every_pattern(text)


@example(SHAPES["aws"] + SHAPES["github"])
@example("wandb key " + "0" * 40 + "=" + "0" * 40)
@example("wandb key /home/kim" + SHAPES["openai"] + "[" + "0" * 40)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_scrubbing_twice_is_scrubbing_once(text: str) -> None:
    once = scrub_text(text)

    assert scrub_text(once) == once


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=10,
    )
)
def test_any_value_comes_back_scrubbed_and_stays_so(value: object) -> None:
    once = scrub_value(value)

    assert scrub_value(once) == once


def test_a_value_under_a_secret_name_is_replaced_whole_at_any_depth() -> None:
    given_attributes = {
        "password": 12345,
        "n": 3,
        "headers": {"Authorization": ["Bearer x"], "Accept": "*/*"},
        "max_tokens": 8,
    }

    scrubbed = scrub_attributes(given_attributes)

    assert scrubbed == {"password": MARK, "n": 3, "headers": {"Authorization": MARK, "Accept": "*/*"}, "max_tokens": 8}


@pytest.mark.parametrize(
    "name", ["db.password", "X-API-Key", "accessToken", "slack_bot_token", "Authorization", "aws_secret_access_key"]
)
def test_a_name_of_a_secret_is_known(name: str) -> None:
    assert is_secret_key(name)


@pytest.mark.parametrize(
    "name", ["max_tokens", "author", "tokenizer", "password_file", "monkey", "keyword", "design", "compass"]
)
def test_a_name_that_only_looks_like_one_is_not(name: str) -> None:
    assert not is_secret_key(name)


def test_a_command_line_hides_the_argument_after_a_secret_flag() -> None:
    assert scrub_arguments(["main.py", "--token", "abc", "-v", "--db=postgres://a:b@c", "/home/kim/x"]) == (
        "main.py", "--token", MARK, "-v", f"--db=postgres://a:{MARK}@c", "~/x",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        *("://" * 50_000, "a:" * 80_000 + "@", "password" * 20_000, "password=" + "a," * 80_000, "/home" * 30_000),
        *("eyJ" * 50_000, "-----BEGIN PRIVATE KEY" * 8_000, "wandb key " * 15_000, "bearer " * 20_000, "--a-" * 40_000),
        *('token="' * 20_000, "/a" * 80_000, "pass: " * 30_000, "-----BEGIN PRIVATE KEY-----" * 6_000),
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_no_text_is_slow(text: str) -> None:
    started = time.process_time()

    scrub_text(text)

    assert time.process_time() - started < 2.0  # 160,000 characters; quadratic behaviour would take minutes
