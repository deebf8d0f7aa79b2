"""Error codes in a text: the numbers that tell problems apart. Exit code 137 is not exit code 1, nor HTTP 503 a 404.

A number counts as a code only behind a word that says so. Success (0, HTTP 200) is no news, and is data like any other.
"""

from __future__ import annotations

import re

__all__ = ["codes_in", "may_hold_codes"]

# Every alternative begins with a plain letter or digit, in lower case: so the search skips to where one can begin.
_NUMBER = r"-?\d{1,3}(?![\w/-]|[:.]\d)"
_BEHIND_A_WORD = (
    r"(?:code|status|(?:http|exit|return|ret|status|error|err|response|result)[ _-]?(?:code|status))[\"']?"
    rf"(?: is| of| was|=|:| ){{1,3}}{_NUMBER}"
    rf"|(?:exit|exited|error|return value)(?: with)?[ =:]{{1,3}}{_NUMBER}"
    rf"|(?:returned|return|response)[ =:]{{1,2}}{_NUMBER}(?= {{0,2}}(?:$|[.,;:)\]]))"  # not "returned 17 rows"
    r"|(?:errno|winerror)[ =:]{0,2}-?\d{1,5}(?!\w)"
    rf"|http(?:/[\d.]{{1,4}})?(?: status| error| code)?[ :]{{1,2}}{_NUMBER}"
    rf"|signal[ =:]{{1,2}}{_NUMBER}|sig[a-z]{{2,8}}:? ?{_NUMBER}"
)
_BEFORE_ITS_REASON = r"(?= (?:client|server|bad|un|for|not|too|inter|gate|serv|conf|gone|request))"
_CODE = re.compile(rf"{_BEHIND_A_WORD}|[45]\d\d{_BEFORE_ITS_REASON}")
_CODE_SHAPE = re.compile(_BEHIND_A_WORD)
_REASON_SHAPE = re.compile(f"0{_BEFORE_ITS_REASON}")
_SAYING_SO = ("code", "err", "exit", "http", "response", "return", "sig", "status")  # one is in whatever matches
_DIGITS = re.compile(r"\d+")
_OF_A_PROCESS = ("exit", "ret", "err", "sig", "win")  # there 200 is a failure
_HTTP_SUCCESS = range(100, 400)
_SERVER_ERROR = range(500, 600)


def may_hold_codes(shape: str) -> bool:
    """Whether a text that reads so, with 0 for each of its numbers, may hold codes."""
    text = shape.lower()
    if any(map(text.__contains__, _SAYING_SO)) and _CODE_SHAPE.search(text):
        return True
    return _REASON_SHAPE.search(text) is not None


def codes_in(line: str, *, only_of_a_server: bool) -> list[str]:
    """Each code with the words that make it one. ``only_of_a_server``: of an access log, where a 404 is no news."""
    text = line.lower()
    return [
        found[0]
        for found in _CODE.finditer(text)
        if _stands_alone(text, found.start()) and _is_news(found[0], only_of_a_server=only_of_a_server)
    ]


def _stands_alone(text: str, start: int) -> bool:
    """Not a part of something else, like the code of a key or a part of a number."""
    before, first = text[start - 1 : start], text[start]
    return not (before.isalnum() or before in {"_", "."}) if first.isdigit() else not before.isalpha()


def _is_news(code: str, *, only_of_a_server: bool) -> bool:
    number = int(_DIGITS.findall(code)[-1])
    if only_of_a_server:
        return number in _SERVER_ERROR
    return number != 0 and (number not in _HTTP_SUCCESS or code.startswith(_OF_A_PROCESS))
