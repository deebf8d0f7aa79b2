"""The plain form of `run`'s command line means what the explaining one means, and leaves everything else to it."""

from __future__ import annotations

import click
import pytest

from alert_bridge.cli.run import command
from instrumentation.supervisor.arguments import OPTIONS, Arguments, read
from instrumentation.supervisor.limits import Limits, seconds_of

PLAIN = [
    "-- true",
    "true",
    "sh -c exit",
    "--pipeline p -- python -m x --pipeline q",
    "--pipeline=p --timeout 6h --silent-after=30m python main.py -r forecasting -- more",
    "--stage a:b --stage=c:d.e -- ./run.sh",
    "--timeout 1.5 -- -odd-name",
]
NOT_PLAIN = ["", "--", "--help", "-h -- true", "--timeout soon -- true", "--unknown x -- true", "--pipeline", "-x true"]


def explained(words: list[str]) -> Arguments:
    """What click makes of the words."""
    given = command.make_context("run", list(words)).params
    limits = Limits(given["timeout"], given["silent_after"])
    return Arguments(list(given["program"]), given["pipeline"], limits, list(given["stages"]))


@pytest.mark.parametrize("line", PLAIN)
def test_a_plain_command_line_is_read_as_the_library_reads_it(line: str) -> None:
    assert read(line.split()) == explained(line.split())


@pytest.mark.parametrize("line", NOT_PLAIN)
def test_what_needs_an_explanation_is_left_to_the_library(line: str) -> None:
    assert read(line.split()) is None


def test_every_option_of_the_command_is_known() -> None:
    options = [name for one in command.params if isinstance(one, click.Option) for name in one.opts]

    assert sorted(OPTIONS) == sorted(options)


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("90", 90), ("90s", 90), ("30 min", 1800), ("30m", 1800), ("6H", 21_600), ("2d", 172_800), ("soon", None)],
)  # fmt: skip
def test_a_duration_is_read_as_people_write_it(duration: str, seconds: float | None) -> None:
    assert seconds_of(duration) == seconds
